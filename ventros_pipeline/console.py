"""How commands speak: one JSON object on standard output, everything else on standard error.

What belongs here: tables, progress, errors for a person at a terminal. What does not: figures.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any, NamedTuple

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

err = Console(stderr=True, highlight=False)
out = Console(highlight=False)
POLL_SECONDS = 0.5


def say(text: str) -> None:
    """Tell a person something; never on standard output, which belongs to the result."""
    err.print(text)


def fail(problem: str, *, code: int = 1, see: str = "") -> typer.Exit:
    """Say what is wrong and return the exit to raise: 1 failed, 2 misused.

    Args:
        see: where more is said of it; only for a person at a terminal.
    """
    err.print(f"[bold red]error:[/] {escape(problem)}", soft_wrap=True)
    if see and err.is_terminal:
        err.print(f"[dim]see {escape(see)}[/]", soft_wrap=True)
    return typer.Exit(code)


def result(value: Mapping[str, Any], *, as_json: bool, show: Callable[[], None]) -> None:
    """Print a command's result: as one JSON object on the last line, or for a person."""
    if as_json:
        print(json.dumps(value, ensure_ascii=False), flush=True)
    else:
        show()


def line(text: str, *, style: str = "") -> None:
    """Print a line of a result on standard output, as it is: brackets in it mean nothing."""
    out.print(text, style=style, markup=False, soft_wrap=True)


def table(
    title: str,
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    right: Collection[int] = (),
) -> None:
    """Print a small table on standard output; numbers to the right, and cells as they are.

    Args:
        right: columns of text that are set to the right, too.
    """
    shown = Table(box=None, pad_edge=False, header_style="dim")
    for number, name in enumerate(head):
        numeric = number in right or (
            bool(rows) and all(isinstance(row[number], int) for row in rows)
        )
        shown.add_column(name, justify="right" if numeric else "left", no_wrap=numeric)
    for row in rows:
        shown.add_row(*(f"{c:,}" if isinstance(c, int) else escape(str(c)) for c in row))
    out.print(escape(title), style="bold", soft_wrap=True)
    out.print(shown)


def busy(doing: str) -> AbstractContextManager[object]:
    """Say what is going on while the block runs; nothing where no one watches."""
    return err.status(escape(doing)) if err.is_terminal else nullcontext()


class Shown(NamedTuple):
    """What a person sees of something that runs: days, messages, and how long it may take."""

    done: int
    total: int
    messages: int
    rate: float | None
    seconds_left: float | None


def watch(title: str, look: Callable[[], Shown | None]) -> None:
    """Show how far something is until `look` returns None; nothing where no one watches."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} days"),
        TextColumn("{task.fields[said]}"),
        console=err,
        disable=not err.is_terminal,
    )
    task = bar.add_task(title, total=None, said="")
    with bar:
        while (shown := look()) is not None:
            said = [f"{shown.messages:,} messages"]
            if shown.rate is not None:
                said.append(f"{shown.rate:,.0f}/s")
            if shown.seconds_left is not None:
                said.append(f"{timedelta(seconds=round(shown.seconds_left))} left")
            bar.update(task, completed=shown.done, total=shown.total, said=", ".join(said))
            time.sleep(POLL_SECONDS)


@contextmanager
def progress(title: str, days: int, poll: Callable[[], tuple[int, int]]) -> Iterator[None]:
    """Show days, messages, rate and time left while the block runs; nothing where no one watches.

    Args:
        title: what is going on.
        days: how many days there are.
        poll: returns days done and messages read so far; asked twice a second.
    """
    if not err.is_terminal:
        yield
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} days"),
        TextColumn("{task.fields[messages]:,} messages"),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TimeElapsedColumn(),
        TextColumn("[dim]elapsed,"),
        TimeRemainingColumn(),
        TextColumn("[dim]left"),
        console=err,
    )
    task = bar.add_task(title, total=days, messages=0, rate=0.0)
    finished = threading.Event()

    def follow() -> None:
        while not finished.wait(POLL_SECONDS):
            done, messages = poll()
            elapsed = bar.tasks[0].elapsed or 1.0
            bar.update(task, completed=done, messages=messages, rate=messages / elapsed)

    watcher = threading.Thread(target=follow, daemon=True)
    with bar:
        watcher.start()
        try:
            yield
        finally:
            finished.set()
            watcher.join()
            done, messages = poll()
            bar.update(task, completed=done, messages=messages)
