"""Import a fleet on one, two and three hosts, and while things befall them; compare what is left.

    python -m ventros_pipeline_tests.hosts [--workers 1 2 3] [--incidents all | kill cut upgrade]

Needs root, iproute2, and Debian's redis-server. Exit 1 where an import did not leave what one on a
single host leaves, or an incident befell nobody.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence

from benchmarks.kept import Result, load
from ventros_pipeline_tests.crashes.trials import differences
from ventros_pipeline_tests.hosts import trials
from ventros_pipeline_tests.hosts.network import hosts
from ventros_pipeline_tests.hosts.place import DAYS, Size, place
from ventros_pipeline_tests.hosts.trials import PROCESSES, Outcome, Trial

INCIDENTS: dict[str, Callable[[Trial], None]] = {
    "kill": trials.kill_one,
    "cut": trials.cut_one,
    "upgrade": trials.upgrade_one,
    "cancel": trials.cancel_one,
    "all": trials.all_three,
}
HEAD = (
    "hosts",
    "workers",
    "befalls them",
    "messages",
    "seconds",
    "messages/s",
    "connections: CRM + Dagster",
    "runs, by host and end",
    "ranges by tries",
    "end state",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ventros_pipeline_tests.hosts")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--incidents", nargs="*", choices=INCIDENTS, default=["all"])
    for name, value in vars(Size()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    asked = parser.parse_args(arguments)
    _demand()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # Ended in order, also by `kill`.
    warnings.simplefilter("ignore")
    os.environ.pop("VENTROS_WAHA_RATE", None)
    before, size = load(), Size(**{name: getattr(asked, name) for name in vars(Size())})
    rows, missed = [HEAD], []
    with hosts(3) as made, place(size) as here:
        with here.fleet() as fleet:
            alone = _said(rows, "commands, one after the other", trials.import_alone(fleet), None)
        plan = [(number, "nothing", None) for number in asked.workers]
        plan += [(3, name, INCIDENTS[name]) for name in asked.incidents]
        for number, name, befall in plan:
            with here.fleet() as fleet:
                outcome = trials.import_fleet(fleet, made[:number], befall)
                missed += _missed(_said(rows, name, outcome, alone), name, alone)
    result = Result(
        "make hosts",
        f"{size.channels} channels on {size.servers} servers, imported by one to three hosts",
        [_about(size)],
        rows,
        missed,
    )
    page = result.keep("HOSTS.md", f"{before} before, {load()} after")
    print(page)
    return 1 if missed else 0


def _demand() -> None:
    lacking = [name for name in ("ip", "redis-server", "redis-cli") if shutil.which(name) is None]
    if lacking or os.geteuid():
        sys.exit(f"needs root, and of Debian: {', '.join(lacking or ['nothing more'])}")


def _said(
    rows: list[tuple[str, ...]], name: str, outcome: Outcome, alone: Outcome | None
) -> Outcome:
    """Add an outcome to the table, and say it."""
    problems = differences(outcome.state, alone.state) if alone else []
    runs = ", ".join(f"{host} {n} {end}" for (host, end), n in sorted(outcome.runs.items()))
    rows.append(
        (
            str(max(outcome.workers, 1)),
            str(outcome.workers * PROCESSES or 1),
            name,
            f"{outcome.messages:,}",
            f"{outcome.seconds:.0f}",
            f"{outcome.messages / outcome.seconds:.0f}",
            "{} + {}".format(*outcome.connections) if outcome.workers else "",
            runs,
            ", ".join(f"{n} in {tries}" for tries, n in sorted(outcome.attempts.items())),
            "; ".join(problems) or ("the same" if alone else "what the others are compared with"),
        )
    )
    print("  ".join(rows[-1]), flush=True)
    return outcome


def _missed(outcome: Outcome, name: str, alone: Outcome) -> list[str]:
    """Return what was not as it should be."""
    missed = differences(outcome.state, alone.state)
    missed += [f"{proof} does not hold" for proof in outcome.state["proofs"]]
    ended = Counter(end for (_, end), n in outcome.runs.items() for _ in range(n))
    if name in ("kill", "cut", "all") and not ended["FAILURE"]:
        missed.append("no run was lost, so nothing befell anybody")
    if name in ("upgrade", "all") and not any(host == "newer" for host, _ in outcome.runs):
        missed.append("the newer version ran nothing")
    if name == "cancel" and not ended["CANCELED"]:
        missed.append("no run was cancelled")
    return [f"{outcome.workers} hosts, {name}: {text}" for text in missed]


def _about(size: Size) -> str:
    return (
        f"{size.channels} channels of {size.messages} messages over {DAYS} days, "
        f"{size.page_size} asked in a request, on {size.servers} servers that answer after "
        f"{size.latency_ms} ms and are asked 8 times a second and 2 at once at most, whoever asks. "
        f"A host is a network namespace with one worker of {PROCESSES} processes; Postgres, Redis, "
        "S3, WAHA, code server, daemon and webserver are in the middle; all share two cores. The "
        "end state is the rows of the CRM, whole, with keys, coverage, balance, quarantine, "
        "people, archive and every proof."
    )


if __name__ == "__main__":
    raise SystemExit(main())
