"""Which steps meet which incident.

What belongs here: the choice. What does not: how it is carried out (`trials.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ventros_pipeline_tests.crashes import disks
from ventros_pipeline_tests.crashes.trials import Place, Trial

# Where each failure of the database server is tried: a step of each kind of work.
_STATEMENTS = (
    "before lifecycle/insert_import",
    "after plans/take_range",
    "before ledger/start_run",
    "before load/save_directory",
    "before load/insert_contacts",
    "before load/insert_messages",
    "after load/insert_messages",
    "after load/upsert_sessions",
    "after load/upsert_coverage",
    "before plans/end_range",
)
_ARCHIVE = (
    "before archive: write",
    "after archive: write",
    "before archive: sync",
    "before archive: rename",
)
_BESIDE = ("before fetch api", "after commit", "after event asset_materialization")
_WITHIN_COPY = ("before a block of COPY", "within COPY")
_OF_THE_SERVER = (
    "deadlock",
    "serialization failure",
    "server's disk full",
    "server out of memory",
    "lock timeout",
    "statement cancelled",
)
# Megabytes. What an import here writes: some of Postgres' WAL and tables, little of the archive.
_LEFT_TO_THE_SERVER = (0, 1, 2, 4, 8)
_LEFT_TO_THE_ARCHIVE = (0, 0.02, 0.05)
INCIDENTS = {
    **dict.fromkeys(_OF_THE_SERVER, _STATEMENTS),
    "session ended": (*_STATEMENTS, *_WITHIN_COPY),
    "server killed": (*_STATEMENTS[::3], *_WITHIN_COPY),
    "disk full": _ARCHIVE,
    "clock set back": (*_STATEMENTS[1:6:2], *_ARCHIVE[:1], *_BESIDE[1:]),
}


def kills(place: Place) -> Iterator[Trial]:
    """Return a kill at each step: where it comes first, and where it comes last."""
    for start in place.starts:
        for name, times in Counter(place.steps_of(start)).items():
            yield Trial(start, (name, 0), "kill")
            if times > 1:
                yield Trial(start, (name, times - 1), "kill")


def incidents(place: Place) -> Iterator[Trial]:
    """Return every other incident, at the steps that it can happen at."""
    for start in place.starts:
        seen = set(place.steps_of(start))
        for incident, names in INCIDENTS.items():
            yield from (Trial(start, (name, 0), incident) for name in names if name in seen)


def full_disks(place: Place) -> Iterator[Trial]:
    """Return imports on disks that are really full, or soon are: by how much is left."""
    for start in place.starts:
        for left in _LEFT_TO_THE_SERVER:
            yield Trial(start, (f"{left} MB left", 0), disks.OF_THE_SERVER)
        for left in _LEFT_TO_THE_ARCHIVE:
            yield Trial(start, (f"{left} MB left", 0), disks.OF_THE_ARCHIVE)


def share(trials: Sequence[Trial], number: int) -> list[Trial]:
    """Return so many trials, spread evenly over all of them."""
    step = max(1, len(trials) // max(number, 1))
    return list(trials[step // 2 :: step][:number])
