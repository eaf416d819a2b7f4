"""The report as markdown with its pictures inside, for the Dagster UI.

The UI shows pictures that stand in the text itself, SVG too, and no HTML. An event is kept for
ever, so only the newest years of days are drawn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ventros_pipeline.report import pictures
from ventros_pipeline.report.drawing import Drawing
from ventros_pipeline.report.figures import Report
from ventros_pipeline.report.tables import Table, tables_of
from ventros_pipeline.report.verdict import verdict_of
from ventros_pipeline.report.words import Words, printable

HALF_YEARS = 6
# What the pictures do not say in writing.
TABLES = ("reasons", "states", "import")
_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|~&])")


def markdown_of(report: Report, words: Words) -> str:
    """Return the report as markdown."""
    return "\n\n".join(_parts(report, words))


def _parts(report: Report, words: Words) -> Iterator[str]:
    verdict = verdict_of(report)
    yield f"### {escaped(report.channel)}"
    yield f"**{escaped(verdict.sentence(words))}**"
    for says, reason in zip(verdict.why(words), verdict.reasons, strict=True):
        detail = f" {escaped(reason.detail)}" if reason.detail else ""
        yield f"- {escaped(says)}{detail} `{reason.command.replace('`', '')}`"
    yield from (f"- {escaped(says)}" for says in verdict.left_out(words))
    calendar = pictures.calendar(report, words, halves=HALF_YEARS)
    if calendar:
        yield f"#### {escaped(words.say('days'))}"
        yield _shown([*calendar, pictures.legend(words)])
        if calendar[0].name != pictures.calendar(report, words)[0].name:
            yield escaped(words.say("days.older"))
    yield f"#### {escaped(words.say('figures'))}"
    yield _shown(list(pictures.every(report, words)))
    yield from (_table(table) for table in tables_of(report, words) if table.name in TABLES)


def _shown(drawings: Sequence[Drawing]) -> str:
    return " ".join(f"![{escaped(found.title)}]({found.as_data_uri()})" for found in drawings)


def _table(table: Table) -> str:
    rules = "".join(
        "---:|" if column in table.numeric else "---|" for column in range(len(table.head))
    )
    lines = [f"#### {escaped(table.caption)}", "", _line(table.head), f"|{rules}"]
    return "\n".join([*lines, *(_line(row) for row in table.rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(escaped(cell) for cell in cells)} |"


def escaped(text: str) -> str:
    """Return a text that markdown takes as it is, in one line."""
    return _SPECIAL.sub(r"\\\1", printable(text))
