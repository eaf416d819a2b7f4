"""Every target of speed beside what was measured, in one table.

    python -m benchmarks.speed [--full] [--largest 10000000] [--only load growth] [--repeats 3]

The short form scales the sizes down (10,000 and 50,000 messages), for under ten minutes on two
quiet cores; the full form measures 100,000 and 1,000,000. `--largest 10000000` adds an account of
that size to memory and growth: hours, and 60 GB of disk, which is looked for first.

A pair is measured in turn, A B A B, and its figure is the median of the ratios pair by pair. What
a line could not measure stands in the table as not measured. Generated accounts stay in `--folder`
for the next run; everything else is removed. Each row is kept as soon as it is measured, the short
form's and the full form's apart (`kept.py`), so rows may be measured one by one; sizes that are
given on the command line are tried and not kept.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from benchmarks.speed import kept
from benchmarks.speed.figures import Line
from benchmarks.speed.kept import FULL, REQUESTS, SHORT, Kept
from benchmarks.speed.machine import facts
from benchmarks.speed.places import DISK_FOR_COPIES, DISK_PER_MESSAGE, Bench, bench, say
from benchmarks.speed.rows import ROWS
from benchmarks.speed.targets import TARGETS

SIZES = {SHORT: (10_000, 50_000), FULL: (100_000, 1_000_000)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure row by row, keep each, and print them."""
    asked = _parser().parse_args(arguments)
    # Whatever ends us, no server of ours stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    usual = SIZES[FULL if asked.full else SHORT]
    small, big = asked.small or usual[0], asked.big or usual[1]
    largest = max(big, asked.largest or 0)
    _refuse_full_disk(asked.folder, big, largest)
    with bench(
        asked.folder,
        short=not asked.full,
        small=small,
        big=big,
        largest=largest,
        repeats=asked.repeats or (3 if asked.full else 2),
        concurrency=asked.concurrency,
    ) as place:
        found = []
        for row in asked.only:
            found.append(_requests(place) if row == REQUESTS else _measured(place, row))
            if (small, big) == usual:
                kept.keep(found[-1])
    print(kept.page(found, [target for target in TARGETS if target.row in asked.only]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed")
    parser.add_argument("--full", action="store_true", help="100,000 and 1,000,000 messages")
    rows = (*ROWS, REQUESTS)
    parser.add_argument("--only", nargs="+", choices=rows, default=rows)
    parser.add_argument("--repeats", type=int, help="pairs to measure: 2, with --full 3")
    parser.add_argument("--small", type=int, help="messages of the small account")
    parser.add_argument("--big", type=int, help="messages of the big account")
    parser.add_argument("--largest", type=int, help="messages of the account for growth alone")
    parser.add_argument("--concurrency", type=int, default=2, help="requests at once")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()) / "ventros-bench"
    )
    return parser


def _measured(place: Bench, row: str) -> Kept:
    """Measure one row; one that fails is told and leaves the others alone."""
    say(f"row {row}")
    place.details.clear()
    how, began = _how(place), perf_counter()
    lines: list[Line] = []
    try:
        for line in ROWS[row](place):
            lines.append(line)
            figure = line.figure.text() if line.figure else "not measured"
            say(f"{line.key}: {figure} ({line.size}) {line.made_of}")
    except Exception:  # noqa: BLE001 -- hours of other rows are not thrown away
        traceback.print_exc()
        done = {line.key for line in lines}
        lines += [
            Line(target.key, None, "failed; see standard error")
            for target in TARGETS
            if target.row == row and target.key not in done
        ]
    how["took"] = _seconds(began)
    details = {name: text for name, text in place.details.items() if text}
    return Kept(row, _form(place), how, lines, details)


def _how(place: Bench) -> dict[str, str]:
    """Return what the figures of a row depend on."""
    sizes = f"{place.small:,} and {place.big:,} messages, largest {place.largest:,}"
    with place.session() as session:
        return {
            **facts(session),
            "sizes": f"{sizes}; {place.repeats} repetitions",
            "source": f"replay server in a process of its own, {place.concurrency} requests at "
            "once allowed, no latency unless said",
        }


def _seconds(began: float) -> str:
    return f"{perf_counter() - began:.0f} s"


def _form(place: Bench) -> str:
    return SHORT if place.short else FULL


def _refuse_full_disk(folder: Path, big: int, largest: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    needed = largest * DISK_PER_MESSAGE + big * DISK_FOR_COPIES
    if free < needed:
        raise SystemExit(
            f"{largest:,} messages need about {needed / 1e9:.0f} GB in {folder}, where "
            f"{free / 1e9:.0f} GB are free: give another --folder, or smaller sizes"
        )


def _requests(place: Bench) -> Kept:
    """Return the table of `benchmarks.requests`."""
    say("counting requests")
    how, began = _how(place), perf_counter()
    size, limits = ("5000", ["500"]) if place.short else ("50000", ["100", "500"])
    command = [sys.executable, "-m", "benchmarks.requests", "--messages", size, "--limit", *limits]
    text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    table = {"requests against the minimum": f"```\n{text}```"}
    return Kept(REQUESTS, _form(place), how | {"took": _seconds(began)}, [], table)


if __name__ == "__main__":
    main()
