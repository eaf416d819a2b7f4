"""Every target of speed beside what was measured, in one table.

    python -m benchmarks.speed [--full] [--largest 10000000] [--only load growth] [--repeats 3]

The short form scales the sizes down (10,000 and 50,000 messages), for under ten minutes on two
quiet cores; the full form measures 100,000 and 1,000,000. `--largest 10000000` adds an account of
that size to memory and growth: hours, and 60 GB of disk, which is looked for first.

A pair is measured in turn, A B A B, and its figure is the median of the ratios pair by pair. What
a line could not measure stands in the table as not measured. Generated accounts stay in `--folder`
for the next run; everything else is removed. The last run of all rows is kept in `RESULTS.md`.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter

from benchmarks.speed.figures import Line, Target, table
from benchmarks.speed.machine import facts
from benchmarks.speed.places import DISK_FOR_COPIES, DISK_PER_MESSAGE, Bench, bench, say
from benchmarks.speed.rows import ROWS
from benchmarks.speed.targets import TARGETS

RESULTS = Path(__file__).parents[1] / "RESULTS.md"
SHORT, FULL = (10_000, 50_000), (100_000, 1_000_000)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and keep it."""
    asked = _parser().parse_args(arguments)
    # Whatever ends us, no server of ours stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    usual = FULL if asked.full else SHORT
    small, big = asked.small or usual[0], asked.big or usual[1]
    largest = max(big, asked.largest or 0)
    _refuse_full_disk(asked.folder, big, largest)
    began = perf_counter()
    with bench(
        asked.folder,
        short=not asked.full,
        small=small,
        big=big,
        largest=largest,
        repeats=asked.repeats or (3 if asked.full else 2),
        concurrency=asked.concurrency,
    ) as place:
        with place.session() as session:
            about = dict(facts(session))
        lines = [line for row in asked.only for line in _measured(place, row)]
        about["sizes"] = f"{small:,} and {big:,} messages, largest {largest:,}; {_form(asked)}"
        about["source"] = (
            f"replay server in a process of its own, {asked.concurrency} requests at once allowed, "
            "no latency unless said"
        )
        about["time taken"] = f"{perf_counter() - began:.0f} s"
    requests = "" if asked.no_requests else _requests(asked.full)
    text = _report(about, [t for t in TARGETS if t.row in asked.only], lines, place)
    text += f"\n## Requests against the minimum\n\n```\n{requests}```\n" if requests else ""
    print(text)
    if set(asked.only) == set(ROWS):
        RESULTS.write_text(text, encoding="utf-8")
        say(f"kept in {RESULTS.name}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed")
    parser.add_argument("--full", action="store_true", help="100,000 and 1,000,000 messages")
    parser.add_argument("--only", nargs="+", choices=tuple(ROWS), default=tuple(ROWS))
    parser.add_argument("--repeats", type=int, help="pairs to measure: 2, with --full 3")
    parser.add_argument("--small", type=int, help="messages of the small account")
    parser.add_argument("--big", type=int, help="messages of the big account")
    parser.add_argument("--largest", type=int, help="messages of the account for growth alone")
    parser.add_argument("--concurrency", type=int, default=2, help="requests at once")
    parser.add_argument("--no-requests", action="store_true", help="leave the request table out")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()) / "ventros-bench"
    )
    return parser


def _measured(place: Bench, row: str) -> list[Line]:
    """Measure one row; one that fails is told and leaves the others alone."""
    say(f"row {row}")
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
    return lines


def _form(asked: argparse.Namespace) -> str:
    return "full form" if asked.full else "short form: sizes scaled down"


def _refuse_full_disk(folder: Path, big: int, largest: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    needed = largest * DISK_PER_MESSAGE + big * DISK_FOR_COPIES
    if free < needed:
        raise SystemExit(
            f"{largest:,} messages need about {needed / 1e9:.0f} GB in {folder}, where "
            f"{free / 1e9:.0f} GB are free: give another --folder, or smaller sizes"
        )


def _requests(full: bool) -> str:
    """Return the table of `benchmarks.requests`."""
    say("counting requests")
    size = "50000" if full else "5000"
    limits = ["100", "500"] if full else ["500"]
    command = [sys.executable, "-m", "benchmarks.requests", "--messages", size, "--limit", *limits]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout


def _report(
    about: Mapping[str, str], targets: Sequence[Target], lines: Sequence[Line], place: Bench
) -> str:
    parts = [
        "# Speed, as measured",
        "Written by `make bench`; the last run of all rows. Ratios carry over to other machines, "
        "seconds do not. A figure is a median, with its range; a pair was measured in turn.",
        "\n".join(f"- **{name}**: {text}" for name, text in about.items()),
        table(targets, lines),
        "## Where the time goes",
        "Seconds of the one thread that imports, by the part whose code it was in; a part's time "
        "has no other part's in it. The last repetition of each.",
    ]
    for name, text in place.details.items():
        if text:
            parts += [f"### {name}", text]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
