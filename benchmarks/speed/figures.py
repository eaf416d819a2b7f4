"""Figures: medians, spreads, ratios, and the table that holds them against their targets.

What belongs here: arithmetic and text. What does not: how anything is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

AT_MOST, AT_LEAST = "<=", ">="


@dataclass(frozen=True)
class Spread:
    """Repeated measurements of one thing, at least one."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of some values."""
        if not values:
            raise ValueError("nothing was measured")
        return cls(tuple(values))

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.values)

    def text(self, unit: str = "") -> str:
        """Return the median and, where there is one, the range around it."""
        words = shown(self.middle, unit)
        if len(self.values) == 1:
            return words
        return f"{words} ({shown(min(self.values))} to {shown(max(self.values))})"


@dataclass(frozen=True)
class Target:
    """What a line is held against.

    Attributes:
        key: name of the line; the part before the dot is the row that measures it.
        work: what is measured.
        compare: `AT_MOST` or `AT_LEAST`; empty when the line is only for information.
        limit: the target itself.
        unit: of figure and limit.
        full: the size that the target is meant for.
    """

    key: str
    work: str
    compare: str
    limit: float
    unit: str
    full: str

    @property
    def row(self) -> str:
        """The row that measures this."""
        return self.key.partition(".")[0]

    def text(self) -> str:
        """Return the target as the table shows it."""
        return f"{self.compare} {shown(self.limit, self.unit)}" if self.compare else "-"

    def is_met(self, value: float) -> bool:
        """Say whether a figure meets the target."""
        return value <= self.limit if self.compare == AT_MOST else value >= self.limit


@dataclass(frozen=True)
class Line:
    """One measured line.

    Attributes:
        key: of its target.
        figure: what is held against the target; None when it was not measured.
        size: what it was measured on.
        made_of: the figures it was made of, in words.
    """

    key: str
    figure: Spread | None
    size: str
    made_of: str = ""


def ratios(ones: Sequence[float], others: Sequence[float]) -> Spread:
    """Return one thing as a multiple of another, pair by pair in the order of measurement.

    The machine's speed drifts; the two of one pair were measured one after the other.
    """
    return Spread.of([one / other for one, other in zip(ones, others, strict=True)])


def growth(seconds: Mapping[int, float]) -> float:
    """Return the time for one message at the largest size, as a multiple of the smallest's."""
    small, large = min(seconds), max(seconds)
    return (seconds[large] / large) / (seconds[small] / small)


def shown(value: float, unit: str = "") -> str:
    """Return a number with three digits that mean something, and its unit."""
    size = abs(value)
    text = f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"
    return f"{text} {unit}".strip()


def verdict(target: Target, line: Line | None) -> str:
    """Return whether a target was met."""
    if line is None or line.figure is None or not target.compare:
        return "-"
    return "yes" if target.is_met(line.figure.middle) else "**no**"


def table(targets: Sequence[Target], lines: Sequence[Line]) -> str:
    """Return the lines beside their targets, in Markdown; one not measured stands there, too."""
    known = {line.key: line for line in lines}
    rows = [("work", "measured on", "figure", "target", "met", "made of")]
    for target in targets:
        line = known.get(target.key)
        figure = line.figure.text(target.unit) if line and line.figure else "not measured"
        size = f"{line.size}" if line else ""
        meant = f" (target: {target.full})" if line and line.figure and size != target.full else ""
        rows.append(
            (
                target.work,
                size + meant,
                figure,
                target.text(),
                verdict(target, line),
                line.made_of if line else "",
            )
        )
    return grid(rows)


def grid(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a Markdown table; the first one is its head."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]

    def line(cells: Sequence[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return "| " + " | ".join(padded) + " |"

    head, *rest = rows
    return "\n".join([line(head), line(["-" * width for width in widths]), *map(line, rest)])


def shares(seconds: Mapping[str, float], whole: float) -> str:
    """Return where time went, the longest first, with what is left and what it sums to."""
    rows = [("part", "seconds", "share")]
    for name, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        if spent >= 0.005:
            rows.append((name, f"{spent:.2f}", f"{spent / whole:.1%}"))
    total = sum(seconds.values())
    rows.append(("sum", f"{total:.2f}", f"{total / whole:.1%}"))
    rows.append(("wall", f"{whole:.2f}", "100.0%"))
    return grid(rows)
