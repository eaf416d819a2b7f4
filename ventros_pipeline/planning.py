"""Which days an import reads, in which runs: newest first, at most so many days a run.

What belongs here: the arithmetic of days. What does not: running them (`runs.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from ventros_pipeline.crm.limits import DayRange, Wish, first_allowed, last_days

DAY = timedelta(days=1)
LAST = "last"


class PlanError(ValueError):
    """The days asked for make no plan; the message says why."""


def parse_since(text: str, today: date) -> date:
    """Return the first day of `180d` (that many days up to today) or of an ISO date.

    Raises:
        PlanError: it is neither.
    """
    if text.endswith("d") and text[:-1].isdecimal() and 0 < int(text[:-1]) < 100_000:
        return today - DAY * (int(text[:-1]) - 1)
    return parse_day(text)


def parse_wish(since: str | None, today: date) -> Wish:
    """Return what `--since` asks for: everything if None, what is new if `last`, else some days.

    Raises:
        PlanError: it is none of these.
    """
    if since is None:
        return Wish("full")
    return Wish("recent") if since == LAST else last_days(parse_since(since, today), today)


def refuse_beyond_limit(last: date | None, max_days: int | None, today: date) -> None:
    """Refuse days that all lie beyond the channel's limit.

    Raises:
        PlanError: they do.
    """
    allowed = first_allowed(max_days, today)
    if last is not None and allowed is not None and last < allowed:
        raise PlanError(
            f"the channel imports its last {max_days} days only, from {allowed} on; "
            "`ventros channel enable` changes that"
        )


def parse_day(text: str) -> date:
    """Return an ISO date.

    Raises:
        PlanError: it is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise PlanError(
            f"{text!r} is no day: write a date like 2026-01-31, or for --since a number of days "
            "like 180d"
        ) from None


def plan_runs(
    calendar_start: date,
    today: date,
    *,
    since: date | None,
    until: date | None,
    oldest: date | None,
    run_days: int | None,
) -> list[DayRange]:
    """Return the ranges to run, newest first.

    Args:
        calendar_start: first day of the calendar; it stands for everything before it, too.
        today: last day of the calendar.
        since: first day wanted; None for everything.
        until: last day wanted; None for today.
        oldest: first day that WAHA holds anything of; the empty days before it are left out when
            everything is wanted, but for the first day of the calendar.
        run_days: most days in one range; None for one range, where every range costs a walk of
            all chats.

    Raises:
        PlanError: the days end before they begin, or lie outside the calendar.
    """
    last = min(until or today, today)
    first = max(since or calendar_start, calendar_start)
    if last < first:
        raise PlanError(
            f"no day from {since or calendar_start} to {until or today} lies in the calendar, "
            f"which runs from {calendar_start} (VENTROS_HISTORY_START) to {today}"
        )
    if since is None and oldest is not None and first + DAY < oldest <= last:
        return [*_cut(DayRange(oldest, last), run_days), DayRange(first, first)]
    return list(_cut(DayRange(first, last), run_days))


def trim(
    plan: Sequence[DayRange],
    *,
    calendar_start: date,
    oldest: date | None,
    run_days: int | None,
) -> list[DayRange]:
    """Return a plan that was made without asking WAHA, as it is once WAHA was asked.

    Args:
        plan: contiguous days.
        calendar_start: first day of the calendar, which is kept where the plan holds it.
        oldest: first day that WAHA holds anything of; the days before it are left out.
        run_days: as in `plan_runs`.
    """
    first, last = min(days.first for days in plan), max(days.last for days in plan)
    begin = min(max(oldest or first, first), last)
    if first == calendar_start and begin == first + DAY:
        begin = (
            first  # No empty days lie between: a run of its own would cost as much as a month's.
        )
    head = [DayRange(first, first)] if first == calendar_start and first < begin else []
    return [*_cut(DayRange(begin, last), run_days), *head]


def _cut(whole: DayRange, run_days: int | None) -> Iterator[DayRange]:
    last, run_days = whole.last, run_days or whole.days
    while last >= whole.first:
        first = max(whole.first, last - DAY * (run_days - 1))
        yield DayRange(first, last)
        last = first - DAY
