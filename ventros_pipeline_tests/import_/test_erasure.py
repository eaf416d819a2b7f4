"""A person who is erased is nowhere any more, and does not come back.

Ana is erased: known by a number in two spellings and a LID, in a conversation of her own, in a
group, in what others quote of her, in quarantine, in a media file and in the CRM's own rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ventros_pipeline.crm import erasure
from ventros_pipeline.crm.database import connect
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.crm.erasure import ErasureError, find_person, find_project, forget
from ventros_pipeline.media_store import MediaStore
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.buckets import S3
from ventros_pipeline_tests.conftest import fresh_database
from ventros_pipeline_tests.import_.programs import LINE, Crm, Live, Seen
from ventros_pipeline_tests.import_.test_programs import seen
from ventros_pipeline_tests.import_.test_undo import lives, run_over
from ventros_pipeline_tests.import_.world import World, at, message, write_account

PHONE, OLD, LID = "5511980000001", "551180000001", "210000000000001"
ANA, ANA_OLD, ANA_LID = f"{PHONE}@s.whatsapp.net", f"{OLD}@s.whatsapp.net", f"{LID}@lid"
BIA = "5511980000002@s.whatsapp.net"
GROUP = "120363000000000001@g.us"
# What must be nowhere: every form of her addresses, her name, and what she wrote.
SECRET = "jabuticaba"
FORMS = [PHONE, OLD, LID, "98000-0001", "8000-0001", SECRET, "Ana Souza"]
# What others wrote, some of it to her or of her.
KEPT = ["pitanga um", "pitanga dois", "pitanga tres", "pitanga quatro"]
Serve = Callable[[Path], ReplayServer]
Row = tuple[str, dict[str, Any] | bytes]


def said(stanza: str, clock: str, chat: str, text: str, **how: Any) -> Row:
    return chat, message(chat, stanza, at(f"2026-06-02 {clock}"), text, **how)


def quoting(text: str, **context: Any) -> dict[str, Any]:
    return {"extendedTextMessage": {"text": text, "contextInfo": context}}


def card(name: str, digits: str) -> dict[str, Any]:
    text = f"BEGIN:VCARD\nFN:{name}\nTEL;waid={digits}:+55 11 98000-0001\nEND:VCARD"
    return {"contactMessage": {"displayName": name, "vcard": text}}


def account() -> list[Row]:
    quoted = {"conversation": f"{SECRET} sete"}
    reply = {"id": "GRP1", "participant": f"{LID}@lid", "body": f"{SECRET} sete"}
    return [
        said("ANA1", "10:00", ANA, f"{SECRET} um", push_name="Ana Souza"),
        said("ANA2", "10:01", ANA, "resposta para ela, jabuticaba", from_me=True, ack=3),
        said("ANA3", "10:02", ANA_LID, f"{SECRET} dois", key={"remoteJidAlt": ANA}),
        said("ANA4", "10:03", ANA_OLD, f"{SECRET} tres"),
        said("GRP1", "11:00", GROUP, f"{SECRET} sete", participant=ANA_LID),
        said(
            "GRP2",
            "11:01",
            GROUP,
            "pitanga um",
            participant=BIA,
            replyTo=reply,
            content=quoting(
                "pitanga um", stanzaId="GRP1", participant=ANA_LID, quotedMessage=quoted
            ),
        ),
        said(
            "GRP3",
            "11:02",
            GROUP,
            f"pitanga dois @{LID}",
            participant=BIA,
            content=quoting(f"pitanga dois @{LID}", mentionedJid=[ANA_LID]),
        ),
        said("GRP4", "11:03", GROUP, "pitanga tres", from_me=True, ack=2),
        said("BIA1", "12:00", BIA, "pitanga quatro", push_name="Bia"),
        said("BIA2", "12:01", BIA, None, content=card("Ana Souza", PHONE)),
        (BIA, b'{"id": null, "timestamp": 1780398000, "broken": "%s@c.us"}' % PHONE.encode()),
        (
            ANA,
            b'{"timestamp": 1780398000, "body": "jabuticaba", "from": "%s@lid", "id": 7}'
            % LID.encode(),
        ),
    ]


def served(folder: Path) -> Path:
    members = [{"id": f"{digits}@c.us", "admin": None} for digits in (PHONE, BIA.partition("@")[0])]
    return write_account(
        folder,
        account(),
        lids={ANA_LID: ANA},
        contacts=[{"id": f"{PHONE}@c.us", "name": "Ana Souza", "pushname": "Ana Souza"}],
        groups={GROUP: {"id": GROUP, "subject": "Grupo", "participants": members}},
    )


@pytest.fixture
def ana(world: World, replay: Serve, tmp_path: Path) -> World:
    """A world that has read all of it, and what the CRM and people wrote besides."""
    return with_ana(world, replay, tmp_path)


def with_ana(world: World, replay: Serve, tmp_path: Path) -> World:
    replay(served(tmp_path / "account"))
    world.import_days()
    contact = world.value(
        "SELECT contact_id FROM history_sync.identities WHERE address = :a", a=f"{PHONE}@c.us"
    )
    world.execute(
        "INSERT INTO contact_events (contact_id, tenant_id, event_type, category, priority, title,"
        " source, occurred_at) SELECT id, tenant_id, 'note_added', 'note', 'low', :note, 'manual',"
        " now() FROM contacts WHERE id = :id",
        note=f"{SECRET} nota",
        id=contact,
    )
    world.execute(
        "INSERT INTO outbox_events (event_id, aggregate_id, aggregate_type, event_type, event_data,"
        " status) VALUES (gen_random_uuid(), gen_random_uuid(), 'contact', 'contact.created',"
        " jsonb_build_object('ContactID', CAST(:id AS text), 'Name', 'Ana Souza'), 'processed')",
        id=str(contact),
    )
    world.execute(
        "INSERT INTO history_sync.hints (channel_id, event_id, event, stanza_id) "
        "VALUES (:channel, 'h', 'message.any', 'ANA1')",
        channel=world.channel.id,
    )
    # A row that came in after it could not be read; its name ends in a stanza id of digits alone.
    world.execute(
        "INSERT INTO history_sync.quarantine (channel_id, row_hash, day, reason, payload, "
        "first_run, last_run, resolved_at, became) VALUES (:channel, :name, "
        "'2026-06-02', 'no_id', '', :run, :run, now(), 'inserted')",
        channel=world.channel.id,
        name=f"false_{GROUP}_300000000001_{LID}@lid",
        run=world.run_ids[-1],
    )
    sha256 = MediaStore(world.archive.store).put(SECRET.encode())
    world.execute(
        "INSERT INTO history_sync.media (message_id, channel_id, state, sha256) "
        "SELECT message_id, channel_id, 'stored', :sha FROM history_sync.message_keys "
        "WHERE stanza_id = 'ANA1'",
        sha=sha256,
    )
    return world


def everything(world: World) -> Iterator[tuple[str, str]]:
    """Give all that is kept anywhere, as text, with where it is."""
    tables = world.rows(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables "
        "WHERE schemaname IN ('public', 'history_sync')"
    )
    for table in tables:
        for row in world.rows(f"SELECT CAST(t AS text) AS row FROM {table['name']} AS t"):
            yield table["name"], row["row"]
    for path in world.home.rglob("*"):
        yield "a path", str(path.relative_to(world.home))
        if path.is_file() and path.suffix != ".parquet":
            yield path.name, path.read_bytes().decode(errors="replace")
    store = world.archive.store
    for name in store.sizes(""):
        yield "a name", name
        content = store.get(name) or b""
        if name.endswith(".parquet"):
            # Compressed, so that its bytes alone would say nothing.
            for row in pl.read_parquet(content).iter_rows():
                parts = (p.decode() if isinstance(p, bytes) else str(p) for p in row)
                yield name, " ".join(parts)
        else:
            yield name, content.decode(errors="replace")


def traces(world: World, forms: Sequence[str] = FORMS) -> list[tuple[str, str]]:
    return [(form, where) for where, text in everything(world) for form in forms if form in text]


def erase(
    world: World, phone: str = "+55 11 98000-0001", *, dry_run: bool = False
) -> dict[str, int]:
    person = find_person(world.engine, find_project(world.engine, None), phone)
    return forget(world.engine, world.archive, person, dry_run=dry_run)


def texts(world: World) -> list[str]:
    return [
        row["text"]
        for row in world.rows(
            "SELECT text FROM messages WHERE text IS NOT NULL AND deleted_at IS NULL "
            'ORDER BY "timestamp"'
        )
    ]


def test_nothing_of_an_erased_person_is_left_and_nothing_brings_her_back(ana: World) -> None:
    assert {form for form, _ in traces(ana)} == set(FORMS)
    counts = erase(ana)
    assert traces(ana) == []
    assert counts["messages"] == 5
    assert counts["quarantine"] == 3
    assert counts["media_files"] == 1
    # What others wrote is there, without her.
    assert texts(ana) == ["pitanga um", "pitanga dois @0", "pitanga tres", "pitanga quatro"]
    ana.assert_proved()

    # WAHA goes on showing her: every list, every day, every row.
    ana.execute("UPDATE history_sync.channel_state SET directory_read_at = NULL")
    again = ana.import_days(now=ana.now + timedelta(hours=3))
    assert traces(ana) == []
    assert again["inserted"] == 0
    # A row that nobody can read names her no more.
    assert again["quarantined"] == 1
    ana.assert_proved()
    for _ in ana.importer().load_days(ana.days, force=True):
        pass
    assert traces(ana) == []
    ana.assert_proved()


def test_nothing_of_an_erased_person_is_left_in_a_bucket(
    world: World, replay: Serve, tmp_path: Path, s3: S3
) -> None:
    world.place = s3.uri
    with_ana(world, replay, tmp_path)
    assert {form for form, where in traces(world) if "/" in where} == set(FORMS)
    erase(world)
    assert traces(world) == []
    assert not (world.home / "archive").exists()


def test_what_a_killed_writer_left_of_an_erased_person_goes_too(ana: World) -> None:
    day = ana.archive.name(ana.channel.key, ana.days[1])
    (ana.home / "archive" / f"{day}.abc.tmp").write_bytes(SECRET.encode())
    erase(ana)
    assert traces(ana) == []


def test_an_erasure_that_is_cut_off_is_finished_by_the_next(
    ana: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    for owner, name in (
        (erasure._Erasing, "_empty_crm"),
        (erasure._Erasing, "_empty_archive"),
        (MediaStore, "delete"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, killed)
            with pytest.raises(KilledError):
                erase(ana)
        # Whatever is loaded meanwhile, she does not come back; the balance closes with her counted.
        for loaded in ana.importer().load_days(ana.days, force=True):
            assert loaded.filtered_reasons["erased"] == (6 if name != "delete" else 0), (
                loaded.filtered_reasons
            )
        ana.assert_proved()
    erase(ana)
    assert traces(ana) == []
    assert not ana.value("SELECT count(*) FROM history_sync.erasures WHERE ended_at IS NULL")


def test_a_dry_run_counts_the_same_and_changes_nothing(ana: World) -> None:
    before = sorted(everything(ana))
    counted = erase(ana, dry_run=True)
    assert sorted(everything(ana)) == before
    assert counted == erase(ana)
    # A second time there is nothing left to do, and who asked is on record both times.
    assert erase(ana) == {}
    told = ana.rows("SELECT counts, ended_at FROM history_sync.erasures ORDER BY asked_at")
    assert [row["counts"].get("messages") for row in told] == [5, None]
    assert all(row["ended_at"] for row in told)


def test_every_spelling_of_a_number_is_the_same_person_and_what_is_none_is_refused(
    ana: World,
) -> None:
    project = find_project(ana.engine, None)
    for spelling in ("551180000001", "+55 (11) 8000-0001", "5511980000001"):
        person = find_person(ana.engine, project, spelling)
        assert person.addresses == {f"{PHONE}@c.us", f"{OLD}@c.us", f"{LID}@lid"}, spelling
        assert all(PHONE not in shown and LID not in shown for shown in person.masked)
    for phone, said in (
        ("Ana", "no telephone number"),
        ("123", "no telephone number"),
        ("5511990000000", "own account"),
    ):
        with pytest.raises(ErasureError, match=said):
            find_person(ana.engine, project, phone)
    with pytest.raises(ErasureError, match="0 projects are meant"):
        find_project(ana.engine, "nobody's")


# -- whatever was read ---------------------------------------------------------------------------

ERASURES = int(os.environ.get("VENTROS_ERASURES", "0"))
OTHERS = """
    SELECT m.id, m.contact_id, m.chat_id, m."timestamp", m.text, m.status, m.from_me, m.deleted_at,
        s.message_count, s.started_at, s.ended_at
    FROM messages AS m LEFT JOIN sessions AS s ON s.id = m.session_id
    WHERE m.contact_id <> ALL(%(contacts)s::uuid[]) ORDER BY m.id
"""


@pytest.fixture(scope="module")
def crm(
    postgres_server: EmbeddedServer, migrated_template: str, tmp_path_factory: Any
) -> Iterator[Crm]:
    with fresh_database(postgres_server.url, migrated_template) as url:
        engine = connect(url)
        yield Crm(engine, tmp_path_factory.mktemp("home"))
        engine.dispose()


def kept_text(crm: Crm) -> str:
    """Return all that the database and the archive hold, as text."""
    tables = crm.query(
        "SELECT format('%%I.%%I', schemaname, tablename) AS name FROM pg_tables "
        "WHERE schemaname IN ('public', 'history_sync')"
    )
    lines = (f"SELECT CAST(t AS text) AS row FROM {table['name']} AS t" for table in tables)
    rows = [row["row"] for row in crm.query(" UNION ALL ".join(lines))]
    frames = [pl.read_parquet(file) for file in crm.archive.store.files.values()]  # type: ignore[attr-defined]
    payloads = [payload.decode() for frame in frames for payload in frame["payload"]]
    return "\n".join([*rows, *payloads, *(str(frame["row_key"].to_list()) for frame in frames)])


@settings(
    max_examples=ERASURES or 5,
    deadline=None,
    derandomize=not ERASURES,
    database=None,
    phases=tuple(Phase) if ERASURES else (Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(
    before=st.lists(seen(), min_size=1, max_size=5),
    live=st.lists(lives(), max_size=1),
    after=st.lists(seen(), max_size=3),
    number=st.sampled_from(sorted(LINE)),
)
def test_whatever_was_read_a_person_is_gone_and_everybody_else_is_as_before(
    crm: Crm, before: list[Seen], live: list[Live], after: list[Seen], number: str
) -> None:
    crm.empty()
    for row in live:
        crm.write_live(row)
    run_over(crm, before)
    person = find_person(crm.engine, find_project(crm.engine, None), number)
    others = crm.query(OTHERS, contacts=list(person.contacts))

    forget(crm.engine, crm.archive, person)
    assert crm.query(OTHERS, contacts=list(person.contacts)) == others
    assert not [digits for digits in person.digits if digits in kept_text(crm)]
    assert not crm.findings()

    # As if the archive had been written by a process that had not heard of it.
    run_over(crm, before)
    assert crm.query(OTHERS, contacts=[]) == others
    run_over(crm, after)
    assert not crm.findings()
    assert not set(person.contacts) & {str(row["id"]) for row in crm.contacts()}
    forget(crm.engine, crm.archive, person)
    assert not [digits for digits in person.digits if digits in kept_text(crm)]
