"""Profiles of faults and live changes: decided by a seed, bounded, and told truly."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ventros_pipeline.replay.account import Account
from ventros_pipeline.replay.control import Control, Fault, Request, Tricks
from ventros_pipeline.replay.engine import MESSAGES
from ventros_pipeline.replay.faults import MAKERS, PROFILES, ROW_MAKERS, Faults
from ventros_pipeline.replay.generate import generate
from ventros_pipeline.replay.live import SHARES, LiveChanges
from ventros_pipeline.replay.server import ENGINES, ReplayServer, create_app, serve
from ventros_pipeline.replay.store import Ghosts, Look
from ventros_pipeline.replay.stored import digest
from ventros_pipeline.waha.wire import decode_rows
from ventros_pipeline_tests.replay.conftest import ACCOUNT_A, client
from ventros_pipeline_tests.replay.test_engines import OWN

GROUP = "120363339628048194@g.us"
PATH = f"/api/default/chats/{GROUP}/messages"
PLAIN = {"downloadMedia": "false", "merge": "false"}


def request(number: int, offset: int = 0, path: str = PATH) -> Request:
    return Request("GET", path, MESSAGES, {"offset": str(offset)}, number)


def drawn(seed: int, profile: str = "hostile", count: int = 4000) -> list[Fault | None]:
    faults = Faults(PROFILES[profile], seed)
    return [faults(request(number, number)) for number in range(1, count)]


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("live")
    generate(folder, messages=900, chats=16, seed=2, bursts=1, burst_size=40)
    return folder


@pytest.fixture
def ghostly(account_a: Account) -> Iterator[ReplayServer]:
    with ReplayServer(account_a) as server:
        server.control.ghosts = Ghosts(5, 8, 20)
        yield server


# -- which request meets which fault ---------------------------------------------------------


@pytest.mark.parametrize("profile", ["flaky", "hostile"])
def test_the_same_seed_meets_the_same_faults(profile: str) -> None:
    first = drawn(7, profile)
    assert first == drawn(7, profile)
    assert first != drawn(8, profile)


def test_a_fault_depends_on_number_and_path_and_not_on_what_was_before() -> None:
    faults, fresh = Faults(PROFILES["hostile"], 1), Faults(PROFILES["hostile"], 1)
    for number in range(1, 500):
        faults(request(number))
    assert [faults.draw(request(n)) for n in range(500, 900)] == [
        fresh.draw(request(n)) for n in range(500, 900)
    ]
    other = [fresh.draw(request(n, path="/api/default/chats/1@lid/messages")) for n in range(900)]
    assert other != [fresh.draw(request(n)) for n in range(900)]


def test_each_profile_meets_everything_it_promises_at_modest_rates() -> None:
    for profile in ("flaky", "hostile"):
        names = Counter(fault.name.split("_5")[0] for fault in drawn(3, profile) if fault)
        promised = {*PROFILES[profile].rates, *PROFILES[profile].row_rates}
        assert set(names) == promised
    assert {*MAKERS, *ROW_MAKERS} == promised
    flaky = [fault for fault in drawn(3, "flaky") if fault and not fault.harmless]
    assert len(flaky) < 4000 * 0.1


@pytest.mark.parametrize("profile", ["flaky", "hostile"])
def test_the_same_request_never_fails_more_often_than_promised(profile: str) -> None:
    most = PROFILES[profile].in_a_row
    for seed in range(20):
        faults, longest, running = Faults(PROFILES[profile], seed), 0, 0
        for number in range(1, 2000):
            fault = faults(request(number))
            running = running + 1 if fault and not fault.harmless else 0
            longest = max(longest, running)
        assert 1 <= longest <= most


def test_the_profile_none_spoils_nothing(account_a: Account) -> None:
    with ReplayServer(account_a, faults="none", seed=5) as server:
        assert server.control.fault is None
        assert server.control.ghosts is None


@pytest.mark.parametrize("make", [serve, ReplayServer])
def test_an_unknown_profile_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="one of none, flaky, hostile"):
        make(ACCOUNT_A, faults="evil")


def test_a_patient_reader_gets_through_a_hostile_server(account_a: Account) -> None:
    with (
        ReplayServer(account_a, faults="hostile", seed=9, pace=0.002) as server,
        client(server) as session,
    ):
        server.control.ghosts = None
        seen = Counter(name for _ in range(120) for name in [patient(session)])
        assert seen["whole"] == 120
        assert len(server.stats.faults) > 8
        assert server.stats.statuses[200] < server.stats.total


def patient(session: httpx.Client) -> str:
    """Ask until a list of messages comes, at most four times."""
    for _ in range(4):
        try:
            response = session.get(PATH, params=PLAIN | {"limit": "30"})
            if response.status_code == 200 and isinstance(response.json(), list):
                return "whole"
        except (httpx.HTTPError, ValueError):
            continue
    return "lost"


# -- what single faults do -------------------------------------------------------------------


def test_a_wrong_content_type_carries_the_true_answer(account_a: Account) -> None:
    with (
        ReplayServer(account_a, fault=lambda _: Fault.wrong_type()) as server,
        client(server) as session,
    ):
        response = session.get(PATH)
    assert response.headers["content-type"] == "text/plain"
    assert len(response.json()) == 10


def test_a_connection_can_be_closed_after_a_whole_answer(account_a: Account) -> None:
    with (
        ReplayServer(account_a, fault=lambda _: Fault.hanging_up()) as server,
        client(server) as session,
    ):
        first = session.get(PATH)
        try:  # the client may or may not have noticed that its connection is gone
            second = session.get(PATH)
        except (httpx.ReadError, httpx.RemoteProtocolError):
            second = session.get(PATH)
    assert len(first.json()) == len(second.json()) == 10
    assert "connection" not in first.headers


def test_a_silent_server_ends_in_a_reset(account_a: Account) -> None:
    with (
        ReplayServer(account_a, fault=lambda _: Fault.silent(0.02)) as server,
        client(server) as session,
        pytest.raises(httpx.ReadError),
    ):
        session.get(PATH)


def test_one_request_can_meet_a_session_that_does_not_work(account_a: Account) -> None:
    def gap(asked: Request) -> Fault | None:
        return Fault.not_working() if asked.number < 3 else None

    with ReplayServer(account_a, fault=gap) as server, client(server) as session:
        refused = session.get(PATH)
        assert (refused.status_code, refused.json()["status"]) == (422, "STARTING")
        assert session.get("/api/sessions/default").json()["status"] == "STARTING"
        assert session.get(PATH).status_code == 200


def test_rows_can_be_written_twice_one_after_the_other(account_a: Account) -> None:
    odd = Fault.odd_rows(Tricks(double=4))
    with ReplayServer(account_a, fault=lambda _: odd) as server, client(server) as session:
        rows = ids(session.get(PATH, params=PLAIN | {"limit": "60"}).json())
    assert len(rows) == 70
    assert len(set(rows)) == 60


def test_rows_of_one_second_change_places_and_pages(folder: Path) -> None:
    def shuffled(asked: Request) -> Fault | None:
        return Fault.odd_rows(Tricks(shuffle=asked.number)) if asked.number > 1 else None

    with ReplayServer(folder, fault=shuffled) as server, client(server) as session:

        def ask(limit: int) -> list[tuple[int, str]]:
            query = PLAIN | {"limit": str(limit), "sortOrder": "asc"}
            rows = session.get("/api/default/chats/all/messages", params=query).json()
            return [(row["timestamp"], row["id"]) for row in rows]

        true, mixed = ask(900), ask(900)
        burst = Counter(time for time, _ in true).most_common(1)[0][0]
        inside = [time for time, _ in true].index(burst) + 15
        assert true != mixed
        assert [time for time, _ in true] == [time for time, _ in mixed]
        assert sorted(true) == sorted(mixed)
        assert set(ask(inside)) != set(ask(inside))


def test_a_page_can_come_again_for_another_offset_only(account_a: Account) -> None:
    odd = Fault.odd_rows(Tricks(repeat=True))
    with ReplayServer(account_a, fault=lambda _: odd) as server, client(server) as session:
        first = session.get(PATH, params=PLAIN | {"limit": "5"}).json()
        second = session.get(PATH, params=PLAIN | {"limit": "5", "offset": "5"}).json()
        third = session.get(PATH, params=PLAIN | {"limit": "6", "offset": "5"}).json()
    assert first == second
    assert len(third) == 6
    assert third[0] not in first


def test_hidden_rows_make_inner_pages_short_and_empty_and_lose_nothing(
    ghostly: ReplayServer,
) -> None:
    with client(ghostly) as session:
        pages = [
            session.get(PATH, params=PLAIN | {"limit": "7", "offset": str(offset)}).json()
            for offset in range(0, 1400, 7)
        ]
    sizes = [len(page) for page in pages]
    last = max(place for place, size in enumerate(sizes) if size)
    assert 0 in sizes[:last]
    assert any(0 < size < 7 for size in sizes[:last])
    found = [name for page in pages for name in ids(page)]
    assert len(found) == len(set(found)) == 248


def test_hidden_rows_lie_at_the_same_places_every_time(account_a: Account) -> None:
    def look(seed: int) -> list[bytes]:
        return account_a.page(None, limit=900, look=Look(ghosts=Ghosts(seed, 30, 9)))

    assert look(1) == look(1)
    assert len(look(1)) < 900
    assert look(1) != look(2)


# -- live changes ----------------------------------------------------------------------------


def read_live(folder: Path, engine: str, seed: int, reads: int = 160) -> tuple[Any, Any]:
    live = LiveChanges(seed=seed, every=2)
    with ReplayServer(folder, engine=engine, live=live) as server, client(server) as session:
        before = {fact.key: fact for fact in server.engine.facts()}
        for _ in range(reads):
            session.get(PATH, params={"limit": "1"})
        live.most = 0  # at rest from here on
        truth = server.truth
        chats = {chat: None for chat, _ in server.account.stored()}
        rows = [
            row
            for chat in chats
            for row in session.get(
                f"/api/default/chats/{chat}/messages", params=PLAIN | {"limit": "5000"}
            ).json()
        ]
        assert server.truth.now == truth.now
    return live.done, (before, truth, rows)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_truth_tells_what_stayed_what_came_and_what_went(folder: Path, engine: str) -> None:
    done, (before, truth, rows) = read_live(folder, engine, 6)
    kinds = Counter(change.what for change in done)
    assert len(done) == 60
    assert set(kinds) >= set(SHARES) - {"mapping"}
    assert set(truth.always) == set(before) & set(truth.now)
    assert set(truth.vanished) >= set(before) - set(truth.now)
    assert set(truth.appeared) == set(truth.now) - set(before)
    edited = {change.stanza_id for change in done if change.what in ("edit", "ack")}
    assert {stanza for _, stanza in truth.changed} <= edited
    assert all(earlier[0] == before[key] for key, earlier in truth.changed.items())
    served = decode_rows([json.dumps(row).encode() for row in rows], OWN).frame
    shown = set(zip(served["chat"], served["stanza_id"], strict=True))
    assert shown == set(truth.now)
    stored = {(row["id"].split("_")[2]): row for row in rows}
    for what in ("edit", "arrival", "late"):
        change = next(c for c in reversed(done) if c.what == what and c.stanza_id in stored)
        fact = next(fact for fact in truth.now.values() if fact.stanza_id == change.stanza_id)
        row = stored[change.stanza_id]
        assert (digest(row["body"]), row["timestamp"]) == (fact.body_hash, fact.timestamp)


@pytest.mark.parametrize("engine", ["noweb", "wpp"])
def test_the_same_seed_makes_the_same_changes(folder: Path, engine: str) -> None:
    first, second = (read_live(folder, engine, 11, 60) for _ in range(2))
    assert first[0] == second[0]
    assert first[1][1] == second[1][1]
    assert read_live(folder, engine, 12, 60)[0] != first[0]


def change_one(folder: Path, engine: str, what: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make one change of a kind; return all rows as served, by stanza id, before and after."""
    account = Account.load(folder)
    rows = ENGINES[engine](account, Control("key"))

    def shown() -> dict[str, Any]:
        found = [json.loads(rows.shown(text)) for _, text in account.stored()]
        return {row["id"].split("_")[2]: row for row in found}

    before = shown()
    LiveChanges(seed=3, every=1, most=1, shares={what: 1.0}).bind(rows)(request(1))
    after = shown()
    account.close()
    return before, after


def test_an_edit_moves_the_time_on_noweb_and_only_there(folder: Path) -> None:
    for engine in ENGINES:
        before, after = change_one(folder, engine, "edit")
        (name,) = [name for name in after if after[name] != before[name]]
        assert "corrigido" in after[name]["body"]
        moved = after[name]["timestamp"] != before[name]["timestamp"]
        assert moved is (engine == "noweb")
        data = after[name]["_data"]
        marks = {
            "noweb": "editedMessage" in data.get("message", {}),
            "gows": data.get("IsEdit") is True,
            "webjs": data.get("latestEditSenderTimestampMs", 0) is not None,
            "wpp": data.get("latestEditSenderTimestampMs", 0) is not None,
        }
        assert marks[engine]


def test_a_revoke_leaves_a_row_of_its_own_in_browsers_only(folder: Path) -> None:
    for engine in ENGINES:
        before, after = change_one(folder, engine, "revoke")
        (gone,) = set(before) - set(after)
        new = set(after) - set(before)
        if engine in ("noweb", "gows"):
            assert not new
            continue
        row = after[new.pop()]
        assert row["_data"]["type"] == "revoked"
        assert row["timestamp"] == before[gone]["timestamp"]
        target = row["_data"]["protocolMessageKey"]
        assert gone in (target if isinstance(target, str) else target["id"])


def test_an_ack_rises_and_a_mapping_appears(folder: Path) -> None:
    before, after = change_one(folder, "gows", "ack")
    (name,) = [name for name in after if after[name] != before[name]]
    assert (after[name]["ack"] or 0) > (before[name]["ack"] or 0)
    live = LiveChanges(every=1, most=1, shares={"mapping": 1.0})
    with ReplayServer(folder, live=live) as server, client(server) as session:
        known = len(session.get("/api/default/lids").json())
        session.get(PATH)
        assert len(session.get("/api/default/lids").json()) == known + 1
        assert session.get(f"/api/default/lids/{live.done[0].chat}").json()["pn"]


def test_an_app_tells_its_engine(account_a: Account) -> None:
    assert create_app(account_a, engine="wpp").state.engine.name == "WPP"
