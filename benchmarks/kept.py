"""The last result of a benchmark, kept beside it as Markdown."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.accounts import versions

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Result:
    """What a benchmark found.

    Attributes:
        command: the command that measured it.
        about: what was measured and how, as paragraphs.
        rows: the table, its head first.
        missed: the targets that were missed, in words.
    """

    command: str
    title: str
    about: Sequence[str]
    rows: Sequence[tuple[str, ...]]
    missed: Sequence[str] = ()

    def markdown(self, load: str) -> str:
        """Return it as a page; `load` is the machine's while it was measured."""
        head, *body = self.rows
        lines = [head, tuple("-" for _ in head), *body]
        verdict = [f"Missed: {text}." for text in self.missed] or ["Every target was met."]
        return "\n\n".join(
            [
                f"# {self.title}",
                f"Written by `{self.command}` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC; "
                f"{os.cpu_count()} cores, load {load}; {versions()}.",
                *self.about,
                "\n".join("| " + " | ".join(cells) + " |" for cells in lines),
                *verdict,
                "",
            ]
        )

    def keep(self, name: str, load: str) -> str:
        """Write the page; return it."""
        page = self.markdown(load)
        (HERE / name).write_text(page, encoding="utf-8")
        return page


def load() -> str:
    """Return the machine's load of the last minute, of five and of fifteen."""
    return " ".join(f"{load:.1f}" for load in os.getloadavg())


def middle_and_worst(values: Sequence[float]) -> str:
    """Return the median of some seconds and, where they differ, the worst."""
    middle, worst = f"{statistics.median(values):.1f}", f"{max(values):.1f}"
    return middle if middle == worst else f"{middle} (worst {worst})"
