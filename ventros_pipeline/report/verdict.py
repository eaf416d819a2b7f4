"""Whether a channel is complete, why not, and the command to type next.

What belongs here: the judgement, as names and figures. What does not: its words (`words.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from shlex import quote
from typing import Any

from ventros_pipeline.report.figures import Report
from ventros_pipeline.report.words import Words, printable

COMPLETE, SETTLING, INCOMPLETE = "complete", "settling", "incomplete"


@dataclass(frozen=True)
class Reason:
    """One thing that keeps a channel from being complete.

    Attributes:
        name: machine-readable; its sentence is `reason.NAME` of the catalogue.
        command: what to type next.
        figures: what stands in the sentence; `n` decides between one and many.
        detail: further words of the pipeline, in English; none where there are none.
        state: what it makes of the verdict by itself.
    """

    name: str
    command: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    detail: str = ""
    state: str = INCOMPLETE


@dataclass(frozen=True)
class Verdict:
    """Whether a channel is complete, and why not.

    Attributes:
        state: `complete`; `settling`, all that WAHA has shown is there but days may still grow; or
            `incomplete`.
        reasons: the most important first; none where it is complete.
        limits: what was left out because somebody said so, as keys of the catalogue with figures.
        figures: what stands in the sentence.
    """

    state: str
    reasons: Sequence[Reason]
    limits: Sequence[tuple[str, Mapping[str, Any]]]
    figures: Mapping[str, Any]

    @property
    def next_command(self) -> str | None:
        """What to type next; nothing where it is complete."""
        return self.reasons[0].command if self.reasons else None

    def sentence(self, words: Words) -> str:
        """Say in one sentence whether everything is there."""
        return words.say(f"verdict.{self.state}", **self.figures)

    def why(self, words: Words) -> list[str]:
        """Say why not, a sentence for each reason."""
        return [words.say(f"reason.{reason.name}", **reason.figures) for reason in self.reasons]

    def left_out(self, words: Words) -> list[str]:
        """Say what was left out because somebody said so."""
        return [words.say(f"limit.{name}", **figures) for name, figures in self.limits]

    def as_json(self, words: Words) -> dict[str, Any]:
        """Return it as plain data, with its words."""
        return {
            "state": self.state,
            "says": self.sentence(words),
            "reasons": [
                {"name": reason.name, "says": says, "command": reason.command}
                | ({"detail": reason.detail} if reason.detail else {})
                for reason, says in zip(self.reasons, self.why(words), strict=True)
            ],
            "left_out": self.left_out(words),
            "next_command": self.next_command,
        }


def verdict_of(report: Report) -> Verdict:
    """Judge a channel by its report."""
    reasons = list(_reasons(report))
    state = COMPLETE
    if reasons:
        states = {reason.state for reason in reasons}
        state = INCOMPLETE if INCOMPLETE in states else SETTLING
    figures = {"messages": report.overview["messages"], "n": report.overview["messages"]}
    return Verdict(state, reasons, list(_limits(report)), figures)


def _reasons(report: Report) -> Iterator[Reason]:
    yield from _about_the_import(report)
    if not any(found.state != "unknown" for found in report.days):
        return
    if not report.closes:
        yield _of_days("balance_open", report, report.open_days, "--force")
    if report.missing and not _is_open(report):
        error = _error_of(report)
        name = "import_failed" if error else "missing"
        yield _of_days(name, report, report.missing, detail=error)
    if rows := report.balance["quarantined"]:
        figures = {**_span(report.quarantine_days), "n": rows, "rows": rows}
        yield Reason("quarantined", f"ventros quarantine list {quote(report.channel)}", figures)
    yield from _of_state(report, "reading", "unfinished", INCOMPLETE)
    yield from _of_state(report, "settling", "settling", SETTLING)


def _about_the_import(report: Report) -> Iterator[Reason]:
    key, plan = quote(report.channel), report.plan
    if plan is not None and plan.is_open:
        progress = {"done": plan.days_done, "total": plan.days_total, "n": plan.days_total}
        yield Reason("importing", f"ventros status {key} --watch", progress)
    elif not any(found.state != "unknown" for found in report.days):
        yield Reason("never_imported", f"ventros import {key}", detail=_error_of(report))
    if report.problem is not None:
        yield Reason("problem", f"ventros doctor {key}", detail=printable(report.problem))


def _of_state(report: Report, state: str, name: str, judged: str) -> Iterator[Reason]:
    """Say which days of the past are known this far and no further; a pass looks at them."""
    if days := [found.day for found in report.days_in(state)]:
        yield Reason(name, f"ventros sync {quote(report.channel)}", _span(days), state=judged)


def _is_open(report: Report) -> bool:
    return report.plan is not None and report.plan.is_open


def _error_of(report: Report) -> str:
    plan = report.plan
    return printable(plan.error or "") if plan is not None and plan.status == "failed" else ""


def _of_days(
    name: str,
    report: Report,
    days: Sequence[date],
    *options: str,
    detail: str = "",
) -> Reason:
    """Return a reason that an import of some days takes away."""
    command = ["ventros", "import", quote(report.channel)]
    if days:
        command += ["--since", min(days).isoformat(), "--until", max(days).isoformat()]
    return Reason(name, " ".join([*command, *options]), _span(days), detail)


def _span(days: Sequence[date]) -> dict[str, Any]:
    when = (min(days), max(days)) if days else ("-", "-")
    return {"n": len(days), "days": len(days), "when": when}


def _limits(report: Report) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if report.max_days is not None:
        yield "max_days", {"n": report.max_days, "days": report.max_days}
    if report.max_per_chat is not None:
        yield "max_per_chat", {"n": report.max_per_chat, "messages": report.max_per_chat}
    if report.balance["filtered"]:
        yield "filtered", {"n": report.balance["filtered"], "rows": report.balance["filtered"]}
