"""How much memory this process may take, measured: a run that would take more ends with a sentence.

What belongs here: the limit, and looking. What does not: keeping memory small, which readers and
loaders do by streaming pages and windows.

Measured, not enforced by the system: under `RLIMIT_AS` an allocation fails somewhere inside of
polars, which ends the process without a word, and it counts addresses that nobody has touched, of
which allocators reserve many. A container's own limit stays as the last resort: its end is a kill,
which every step bears, but which says nothing of the day that was too large.
"""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 1024 * 1024
# Of what the machine or the container has, where no limit is set.
SHARE = 0.8
_STATM = Path("/proc/self/statm")
_PROC_MEMORY = Path("/proc/meminfo")
_CONTAINER = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


class MemoryLimitError(Exception):
    """The process has more memory than it may have; the message says what to do."""


@dataclass(frozen=True)
class MemoryGuard:
    """Refuses to go on above a limit.

    Attributes:
        limit: bytes.
    """

    limit: int

    @classmethod
    def of(cls, megabytes: int | None) -> MemoryGuard:
        """Return the guard with a limit that was set, or with a share of what there is."""
        return cls(int(there_is() * SHARE) if megabytes is None else megabytes * MEGABYTE)

    def check(self) -> None:
        """Look once; it takes microseconds.

        Raises:
            MemoryLimitError: there is more than the limit.
        """
        if (found := resident()) > self.limit:
            raise MemoryLimitError(
                f"this run has {found // MEGABYTE:,} MB in memory, and may have "
                f"{self.limit // MEGABYTE:,}: a day or an answer of WAHA is too large for it. "
                "Raise VENTROS_MEMORY_LIMIT_MB, or set an earlier VENTROS_HISTORY_START where it "
                "is the calendar's first day, which also holds everything older"
            )


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    try:
        pages = int(_STATM.read_text().split()[1])
    except OSError:  # Not Linux: the most there ever was.
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return pages * resource.getpagesize()


def there_is() -> int:
    """Return the bytes of memory of the machine, or of the container where that is less."""
    limits = [_machine()]
    for file in _CONTAINER:
        try:
            limits.append(int(file.read_text()))
        except (OSError, ValueError):  # No such container, or `max`.
            continue
    return min(limits)


def _machine() -> int:
    try:
        [line] = [x for x in _PROC_MEMORY.read_text().splitlines() if x.startswith("MemTotal:")]
    except OSError:
        return sys.maxsize
    return int(line.split()[1]) * 1024
