"""The tables of a report: the same rows for the page, for markdown and for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ventros_pipeline.crm.ledger import COUNTS
from ventros_pipeline.report.figures import STATES, Report
from ventros_pipeline.report.words import Words


@dataclass(frozen=True)
class Table:
    """Rows of text.

    Attributes:
        name: machine-readable.
        numeric: the columns that are set to the right.
    """

    name: str
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[int]


def tables_of(report: Report, words: Words) -> Iterator[Table]:
    """Return every table that has rows, in the order in which they are told."""
    made = (
        _balance(report, words),
        _reasons(report, words),
        _states(report, words),
        *(
            _counts(name, report.breakdown.get(name, {}), words.say("messages"), words)
            for name in ("kind", "direction", "status")
        ),
        _counts("people", report.people, words.say("people.count"), words),
        _counts("sessions", report.sessions, words.say("sessions.count"), words),
        _import(report, words),
        _months(report, words),
    )
    yield from (table for table in made if table.rows)


def _balance(report: Report, words: Words) -> Table:
    rows = [(words.name("count", name), words.show(report.balance[name])) for name in COUNTS]
    says = words.say("balance.closes" if report.closes else "balance.open")
    return _table("balance", says, (words.say("outcome"), words.say("rows")), rows)


def _reasons(report: Report, words: Words) -> Table:
    rows = [(words.name("because", name), words.show(n)) for name, n in report.reasons.items()]
    head = (words.say("because"), words.say("rows"))
    return _table("reasons", words.say("reasons"), head, rows)


def _states(report: Report, words: Words) -> Table:
    rows = []
    for state in STATES:
        found = [each for each in report.days if each.state == state]
        if found:
            ends = (words.show(found[0].day), words.show(found[-1].day))
            means = words.say(f"state.{state}.means")
            rows.append((words.name("state", state), words.show(len(found)), *ends, means))
    keys = ("state", "number.of.days", "from", "to", "state.means")
    head = tuple(words.say(key) for key in keys)
    return _table("states", words.say("number.of.days"), head, rows, numeric={1})


def _counts(name: str, counts: Mapping[str, int], unit: str, words: Words) -> Table:
    whole = sum(counts.values())
    rows = [
        (words.name(name, value), words.show(count), words.share(count, whole))
        for value, count in counts.items()
    ]
    head = (words.say(name), unit, words.say("share"))
    return _table(name, words.say(name), head, rows, numeric={1, 2})


def _import(report: Report, words: Words) -> Table:
    plan = report.plan
    rows: list[tuple[str, str]] = []
    if plan is not None:
        rows = [
            (words.say("import.status"), words.name("import.status", plan.status)),
            (
                words.say("import.done"),
                f"{words.show(plan.days_done)}/{words.show(plan.days_total)}",
            ),
            (words.say("import.read"), words.show(plan.messages)),
            (words.say("import.took"), words.duration(plan.seconds)),
        ]
        if plan.rate is not None:
            rows.append((words.say("import.rate"), words.show(float(plan.rate))))
        if plan.seconds_left is not None:
            rows.append((words.say("import.left"), words.duration(plan.seconds_left)))
        requests = sum(run.requests for run in report.runs)
        rows.append((words.say("import.requests"), words.show(requests)))
        retries = sum(run.retries for run in report.runs)
        rows.append((words.say("import.retries"), words.show(retries)))
    head = (words.say("figure"), words.say("value"))
    return _table("import", words.say("import"), head, rows)


def _months(report: Report, words: Words) -> Table:
    """Return the calendar in writing: a line for each month, the newest first."""
    found: dict[tuple[int, int], list[int]] = {}
    for each in report.days:
        line = found.setdefault((each.day.year, each.day.month), [0] * (2 + len(STATES)))
        line[0] += each.messages
        line[1] += 1
        line[2 + STATES.index(each.state)] += 1
    shown = [state for state in STATES if any(each.state == state for each in report.days)]
    first_of = {(each.day.year, each.day.month): each.day for each in reversed(report.days)}
    rows = [
        (
            words.month_of(first_of[month]),
            *(words.show(number) for number in line[:2]),
            *(words.show(line[2 + STATES.index(state)]) for state in shown),
        )
        for month, line in sorted(found.items(), reverse=True)
    ]
    head = (words.say("month"), words.say("messages"), words.say("number.of.days"))
    head += tuple(words.name("state", state) for state in shown)
    return _table("months", words.say("months"), head, rows, numeric=set(range(1, 3 + len(shown))))


def _table(
    name: str,
    caption: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    numeric: set[int] | None = None,
) -> Table:
    return Table(name, caption, head, rows, frozenset(numeric or {1}))
