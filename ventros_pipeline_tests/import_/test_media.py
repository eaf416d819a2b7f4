"""Media files of imported messages: what becomes of each, and that text never waits for one."""

from __future__ import annotations

import hashlib
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from ventros_pipeline.crm import media
from ventros_pipeline.crm.media import ATTEMPTS
from ventros_pipeline.replay import files
from ventros_pipeline.replay.control import Fault, Request
from ventros_pipeline.replay.files import LARGEST, is_expired
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.waha import media as waha_media
from ventros_pipeline.waha.errors import (
    WahaConfigurationError,
    WahaNotReadyError,
    WahaProtocolError,
)
from ventros_pipeline_tests.import_.world import KEY, World, at, message, write_account

ANA, BIA = "5511980000001@s.whatsapp.net", "5511980000002@s.whatsapp.net"
KINDS = tuple(waha_media.CAPS)
MESSAGE = "/api/{session}/chats/{chat_id}/messages/{message_id}"
FILE = "/api/files/{session}/{file}"
Serve = Callable[[Path], ReplayServer]

NAMES = [f"3EB0{number:04X}" for number in range(200)]
THERE = [name for name in NAMES if not is_expired(name)]
GONE = [name for name in NAMES if is_expired(name)]


def with_file(
    stanza: str, time: str, size: int | None = 3000, *, chat: str = ANA, **node: Any
) -> tuple[str, dict[str, Any]]:
    """Return a message with a picture, or with the content given as `document={…}`."""
    [(kind, more)] = node.items() or [("image", {})]
    declared = {} if size is None else {"fileLength": size}
    content = {f"{kind}Message": {"mimetype": "image/jpeg", "directPath": "/x", **declared, **more}}
    row = message(chat, stanza, at(f"2026-06-02 {time}"), None, content=content, hasMedia=True)
    return chat, row


def text(stanza: str, time: str) -> tuple[str, dict[str, Any]]:
    return ANA, message(ANA, stanza, at(f"2026-06-02 {time}"))


@pytest.fixture
def imported(world: World, replay: Serve, tmp_path: Path) -> Callable[..., ReplayServer]:
    """Serves messages and imports them."""

    def run(*rows: tuple[str, dict[str, Any]]) -> ReplayServer:
        server = replay(write_account(tmp_path / "account", rows))
        world.import_days()
        server.stats.reset()
        return server

    return run


def fetch(world: World, *, kinds: tuple[str, ...] = KINDS, max_files: int = 100) -> Counter[str]:
    """Fetch media in a run of its own; return the outcomes as `state reason`."""
    outcomes = world.importer().fetch_media(kinds, max_files=max_files)
    return Counter(" ".join(filter(None, (one.state, one.reason))) for one in outcomes)


def states(world: World) -> dict[str, tuple[str, str | None, int]]:
    """Return state, reason and attempts by stanza id."""
    rows = world.rows(
        "SELECT stanza_id, state, reason, attempts FROM history_sync.media "
        "JOIN history_sync.message_keys USING (message_id)"
    )
    return {row["stanza_id"]: (row["state"], row["reason"], row["attempts"]) for row in rows}


def media_folder(world: World) -> Path:
    return world.home / "archive" / "media"


def stored_files(world: World) -> list[Path]:
    return sorted(path for path in media_folder(world).rglob("*") if path.is_file())


def test_files_are_stored_under_the_hash_of_their_content(world: World, imported: Any) -> None:
    imported(text(NAMES[0], "10:00"), with_file(THERE[1], "10:01"))

    assert fetch(world) == {"stored": 1}

    [row] = world.rows("SELECT * FROM history_sync.media")
    [path] = stored_files(world)
    content = path.read_bytes()
    assert row["sha256"] == path.name == hashlib.sha256(content).hexdigest()
    assert path.parent == media_folder(world) / path.name[:2] / path.name[2:4]
    assert row["bytes"] == len(content) == 3000
    assert row["mimetype"] == "image/jpeg"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    [count] = media.counts(world.engine, world.channel)
    assert count == {"state": "stored", "reason": "", "files": 1, "bytes": 3000}


def test_the_same_content_is_kept_once(
    world: World, imported: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "content", lambda row: (b"the same picture", "image/jpeg"))
    imported(with_file(THERE[0], "10:00"), with_file(THERE[1], "10:00", chat=BIA))
    assert fetch(world) == {"stored": 2}
    assert len(stored_files(world)) == 1
    assert world.value("SELECT count(DISTINCT sha256) FROM history_sync.media") == 1


@pytest.mark.parametrize("engine_name", ["gows", "webjs", "wpp"])
def test_files_come_from_the_other_engines_too(
    world: World, tmp_path: Path, engine_name: str
) -> None:
    rows = [with_file(THERE[0], "10:00"), with_file(GONE[0], "10:01")]
    folder = write_account(tmp_path / "account", rows)
    with ReplayServer(folder, api_key=KEY, engine=engine_name) as server:
        world.change_channel(
            f"config = config || jsonb_build_object('base_url', '{server.url}'::text)"
        )
        world.import_days()
        assert fetch(world) == {"stored": 1, "expired gone_from_whatsapp": 1}
    assert len(stored_files(world)) == 1


def test_a_second_run_asks_for_nothing(world: World, imported: Any) -> None:
    server = imported(with_file(THERE[0], "10:00"), with_file(GONE[0], "10:01"))
    fetch(world)
    before = world.rows("SELECT message_id, xmin::text FROM history_sync.media ORDER BY 1")
    server.stats.reset()

    assert fetch(world) == {}

    assert not server.stats.requests
    assert world.rows("SELECT message_id, xmin::text FROM history_sync.media ORDER BY 1") == before


def test_a_file_that_whatsapp_has_no_more_is_expired_and_not_asked_for_again(
    world: World, imported: Any
) -> None:
    server = imported(with_file(GONE[0], "10:00"))
    assert fetch(world) == {"expired gone_from_whatsapp": 1}
    assert fetch(world) == {}
    assert server.stats.requests[f"GET {MESSAGE}"] == 1
    assert states(world) == {GONE[0]: ("expired", "gone_from_whatsapp", 1)}


def test_a_message_that_waha_has_no_more_is_expired(world: World, imported: Any) -> None:
    imported(with_file(THERE[0], "10:00"))
    world.execute("UPDATE history_sync.message_keys SET waha_id = waha_id || 'X'")
    assert fetch(world) == {"expired message_gone": 1}


def test_a_proxy_without_its_waha_makes_no_message_look_gone(world: World, imported: Any) -> None:
    server = imported(with_file(THERE[0], "10:00"))
    server.control.fault = lambda request: (
        Fault(status=404)
        if request.template == MESSAGE or server.stats.requests[f"GET {MESSAGE}"]
        else None
    )
    with pytest.raises(WahaProtocolError):
        fetch(world)
    assert states(world) == {THERE[0]: ("wanted", None, 0)}


def test_a_file_that_is_declared_too_large_is_refused_unasked(world: World, imported: Any) -> None:
    cap = waha_media.CAPS["image"]
    server = imported(with_file(THERE[0], "10:00", cap + 1), with_file(THERE[1], "10:01", cap))
    assert fetch(world) == {"refused too_large": 1, "stored": 1}
    assert server.stats.requests[f"GET {MESSAGE}"] == 1
    [path] = stored_files(world)
    assert path.stat().st_size == LARGEST


def test_a_file_that_turns_out_too_large_is_refused(
    world: World, imported: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(waha_media.CAPS, "image", 1000)
    imported(with_file(THERE[0], "10:00", None))
    assert fetch(world) == {"refused too_large": 1}
    assert stored_files(world) == []


def test_each_kind_has_the_largest_size_that_its_use_takes() -> None:
    megabytes = {kind: cap // 1024**2 for kind, cap in waha_media.CAPS.items()}
    assert megabytes == {
        "audio": 25,
        "voice": 25,
        "image": 10,
        "sticker": 10,
        "video": 100,
        "document": 50,
    }


def test_a_file_that_does_not_come_stays_wanted_and_the_next_one_is_fetched(
    world: World, imported: Any
) -> None:
    server = imported(with_file(THERE[0], "10:00"), with_file(THERE[1], "10:01"))

    def spoil(request: Request) -> Fault | None:
        return Fault(status=500) if THERE[1] in request.path else None

    server.control.fault = spoil
    assert fetch(world) == {"wanted no_answer": 1, "stored": 1}
    assert states(world) == {
        THERE[0]: ("stored", None, 1),
        THERE[1]: ("wanted", "no_answer", 1),
    }

    server.control.fault = None
    assert fetch(world) == {"stored": 1}
    assert states(world)[THERE[1]] == ("stored", None, 2)


def test_a_file_that_never_comes_is_given_up_after_some_runs(world: World, imported: Any) -> None:
    server = imported(with_file(THERE[0], "10:00"))
    server.control.fault = lambda request: Fault(reset=True) if request.template == FILE else None
    found = [fetch(world) for _ in range(ATTEMPTS + 1)]
    assert found == [{"wanted no_answer": 1}] * 4 + [{"expired no_answer": 1}, {}]
    assert stored_files(world) == []


def test_a_file_that_is_cut_off_is_not_kept(world: World, imported: Any) -> None:
    server = imported(with_file(THERE[0], "10:00"))
    server.control.fault = lambda request: Fault(keep=0.5) if request.template == FILE else None
    assert fetch(world) == {"wanted no_answer": 1}
    assert stored_files(world) == []


def test_newer_files_come_first_and_failed_ones_last(world: World, imported: Any) -> None:
    old, middle, new = THERE[:3]
    server = imported(with_file(old, "10:00"), with_file(middle, "10:01"), with_file(new, "10:02"))
    server.control.fault = lambda request: Fault(status=503) if new in request.path else None

    assert fetch(world, max_files=1) == {"wanted no_answer": 1}
    assert states(world)[new] == ("wanted", "no_answer", 1)
    assert fetch(world, max_files=1) == {"stored": 1}
    assert {name for name, (state, *_) in states(world).items() if state == "stored"} == {middle}


def test_only_the_kinds_that_are_asked_for_are_wanted(world: World, imported: Any) -> None:
    document = {"mimetype": "application/pdf", "fileName": "nota.pdf"}
    imported(
        with_file(THERE[0], "10:00"),
        with_file(THERE[1], "10:01", document=document),
        with_file(THERE[2], "10:02", audio={"mimetype": "audio/ogg; codecs=opus", "ptt": True}),
    )
    assert fetch(world, kinds=("document", "voice")) == {"stored": 2}
    assert set(states(world)) == {THERE[1], THERE[2]}
    assert {row["mimetype"] for row in world.rows("SELECT mimetype FROM history_sync.media")} == {
        "application/pdf",
        "audio/ogg; codecs=opus",
    }


def test_a_server_that_gives_no_media_is_told_from_media_that_is_gone(
    world: World, imported: Any
) -> None:
    server = imported(with_file(THERE[0], "10:00"))
    server.control.fault = lambda request: (
        Fault(status=200, body=b'{"hasMedia":true,"media":null}')
        if request.template == MESSAGE
        else None
    )
    assert fetch(world) == {"refused server_gives_no_media": 1}


def test_a_link_to_a_private_address_is_refused(world: World, imported: Any) -> None:
    server = imported(with_file(THERE[0], "10:00"))
    inside = server.url.replace("127.0.0.1", "127.0.0.2")
    body = f'{{"media":{{"url":"{inside}/secret"}}}}'.encode()
    server.control.fault = lambda request: (
        Fault(status=200, body=body) if request.template == MESSAGE else None
    )
    assert fetch(world) == {"refused link_not_allowed": 1}


@pytest.mark.parametrize("where", [MESSAGE, FILE])
def test_a_key_that_is_refused_stops_the_run_and_uses_up_no_attempt(
    world: World, imported: Any, where: str
) -> None:
    server = imported(with_file(THERE[0], "10:00"), with_file(THERE[1], "10:01"))
    server.control.fault = lambda request: Fault(status=401) if request.template == where else None
    with pytest.raises(WahaConfigurationError):
        fetch(world)
    assert server.stats.requests[f"GET {where}"] == 1
    assert {attempts for _, _, attempts in states(world).values()} == {0}


def test_a_session_that_is_not_ready_stops_the_run(world: World, imported: Any) -> None:
    server = imported(with_file(THERE[0], "10:00"))
    server.control.status = "SCAN_QR_CODE"
    with pytest.raises(WahaNotReadyError):
        fetch(world)
    assert states(world) == {THERE[0]: ("wanted", None, 0)}


def test_files_change_nothing_of_the_messages(world: World, imported: Any) -> None:
    imported(text(NAMES[0], "09:00"), with_file(THERE[1], "10:01"), with_file(GONE[0], "10:02"))
    versions = "SELECT id, xmin::text FROM messages ORDER BY id"
    before = world.rows(versions)
    fetch(world)
    again = world.import_days()
    assert world.rows(versions) == before
    assert again["unchanged"] == 3
    assert len(states(world)) == 2


def test_a_size_that_is_no_number_stops_nothing(world: World, imported: Any) -> None:
    imported(with_file(THERE[0], "10:00"))
    world.execute("""UPDATE messages SET metadata = '{"media": {"size": "12 kB"}}'""")
    assert fetch(world) == {"stored": 1}


def test_the_replay_gives_files_as_waha_does(imported: Any) -> None:
    document = {"mimetype": "application/pdf", "fileName": "nota.pdf"}
    server = imported(
        with_file(THERE[0], "10:00", 100_000),
        with_file(THERE[1], "10:01", 50, document=document),
        with_file(GONE[0], "10:02"),
    )
    with httpx.Client(base_url=server.url, headers={"X-Api-Key": KEY}) as web:

        def given(stanza: str, **query: str) -> Any:
            path = f"/api/default/chats/5511980000001@c.us/messages/{stanza}"
            return web.get(path, params=query).json()["media"]

        assert given(THERE[0]) == {
            "url": f"http://localhost:3000/api/files/default/{THERE[0]}.jpeg",
            "filename": None,
            "mimetype": "image/jpeg",
        }
        assert given(THERE[0], downloadMedia="false") is None
        assert given(THERE[1])["filename"] == "nota.pdf"
        gone = given(GONE[0])
        assert gone["url"] is None
        assert gone["error"]["output"]["statusCode"] == 410

        path = f"/api/files/default/{THERE[0]}.jpeg"
        first = web.get(path)
        assert (first.status_code, len(first.content)) == (200, LARGEST)
        assert first.headers["Content-Type"] == "image/jpeg"
        assert web.get(path).content == first.content
        head = web.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["Content-Length"] == str(LARGEST)
        assert len(web.get(f"/api/files/default/{THERE[1]}.pdf").content) == 50
        for unknown in ("nope.jpeg", f"{THERE[0]}.png", f"{GONE[0]}.jpeg"):
            assert web.get(f"/api/files/default/{unknown}").status_code == 404
        assert httpx.get(server.url + path).status_code == 401
