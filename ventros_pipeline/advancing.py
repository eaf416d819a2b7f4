"""How imports that nobody waits for get on: one look at all open plans, and what to run next.

What belongs here: the order in which channels, plans, runs and WAHA are asked, without Dagster.
What does not: what a failure means for a plan (`crm/plans.py`), how days become ranges
(`planning.py`), and how a run is found or requested (`sensors/history.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy.engine import Engine

from ventros_pipeline.archive import Archive
from ventros_pipeline.crm import ledger, lifecycle, plans
from ventros_pipeline.crm.channels import Channel, list_channels
from ventros_pipeline.crm.limits import Wish
from ventros_pipeline.crm.plans import TRANSIENT, Plan, PlanRange
from ventros_pipeline.failures import explained, kind_of
from ventros_pipeline.importer import Importer
from ventros_pipeline.planning import PlanError, plan_runs, trim
from ventros_pipeline.settings import Settings

# A range that was taken and of which no run was ever seen: the tick that took it was killed.
LAUNCH_GRACE = timedelta(minutes=2)
# A run must have been going so long before a missing process is believed to be dead.
SETTLED_SECONDS = 60.0
# One try of a request of the survey; it asks three or four, and a tick has 40 s.
SURVEY_SECONDS = 5.0
TURNED_OFF = "its history import was turned off; what it had loaded is kept"
AFTER_LOAD = "its days were loaded, and then the run failed; its events in the UI say why"


@dataclass(frozen=True)
class Seen:
    """The newest run of an attempt, as the orchestrator tells of it.

    Attributes:
        state: `ahead` while it is queued or starting, `going` once its process should be there.
    """

    run_id: str
    state: Literal["ahead", "going", "succeeded", "failed"]


@dataclass(frozen=True)
class Orchestrator:
    """What is asked of whoever runs the ranges.

    Attributes:
        run_of: returns the newest run of an attempt, None where there is none.
        report_lost: told of a run whose process is gone, though nobody has noticed.
    """

    run_of: Callable[[UUID, PlanRange], Seen | None]
    report_lost: Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """A range that was taken and is to be run."""

    channel: Channel
    plan: Plan
    taken: PlanRange


@dataclass
class Tick:
    """What one look came to.

    Attributes:
        wanted: at most one range of each channel.
        offset: with which plan the next look begins.
        notes: what a person should know, such as a channel whose import was refused.
    """

    wanted: list[Wanted] = field(default_factory=list)
    offset: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Advance:
    """One look at all plans.

    Attributes:
        now: the time, UTC.
        until: when the look has to be over, by the monotonic clock; what is left comes first the
            next time.
    """

    engine: Engine
    archive: Archive
    settings: Settings
    orchestrator: Orchestrator
    now: datetime
    until: float

    def look(self, offset: int) -> Tick:
        """Plan channels that were enabled, settle what has run, take what is to run next."""
        channels = {channel.id: channel for channel in list_channels(self.engine)}
        tick = Tick(notes=self._plan_new(channels))
        found = plans.open_plans(self.engine)
        begin = offset % max(len(found), 1)
        looked_at = 0
        for plan in [*found[begin:], *found[:begin]]:
            if time.monotonic() >= self.until:
                break
            looked_at += 1
            if plan.channel_id in channels:
                wanted = self._advance(channels[plan.channel_id], plan)
                tick.wanted += [wanted] if wanted else []
        tick.offset = (begin + looked_at) % max(len(found), 1)
        return tick

    def _plan_new(self, channels: Mapping[UUID, Channel]) -> list[str]:
        """Request the whole history of channels that were enabled and never imported."""
        notes, wish, today = [], Wish("full"), self.now.date()
        for channel_id in plans.unplanned_channels(self.engine):
            channel = channels.get(channel_id)
            if channel is None:
                continue
            try:
                ranges = plan_runs(
                    self.settings.history_start,
                    today,
                    since=lifecycle.first_day(self.engine, channel, wish, today),
                    until=None,
                    oldest=None,
                    run_days=self.settings.run_days,
                )
                plans.request(self.engine, channel, wish, ranges)
            except (lifecycle.LifecycleError, PlanError) as refused:
                notes.append(f"{channel.key}: {refused}")
        return notes

    def _advance(self, channel: Channel, plan: Plan) -> Wanted | None:
        """Return the range of a plan that is to be run now."""
        if plan.running is not None:
            self._settle(channel, plan, plan.running)
        if not self._goes_on(channel) or not self._surveyed(channel, plan):
            return None
        current = plans.plan_of(self.engine, channel)
        if current is None or current.import_id != plan.import_id or not current.is_open:
            return None
        taken = self._take(channel, current)
        return None if taken is None else Wanted(channel, current, taken)

    def _goes_on(self, channel: Channel) -> bool:
        """Stop the import of a channel that was turned off; return whether it may go on now."""
        state = lifecycle.state_of(self.engine, channel)
        if not state.enabled:
            plans.stop(self.engine, channel, TURNED_OFF)
        return state.enabled and state.channel_status == "active"

    def _take(self, channel: Channel, plan: Plan) -> PlanRange | None:
        upcoming = plan.next_range(self.now)
        if upcoming is None:
            return None
        return plans.take_range(self.engine, channel, plan.import_id, upcoming.from_day, self.now)

    def _surveyed(self, channel: Channel, plan: Plan) -> bool:
        """Ask WAHA once how far back it goes, and leave out the days before; return whether done.

        What goes wrong is a failed try of the plan's first range, so that it is tried again at the
        same pace, and as often.
        """
        if plan.surveyed:
            return True
        if plan.next_range(self.now) is None or time.monotonic() + 4 * SURVEY_SECONDS > self.until:
            return False
        importer = Importer(
            self.engine, self.archive, self.settings, channel, run_id="", now=self.now
        )
        try:
            survey = importer.survey(oldest=True, within=SURVEY_SECONDS)
        except Exception as error:  # noqa: BLE001 -- kept in words, and the other plans go on
            self._fail_survey(channel, plan, error)
            return False
        cheap = survey.ranges_are_cheap
        ranges = trim(
            [found.days for found in plan.ranges],
            calendar_start=self.settings.history_start,
            oldest=survey.oldest if cheap else None,
            run_days=self.settings.run_days if cheap else None,
        )
        plans.replace_ranges(self.engine, channel, plan.import_id, ranges, self.now)
        return True

    def _fail_survey(self, channel: Channel, plan: Plan, error: Exception) -> None:
        taken = self._take(channel, plan)
        if taken is not None:
            days = [taken.from_day, taken.to_day]
            said = explained(error, channel.key, days).description
            self._end(channel, plan, taken, kind_of(error), said)

    def _settle(self, channel: Channel, plan: Plan, running: PlanRange) -> None:
        """End a range that has been run, and put one back that nobody has begun."""
        seen = self.orchestrator.run_of(plan.import_id, running)
        if seen is None:
            if running.started_at is None or self.now - running.started_at >= LAUNCH_GRACE:
                plans.release_range(self.engine, channel, plan.import_id, running)
        elif seen.state == "succeeded":
            self._end(channel, plan, running, run_id=seen.run_id)
        elif seen.state == "failed" or self._is_lost(channel, seen):
            self._end_failed(channel, plan, running, seen)

    def _is_lost(self, channel: Channel, seen: Seen) -> bool:
        """Return whether a run that is said to be going has no process any more.

        A code server that dies takes its runs with it, and nobody ends them; meanwhile they count
        as runs of the channel, and no other would leave the queue.
        """
        if seen.state != "going":
            return False
        outcome = ledger.run_outcome(self.engine, channel, seen.run_id)
        if outcome is None or outcome.status != "running" or outcome.seconds < SETTLED_SECONDS:
            return False
        if lifecycle.held(self.engine, channel):
            return False
        self.orchestrator.report_lost(seen.run_id)
        return True

    def _end_failed(self, channel: Channel, plan: Plan, running: PlanRange, seen: Seen) -> None:
        outcome = ledger.run_outcome(self.engine, channel, seen.run_id)
        if outcome is not None and outcome.failure is not None:
            self._end(channel, plan, running, outcome.failure, outcome.error, seen.run_id)
            return
        error = lifecycle.LOST
        if outcome is not None and outcome.status == "completed":
            error = AFTER_LOAD
        elif outcome is not None:
            ledger.end_run(self.engine, channel, seen.run_id, error=error, failure=TRANSIENT)
        self._end(channel, plan, running, TRANSIENT, error, seen.run_id)

    def _end(
        self,
        channel: Channel,
        plan: Plan,
        taken: PlanRange,
        failure: str | None = None,
        error: str | None = None,
        run_id: str | None = None,
    ) -> None:
        plans.end_range(
            self.engine,
            channel,
            plan.import_id,
            taken,
            self.now,
            failure=failure,
            error=error,
            run_id=run_id,
        )
