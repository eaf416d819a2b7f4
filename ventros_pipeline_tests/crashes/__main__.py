"""Carry out all trials, or a share of them, and write the table.

    python -m ventros_pipeline_tests.crashes [--kills 200] [--incidents 40] [--write]

Exit 1 where an import did not end as one without incident does.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ventros_pipeline_tests.crashes import disks, plan
from ventros_pipeline_tests.crashes.trials import Outcome, Trial, place

TABLE = Path(__file__).parents[2] / "docs" / "crashes.md"
_HEAD = """# Killed and failed at every step

Written by `{command}` on {now:%Y-%m-%d}: imports through Dagster, small enough to be repeated
hundreds of times, that meet one incident at one step, are begun again as a person would begin them,
and are then compared with an import that met none: the rows of messages, contacts, chats, sessions,
agents' parts and custom fields, keys, quarantine, balance, coverage, archive, the channel's import
state, and every proof. A step is anything that changes something or asks somebody: a statement, a
block of a COPY, a commit, a file written or renamed, a request to WAHA, an event of Dagster.
Each is met before it and after it, where it comes first and where it comes last.

{trials:,} trials at {steps} different steps, {kills} of them kills; there are {all:,} in all, and a
share is spread over them evenly. {bad} ended otherwise.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ventros_pipeline_tests.crashes")
    parser.add_argument("--kills", type=int, help="only so many kills")
    parser.add_argument("--incidents", type=int, help="only so many other incidents")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name}")
    asked = parser.parse_args(arguments)
    small_disks = disks.can_mount()
    with place(small_disks=small_disks) as here:
        kills, incidents = list(plan.kills(here)), list(plan.incidents(here))
        full_disks = list(plan.full_disks(here)) if small_disks else []
        trials = [*_some(kills, asked.kills), *_some(incidents, asked.incidents), *full_disks]
        outcomes = [_told(here.carry_out(trial)) for trial in trials]
    if asked.write:
        every = len(kills) + len(incidents) + len(full_disks)
        TABLE.write_text(table(outcomes, every, _command(asked)), encoding="utf-8")
    bad = [outcome for outcome in outcomes if outcome.problems]
    print(f"{len(outcomes)} trials, {len(bad)} ended otherwise")
    return 1 if bad else 0


def _command(asked: argparse.Namespace) -> str:
    share = [f"--{name} {n}" for name in ("kills", "incidents") if (n := getattr(asked, name))]
    return f'make crash CRASH="{" ".join(share)}"' if share else "make crash"


def _some(trials: list[Trial], number: int | None) -> list[Trial]:
    return trials if number is None else plan.share(trials, number)


def _told(outcome: Outcome) -> Outcome:
    trial = outcome.trial
    verdict = "; ".join(outcome.problems) or "the same in the end"
    print(
        f"{trial.incident}, {trial.step[0]} ({trial.step[1] + 1}), {trial.start.name}: {verdict}",
        file=sys.stderr,
        flush=True,
    )
    return outcome


def table(outcomes: Sequence[Outcome], every: int, command: str = "make crash") -> str:
    """Return the page: a summary, and every step with what was tried there.

    Args:
        every: how many trials there are, of which these may be a share.
        command: what carries these out.
    """
    head = _HEAD.format(
        now=datetime.now(UTC),
        command=command,
        trials=len(outcomes),
        all=every,
        kills=sum(o.trial.incident == "kill" for o in outcomes),
        steps=len({o.trial.step[0] for o in outcomes}),
        bad=sum(bool(o.problems) for o in outcomes),
    )
    summary = Counter((o.trial.start.name, o.trial.incident) for o in outcomes)
    stopped = Counter((o.trial.start.name, o.trial.incident) for o in outcomes if o.code)
    same = Counter((o.trial.start.name, o.trial.incident) for o in outcomes if not o.problems)
    lines = [
        (*what, number, stopped[what], number - stopped[what], same[what])
        for what, number in summary.items()
    ]
    by_step: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_step.setdefault(outcome.trial.step[0], []).append(outcome)
    steps = [(name, len(found), _incidents(found)) for name, found in sorted(by_step.items())]
    return "\n".join(
        [
            head,
            _markdown(
                ("import", "incident", "trials", "stopped it", "it went on", "same end"), lines
            ),
            "\n## Steps\n",
            _markdown(("step", "trials", "incidents"), steps),
            "",
        ]
    )


def _incidents(outcomes: Iterable[Outcome]) -> str:
    return ", ".join(sorted({outcome.trial.incident for outcome in outcomes}))


def _markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # No server of ours stays behind.
    sys.exit(main())
