"""The report as one HTML page that holds everything it needs, for whoever asks for proof.

What belongs here: which figures the page shows where. What does not: how it looks
(`page.html.j2`), and what the figures are. It asks no network for anything and runs no script.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from ventros_pipeline.report import pictures
from ventros_pipeline.report.drawing import DARK, LIGHT, STYLE, theme
from ventros_pipeline.report.figures import Report
from ventros_pipeline.report.tables import tables_of
from ventros_pipeline.report.verdict import verdict_of
from ventros_pipeline.report.words import Words

# What the pictures do not say in writing.
TABLES = ("states", "reasons", "import", "months")
# The verdict is seen without its colour, too.
MARKS = {"complete": "✓", "settling": "◷", "incomplete": "✗"}


class PageError(Exception):
    """The page has no place to lie in."""


def write_page(path: Path, report: Report, words: Words) -> Path:
    """Write the page into a file, and its folder where that is missing; return its full path.

    Raises:
        PageError: it cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page_of(report, words), encoding="utf-8")
    except OSError as error:
        raise PageError(f"the page cannot be written: {error}") from error
    return path.resolve()


def page_of(report: Report, words: Words) -> str:
    """Return the page."""
    verdict = verdict_of(report)
    return _template().render(
        report=report,
        words=words,
        verdict=verdict,
        short=words.say(f"verdict.{verdict.state}.short"),
        mark=MARKS[verdict.state],
        why=list(zip(verdict.why(words), verdict.reasons, strict=True)),
        left_out=verdict.left_out(words),
        figures=_figures(report, words),
        first_day=first_day(report, words),
        calendar=pictures.calendar(report, words, tips=True),
        legend=pictures.legend(words),
        drawings=list(pictures.every(report, words)),
        tables=[table for table in tables_of(report, words) if table.name in TABLES],
        light=theme(LIGHT),
        dark=theme(DARK),
        style=STYLE,
    )


def first_day(report: Report, words: Words) -> str:
    """Say what the calendar's first day stands for, where it is shown and holds anything."""
    for found in report.days:
        if found.day == report.start and found.messages:
            return words.say("days.first", day=found.day, n=found.messages)
    return ""


def _figures(report: Report, words: Words) -> list[tuple[str, str]]:
    overview = report.overview
    figures = [
        (words.say("figure.messages"), words.show(overview["messages"])),
        (words.say("figure.people"), words.show(overview["people"])),
        (words.say("figure.sessions"), words.show(overview["sessions"])),
    ]
    ends = [(name, overview[f"{name}_at"]) for name in ("first", "last")]
    return figures + [
        (words.say(f"figure.{name}"), words.show(moment.date()))
        for name, moment in ends
        if moment is not None
    ]


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("ventros_pipeline", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")
