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
from ventros_pipeline.crm.undo import undo_run
from ventros_pipeline_tests.conftest import fresh_database
from ventros_pipeline_tests.import_.programs import DAYS, STANZAS, Crm, Live, Seen
from ventros_pipeline_tests.import_.test_programs import seen

UNDOINGS = int(os.environ.get("VENTROS_UNDOINGS", "0"))
FEW = 25
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
    after_first = state_of(crm)
    run_id = run_over(crm, second)
    after_both = state_of(crm)

    promised = undo_run(crm.engine, run_id, dry_run=True)
    assert promised.obstacles == ()
    assert_same(state_of(crm), after_both, "a dry run changes nothing")

    undone = undo_run(crm.engine, run_id)
    assert undone == promised
    assert_same(state_of(crm), after_first, "undone")
    assert not crm.findings()

    run_over(crm, [])
    assert_same(unborn(state_of(crm)), unborn(after_both), "loaded again")
    assert not crm.findings()
