"""A run that is undone has never been: what it inserted is gone, what it changed is as it was.

Two runs over generated pages, with the CRM's own webhook before and between them. Undoing the
second gives back the state after the first, and loading its days again gives the state after both.
`VENTROS_UNDOINGS` runs more of them, with seeds of their own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ventros_pipeline.crm import ledger
from ventros_pipeline.crm.database import connect
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.crm.undo import UndoError, Undone, undo_run
from ventros_pipeline_tests.conftest import fresh_database
from ventros_pipeline_tests.import_.cutting import badly_cut
from ventros_pipeline_tests.import_.programs import DAYS, STANZAS, Crm, Live, Seen
from ventros_pipeline_tests.import_.test_programs import seen

UNDOINGS = int(os.environ.get("VENTROS_UNDOINGS", "0"))
FEW = 8
CRM_CONTACTS = UUID("7d1c8c55-0b6e-4d4e-9f3b-0a1b2c3d4e5f")
# What says when and by which run a row came to be; a run of another day writes others.
BIRTH = (
    "created_at",
    "inserted_by_run",
    "created_by_run",
    "learned_at",
    "joined_at",
    "entered_at",
)


@st.composite
def lives(draw: st.DrawFn) -> Live:
    """Draw a row that the CRM's webhook wrote of a message that came in one to one."""
    stanza = draw(st.sampled_from([s for s in STANZAS if s.sender is not None and not s.in_group]))
    row = draw(seen().filter(lambda row: row.stanza == stanza and not row.is_mark))
    bare = draw(st.booleans())
    name = row.stanza.id if bare else f"false_{row.address}_{row.stanza.id}"
    return Live(
        row.channel,
        stanza,
        row.address,
        name,
        "webhook",
        UUID(bytes=uuid5(CRM_CONTACTS, row.address).bytes, version=4),
        row.address.endswith("@c.us"),
    )


@pytest.fixture(scope="module")
def crm(
    postgres_server: EmbeddedServer, migrated_template: str, tmp_path_factory: Any
) -> Iterator[Crm]:
    with fresh_database(postgres_server.url, migrated_template) as url:
        engine = connect(url)
        yield Crm(engine, tmp_path_factory.mktemp("home"))
        engine.dispose()


def run_over(crm: Crm, rows: Sequence[Seen], days: Sequence[date] = DAYS) -> str:
    """Archive rows and load days of both channels, as one run."""
    for row in rows:
        crm.read(row)
    run_id = str(uuid4())
    for number, channel in enumerate(crm.channels):
        ledger.start_run(crm.engine, channel, run_id, days[0], days[-1])
        crm.load(number, days, run_id)
        ledger.end_run(crm.engine, channel, run_id)
    return run_id


def state_of(crm: Crm) -> dict[str, Any]:
    """Return all rows, and what is known of who is whom and how far the channels are loaded."""
    known = crm.query(
        "SELECT 'watermark', channel_id::text, watermark::text FROM history_sync.channel_state"
        " WHERE watermark IS NOT NULL"
        " UNION ALL SELECT one, other, source FROM history_sync.evidence"
        " UNION ALL SELECT kept::text, absorbed::text, (undone_at IS NULL)::text"
        " FROM history_sync.merges"
        " UNION ALL SELECT message_id::text, day::text, waha_id FROM history_sync.places"
    )
    return {**crm.state(), "known": sorted(str(tuple(row.values())) for row in known)}


def findings(crm: Crm) -> dict[str, int]:
    """Return what the proofs find; a row that the CRM wrote beside ours waits for the next load."""
    return {name: len(rows) for name, rows in crm.findings().items()}


def unborn(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state without the moments at which rows were made, and the runs that made them.

    Of two spellings of one number, that of the row that was loaded first stands for the person.
    """
    told = re.compile(rf'"(?:{"|".join(BIRTH)})": (?:"[^"]*"|null)')
    spelled = {"551180000001": "5511980000001", "+55 11 8000-0001": "+55 11 98000-0001"}

    def plain(row: str) -> str:
        row = re.sub(r'"deleted_at": "[^"]*"', '"deleted_at": "then"', told.sub("", row))
        for other, number in spelled.items():
            row = row.replace(f'"{other}"', f'"{number}"')
        return row

    return {name: sorted(plain(row) for row in rows) for name, rows in state.items()}


def assert_same(now: dict[str, Any], before: dict[str, Any], when: str) -> None:
    differing = {
        name: {
            "new": [r for r in now[name] if r not in before[name]],
            "gone": [r for r in before[name] if r not in now[name]],
        }
        for name in before
        if now[name] != before[name]
    }
    assert not differing, f"{when}: {differing}"


@settings(
    max_examples=UNDOINGS or FEW,
    deadline=None,
    derandomize=not UNDOINGS,
    # The suite's own are few and bound by time; whoever looks for the cause sets the variable.
    phases=tuple(Phase) if UNDOINGS else (Phase.explicit, Phase.generate),
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    first=st.lists(seen(), max_size=4),
    second=st.lists(seen(), min_size=1, max_size=4),
    before=st.lists(lives(), max_size=1),
    between=st.lists(lives(), max_size=1),
)
def test_undoing_gives_back_the_state_before_and_loading_again_the_state_after(
    crm: Crm, first: list[Seen], second: list[Seen], before: list[Live], between: list[Live]
) -> None:
    crm.empty()
    for live in before:
        crm.write_live(live)
    run_over(crm, first)
    for live in between:
        crm.write_live(live)
    after_first, found_first = state_of(crm), findings(crm)
    run_id = run_over(crm, second)
    after_both, found_both = state_of(crm), findings(crm)

    promised = undo_run(crm.engine, run_id, dry_run=True)
    assert promised.obstacles == ()
    assert_same(state_of(crm), after_both, "a dry run changes nothing")

    undone = undo_run(crm.engine, run_id)
    assert undone == promised
    assert_same(state_of(crm), after_first, "undone")
    assert findings(crm) == found_first
    assert not [cut for channel in crm.channels for cut in badly_cut(crm.engine, channel)]

    run_over(crm, [])
    assert_same(unborn(state_of(crm)), unborn(after_both), "loaded again")
    assert findings(crm) == found_both


def test_what_a_run_told_a_contact_of_the_crm_by_a_row_of_its_own_is_taken_back(crm: Crm) -> None:
    crm.empty()
    row = Seen(0, STANZAS[1], "210000000000002@lid")
    run_over(crm, [row])
    address = "210000000000002@c.us"
    assert crm.write_live(Live(0, row.stanza, address, "INB", "webhook", uuid4(), True))
    before = state_of(crm)
    run_id = run_over(crm, [row._replace(ack=3)])
    assert undo_run(crm.engine, run_id).restored["public.contacts"] == 1
    assert_same(state_of(crm), before, "undone")


# -- what stands in the way ----------------------------------------------------------------------

FIRST = Seen(0, STANZAS[0], "5511980000001@c.us")
ANSWER = Seen(0, STANZAS[3], "5511980000001@c.us", ack=1)
READ = ANSWER._replace(ack=3)
OTHER = Seen(0, STANZAS[1], "5511980000002@c.us")
EDIT = FIRST._replace(version=1)


def execute(crm: Crm, statement: str) -> list[str]:
    """Change rows as somebody else would; return their ids."""
    with crm.engine.begin() as connection:
        return [str(row) for row in connection.exec_driver_sql(statement).scalars()]


def refused(crm: Crm, run_id: str) -> Undone:
    """Undo a run, which must be refused and leave everything as it is."""
    before = state_of(crm)
    undone = undo_run(crm.engine, run_id)
    assert undone.obstacles
    assert not undone.removed
    assert_same(state_of(crm), before, "refused")
    return undone


def found(undone: Undone) -> list[tuple[str, str | None, Sequence[str]]]:
    return [(o.kind, o.relation, o.ids) for o in undone.obstacles]


@pytest.mark.parametrize(
    ("relation", "edit"),
    [
        ("messages", "UPDATE messages SET text = 'corrigido', updated_at = clock_timestamp()"),
        ("messages", "UPDATE messages SET deleted_at = now(), updated_at = clock_timestamp()"),
        ("contacts", "UPDATE contacts SET name = 'Ana', updated_at = clock_timestamp()"),
        ("chats", "UPDATE chats SET status = 'archived', updated_at = clock_timestamp()"),
    ],
)
def test_what_a_person_edited_in_rows_of_the_run_is_named_and_kept(
    crm: Crm, relation: str, edit: str
) -> None:
    crm.empty()
    run_id = run_over(crm, [FIRST])
    (row,) = execute(crm, f"{edit} RETURNING id")
    assert found(refused(crm, run_id)) == [("edited", relation, [row])]


@pytest.mark.parametrize(
    "edit", ["status = 'failed'", "text = 'corrigido'", "metadata = metadata || '{\"note\": 1}'"]
)
def test_an_edit_stands_in_the_way_only_of_the_columns_that_the_run_changed(
    crm: Crm, edit: str
) -> None:
    crm.empty()
    run_over(crm, [ANSWER])
    before = state_of(crm)
    run_id = run_over(crm, [READ])
    (row,) = execute(crm, f"UPDATE messages SET {edit} RETURNING id")
    if edit.startswith("text"):
        assert undo_run(crm.engine, run_id).restored["public.messages"] == 1
        execute(crm, "UPDATE messages SET text = 'OUT 0' RETURNING id")
        assert_same(state_of(crm), before, "undone around an edit")
    else:
        assert found(refused(crm, run_id)) == [("edited", "messages", [row])]


@pytest.mark.parametrize(
    ("relation", "columns", "values"),
    [
        (
            "contact_events",
            "event_type, category, priority, source, occurred_at",
            "'note_added', 'note', 'low', 'manual', now()",
        ),
        ("contact_custom_fields", "field_key, field_type, field_value", "'cpf', 'text', '\"000\"'"),
    ],
)
def test_what_people_hung_on_a_contact_of_the_run_stands_in_the_way(
    crm: Crm, relation: str, columns: str, values: str
) -> None:
    crm.empty()
    run_id = run_over(crm, [FIRST])
    (row,) = execute(
        crm,
        f"INSERT INTO {relation} (contact_id, tenant_id, {columns}) "
        f"SELECT id, tenant_id, {values} FROM contacts RETURNING id",
    )
    assert found(refused(crm, run_id)) == [("hangs_on", relation, [row])]
    execute(crm, f"DELETE FROM {relation} WHERE id = '{row}' RETURNING id")
    assert undo_run(crm.engine, run_id).removed["contacts"] == 1


def test_a_link_that_the_crm_made_to_a_message_of_the_run_stands_in_the_way(crm: Crm) -> None:
    crm.empty()
    run_id = run_over(crm, [FIRST])
    live = Live(0, STANZAS[3], "5511980000009@c.us", "LIVE", "manual", uuid4(), True)
    assert crm.write_live(live)
    (row,) = execute(
        crm,
        "UPDATE messages SET reply_to_id = (SELECT id FROM messages WHERE source = "
        "'history_import') WHERE channel_message_id = 'LIVE' RETURNING id",
    )
    assert found(refused(crm, run_id)) == [("edited", "messages", [row])]


def test_a_contact_that_somebody_has_written_to_since_stays_without_the_run(crm: Crm) -> None:
    crm.empty()
    run_id = run_over(crm, [FIRST, OTHER])
    live = Live(0, STANZAS[2], "5511980000001@c.us", "LIVE", "webhook", uuid4(), True)
    assert crm.write_live(live)
    undone = undo_run(crm.engine, run_id)
    assert undone.removed["messages"] == 2
    assert undone.removed["contacts"] == 1
    assert [row["phone"] for row in crm.contacts()] == ["+5511980000001"]
    assert [row["name"] for row in crm.rows()] == ["LIVE"]


def test_later_runs_on_the_same_rows_are_undone_first(crm: Crm) -> None:
    crm.empty()
    run_over(crm, [OTHER])
    before = state_of(crm)
    first, second, third = (run_over(crm, [row]) for row in (FIRST, EDIT, ANSWER))
    assert found(refused(crm, first)) == [("later_run", None, [third, second])]
    for run_id in (third, second, first):
        assert not undo_run(crm.engine, run_id).obstacles
    assert_same(state_of(crm), before, "all undone")


def test_a_run_that_never_was_still_runs_or_is_undone_is_refused(crm: Crm) -> None:
    crm.empty()
    run_id = run_over(crm, [FIRST])
    execute(crm, "UPDATE history_sync.runs SET status = 'running' RETURNING run_id")
    with pytest.raises(UndoError, match="still runs"):
        undo_run(crm.engine, run_id)
    execute(crm, "UPDATE history_sync.runs SET status = 'failed' RETURNING run_id")
    undo_run(crm.engine, run_id)
    with pytest.raises(UndoError, match="was undone already"):
        undo_run(crm.engine, run_id)
    for wrong, said in ((str(uuid4()), "ever wrote"), ("yesterday's", "is no run")):
        with pytest.raises(UndoError, match=said):
            undo_run(crm.engine, wrong)


def test_days_of_an_undone_run_are_unknown_and_told_of_in_its_record(crm: Crm) -> None:
    crm.empty()
    run_id = run_over(crm, [FIRST])
    undo_run(crm.engine, run_id)
    states = crm.query("SELECT DISTINCT state, check_at, rows_known FROM history_sync.coverage")
    assert states == [{"state": "unknown", "check_at": None, "rows_known": 0}]
    assert not crm.query("SELECT FROM history_sync.loaded_days")
    assert not crm.query("SELECT FROM history_sync.balance")
    assert not crm.query("SELECT FROM history_sync.changes")
    for run in crm.query("SELECT undone_at, undone FROM history_sync.runs"):
        assert run["undone_at"] is not None
        assert run["undone"]["removed"]["messages"] == 1
