"""What assets and checks are given: a thin lifecycle around the rooms.

What belongs here: opening and closing. What does not: rules, queries, settings' meaning.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, date, datetime

import dagster as dg
from pydantic import PrivateAttr
from sqlalchemy.engine import Engine

from ventros_pipeline.archive import Archive
from ventros_pipeline.crm import ledger
from ventros_pipeline.crm.channels import Channel, get_channel
from ventros_pipeline.crm.database import timed_out
from ventros_pipeline.crm.lifecycle import Participation, attach_run
from ventros_pipeline.crm.limits import Wish
from ventros_pipeline.crm.plans import POISON
from ventros_pipeline.crm.turns import ChannelBusyError, channel_turn
from ventros_pipeline.environment import open_archive, open_engine
from ventros_pipeline.failures import explained, kind_of
from ventros_pipeline.importer import Importer
from ventros_pipeline.partitions import repair_range
from ventros_pipeline.report import Report, report_of
from ventros_pipeline.settings import Settings, get_settings
from ventros_pipeline.waha.errors import WahaConfigurationError, WahaNotReadyError

# WAHA has waited 15 s for the session before it says no; minutes later is soon enough.
NOT_READY_RETRIES, NOT_READY_SECONDS = 5, 120
# Set on runs that a person waits for: they are told at once.
ATTENDED = "ventros/attended"
# Runs with the same value are one import; a backfill's are so by Dagster's own tag.
IMPORT = "ventros/import"
BACKFILL = "dagster/backfill"
# Which range of a plan a run is, and the how-manyeth try. It fails at once: the plan tries again.
PLANNED_RANGE = "ventros/range"
# How long a step waits for the channel's turn, which a pass or another run may have just now.
TURN_WAIT = 600.0


class Pipeline(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The CRM's database and the raw archive of this process, opened once for a run."""

    _settings: Settings = PrivateAttr()
    _engine: Engine = PrivateAttr()
    _archive: Archive = PrivateAttr()
    _part: Participation = PrivateAttr()

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Open the database; the same one that the commands of this home use."""
        if context.run is not None:
            repair_range(context.run)
        self._settings = get_settings()
        self._engine = open_engine(self._settings)
        self._archive = open_archive(self._settings)
        self._part = Participation(self._engine, _group(context.run))

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Leave the channels' imports, and close the connections."""
        try:
            self._part.leave()
        finally:
            self._engine.dispose()

    def now(self) -> datetime:
        """Return the time, UTC; a scripted scenario has a clock of its own."""
        return datetime.now(UTC)

    @property
    def engine(self) -> Engine:
        """The CRM's database."""
        return self._engine

    @property
    def settings(self) -> Settings:
        """The settings of this process."""
        return self._settings

    @property
    def archive(self) -> Archive:
        """The raw archive."""
        return self._archive

    def channel(self, key: str) -> Channel:
        """Return a channel by its partition key."""
        return get_channel(self._engine, key)

    def report(self, channel: Channel) -> Report:
        """Return the report of a channel as it stands now."""
        return report_of(self._engine, channel, start=self._settings.history_start, now=self.now())

    @contextmanager
    def importing(
        self,
        channel: str,
        run_id: str,
        days: Sequence[date],
        *,
        last_step: bool,
        requeue: bool = False,
        wish: Wish | None = None,
        wait: float | None = TURN_WAIT,
    ) -> Iterator[Importer]:
        """Give the importer of one channel for one run, and keep the run's ledger.

        Args:
            channel: partition key.
            run_id: Dagster's run id.
            days: what the run reads or loads.
            last_step: whether the run is complete when this step is.
            requeue: whether a session that is not ready, or a channel that another run has in its
                hands, puts the step back in the queue.
            wish: what is imported; None for a step that imports no history. The import that it
                begins ends with the run.
            wait: seconds to wait for the channel's turn; None for a step that neither reads nor
                loads days and needs none.

        Raises:
            dagster.RetryRequested: the session is not ready, or the channel not free, and may be
                in a moment; the step is put back, not failed.
            dagster.Failure: in the words of `failures.explained`; the ledger says failed. Its
                `page` is true when a person has to mend something and was not told yet.
        """
        found = self.channel(channel)
        ledger.start_run(self._engine, found, run_id, days[0], days[-1])
        try:
            if wish is not None:
                attach_run(self._engine, found, self._part.enter(found, wish), run_id)
            with nullcontext() if wait is None else channel_turn(self._engine, found, wait=wait):
                yield Importer(
                    self._engine, self._archive, self._settings, found, run_id, self.now()
                )
        except (WahaNotReadyError, ChannelBusyError) as error:
            if requeue:
                raise dg.RetryRequested(NOT_READY_RETRIES, NOT_READY_SECONDS) from None
            raise self._failed(error, found, run_id, days) from None
        except Exception as error:  # noqa: BLE001 -- raised again, in words without row contents
            raise self._failed(timed_out(error) or error, found, run_id, days) from None
        ledger.clear_problem(self._engine, found)
        if last_step:
            ledger.end_run(self._engine, found, run_id)

    def note_failure(self, channel: str, run_id: str, reason: str) -> None:
        """Let a channel's run, and its import, end as failed, though the days were loaded."""
        found = self.channel(channel)
        ledger.end_run(self._engine, found, run_id, error=reason, failure=POISON)
        self._part.fail(found, reason)

    def _failed(
        self, error: Exception, channel: Channel, run_id: str, days: Sequence[date]
    ) -> dg.Failure:
        news = isinstance(error, WahaConfigurationError) and ledger.note_problem(
            self._engine, channel, str(error)
        )
        failure = explained(error, channel.key, days, page=news)
        ledger.end_run(
            self._engine, channel, run_id, error=failure.description, failure=kind_of(error)
        )
        self._part.fail(channel, failure.description or "")
        return failure


def may_queue_again(tags: Mapping[str, str]) -> bool:
    """Return whether a run's step may wait in the queue: no person or plan waits for it."""
    return ATTENDED not in tags and PLANNED_RANGE not in tags


def _group(run: dg.DagsterRun | None) -> str:
    if run is None:
        return ""
    return run.tags.get(IMPORT) or run.tags.get(BACKFILL) or run.run_id
