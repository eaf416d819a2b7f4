"""The latest lines of every row, and the page that is written from them.

What belongs here: keeping and showing. What does not: measuring. A row is kept as a whole, with
what it was measured with, so one that is measured alone leaves the others as they were; what the
short form found never takes the place of what the full form found, nor the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.speed.figures import Line, Target, grid, table
from benchmarks.speed.targets import TARGETS

HERE = Path(__file__).parents[1]
DATA, PAGE = HERE / "results.json", HERE / "RESULTS.md"
FULL, SHORT = "full form", "short form: sizes scaled down"
REQUESTS = "requests"
# What differs from row to row; the rest of how they were measured is told once.
EACH = ("date", "load before", "sizes", "took")


@dataclass(frozen=True)
class Kept:
    """What one row found when it was measured last.

    Attributes:
        form: `FULL` or `SHORT`.
        how: when, on what sizes, how often, and on what machine.
        lines: as measured.
        details: where the time went, in Markdown, by what was measured.
    """

    row: str
    form: str
    how: dict[str, str]
    lines: list[Line]
    details: dict[str, str]


def kept() -> list[Kept]:
    """Return what is kept."""
    return msgspec.json.decode(DATA.read_bytes(), type=list[Kept]) if DATA.exists() else []


def keep(new: Kept) -> None:
    """Put a row in the place of what the same form found of it before; write data and page."""
    others = [old for old in kept() if (old.row, old.form) != (new.row, new.form)]
    found = sorted([*others, new], key=lambda one: (one.form, one.row))
    DATA.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    PAGE.write_text(page(found), encoding="utf-8")


def page(found: Sequence[Kept], targets: Sequence[Target] = TARGETS) -> str:
    """Return everything as Markdown, the full form first."""
    parts = [
        "# Speed, as measured",
        "Written by `make bench`, row by row. Ratios carry over to other machines, seconds do "
        "not. A figure is a median, with its range; a pair was measured in turn.",
    ]
    for form in (FULL, SHORT):
        if rows := [one for one in found if one.form == form]:
            parts += [f"## The {form}", *_form(rows, targets)]
    return "\n\n".join(parts) + "\n"


def _form(found: Sequence[Kept], targets: Sequence[Target]) -> list[str]:
    parts = [
        table(targets, [line for one in found for line in one.lines]),
        "### How each row was measured",
        grid([("row", *EACH), *((one.row, *map(one.how.__getitem__, EACH)) for one in found)]),
    ]
    for how, rows in _by_rest(found).items():
        told = [f"- {name}: {text}" for name, text in how]
        parts.append("\n".join([f"With, for {', '.join(rows)}:", "", *told]))
    parts += [
        "### Where the time goes",
        "Seconds of the one thread that imports, by the part whose code it was in; a part's time "
        "has no other part's in it. The last repetition of each.",
    ]
    for one in found:
        for name, text in one.details.items():
            parts += [f"#### {name}", text]
    return parts


def _by_rest(found: Sequence[Kept]) -> dict[tuple[tuple[str, str], ...], list[str]]:
    """Return rows by what they were measured with, beside `EACH`."""
    rows: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for one in found:
        rest = tuple((name, text) for name, text in one.how.items() if name not in EACH)
        rows.setdefault(rest, []).append(one.row)
    return rows
