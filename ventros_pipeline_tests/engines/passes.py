"""One pass over an account, as the orchestrator makes it, and what the CRM and the truth say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ventros_pipeline.crm import ledger
from ventros_pipeline.importer import Importer
from ventros_pipeline.replay.live import Happened
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.replay.truth import Key, Truth
from ventros_pipeline.report import Report, report_of
from ventros_pipeline.waha.errors import WahaNotReadyError
from ventros_pipeline_tests.import_.world import World, days_between

# Times that a movement is put back in the queue because the session is not WORKING.
PATIENCE = 25
TRIES = 10
ROWS = """
    SELECT k.address, k.stanza_id, m.channel_message_id, m.text
    FROM messages AS m LEFT JOIN history_sync.message_keys AS k ON k.message_id = m.id
"""


@dataclass(frozen=True)
class Case:
    """One server, one page limit."""

    engine: str
    faults: str
    limit: int
    seed: int

    def __str__(self) -> str:
        return f"{self.engine}-{self.faults}-{self.limit}"


@dataclass(frozen=True)
class Snapshot:
    """The CRM's rows, the server's truth and the importer's own proofs at one moment."""

    rows: Sequence[dict[str, Any]]
    truth: Truth
    report: Report
    findings: dict[str, int]

    @property
    def texts(self) -> dict[Key, str | None]:
        """The CRM's texts by chat address and stanza id."""
        return {(row["address"], row["stanza_id"]): row["text"] for row in self.rows}


@dataclass(frozen=True)
class Imported:
    """A case after its two passes.

    Attributes:
        requeued: how often the first pass was put back because the session was not WORKING.
        happened: what changed during the first pass.
        first: the moment after the pass during which the account changed.
        second: the moment after a pass over the account at rest.
    """

    case: Case
    requeued: int
    happened: Sequence[Happened]
    first: Snapshot
    second: Snapshot


def import_all(world: World, case: Case, now: datetime) -> int:
    """Import every day of the calendar; return how often a movement was put back in the queue."""
    world.now = now
    importer = _importer(world, case)
    days = days_between(world.start, now.date())
    ledger.start_run(world.engine, world.channel, importer.run_id, days[0], days[-1])
    requeued = _carried_out(importer.refresh_directory)
    requeued += _carried_out(lambda: list(importer.read_days(days)))
    list(importer.load_days(days))
    ledger.end_run(world.engine, world.channel, importer.run_id)
    return requeued


def snapshot(world: World, server: ReplayServer) -> Snapshot:
    """Write down how things are."""
    report = report_of(world.engine, world.channel)
    return Snapshot(world.rows(ROWS), server.truth, report, world.findings())


def _importer(world: World, case: Case) -> Importer:
    importer = world.importer()
    importer.settings = importer.settings.model_copy(
        update={"page_size": case.limit, "request_attempts": TRIES}
    )
    return importer


def _carried_out(movement: Callable[[], object]) -> int:
    for requeued in range(PATIENCE):
        try:
            movement()
        except WahaNotReadyError:
            continue
        return requeued
    raise AssertionError(f"the session was not ready {PATIENCE} times")
