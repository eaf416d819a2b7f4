"""Profiles of faults: how a bad network, a bad proxy or a bad day spoils a server's answers.

Belongs here: which request meets which fault, decided by a seed, and how often at most. Does not
belong here: what one fault does to one answer (`control.Fault`, carried out by `server`).
"""

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ventros_pipeline.replay.control import Fault, Request, Tricks
from ventros_pipeline.replay.engine import MESSAGES
from ventros_pipeline.replay.store import Ghosts

_NEVER = "/ping"
_GAP = 2


@dataclass(frozen=True)
class Profile:
    """How often what goes wrong.

    Attributes:
        rates: share of requests that meet a fault, by its name (`MAKERS`).
        row_rates: share of message listings whose rows are tampered with, by its name.
        in_a_row: how often the same request fails before it must be answered.
        ghosts: rows that are never shown: one run of them per so many rows, and the longest run.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    row_rates: Mapping[str, float] = field(default_factory=dict)
    in_a_row: int = 2
    ghosts: tuple[int, int] | None = None

    def haunted(self, seed: int) -> Ghosts | None:
        """Return the ghosts of a server with this seed."""
        return None if self.ghosts is None else Ghosts(seed, *self.ghosts)


Maker = Callable[[random.Random, float], Fault]

MAKERS: dict[str, Maker] = {
    "error": lambda rng, pace: Fault.error(rng.choice((500, 502, 503, 504))),
    "too_many": lambda rng, pace: Fault.too_many(f"{rng.choice((1, 2)) * pace:g}"),
    "dropped": lambda rng, pace: Fault.dropped(),
    "slow": lambda rng, pace: Fault.slow(rng.uniform(0.2, 2.0) * pace),
    "silent": lambda rng, pace: Fault.silent(30.0 * pace),
    "truncated": lambda rng, pace: Fault.truncated(rng.uniform(0.0, 0.95)),
    "html": lambda rng, pace: Fault.html(rng.choice((200, 502))),
    "wrong_type": lambda rng, pace: Fault.wrong_type(rng.choice(("text/plain", "text/html"))),
    "hang_up": lambda rng, pace: Fault.hanging_up(),
    "not_working": lambda rng, pace: Fault.not_working(),
}
ROW_MAKERS: dict[str, Callable[[random.Random], Fault]] = {
    "shuffle": lambda rng: Fault.odd_rows(Tricks(shuffle=rng.getrandbits(30)), "shuffle"),
    "double": lambda rng: Fault.odd_rows(Tricks(double=rng.getrandbits(30)), "double"),
    "repeat": lambda rng: Fault.odd_rows(Tricks(repeat=True), "repeat"),
}

PROFILES: dict[str, Profile] = {
    "none": Profile(),
    "flaky": Profile(
        rates={
            "error": 0.02,
            "too_many": 0.01,
            "dropped": 0.015,
            "slow": 0.02,
            "silent": 0.001,
            "truncated": 0.015,
        },
    ),
    "hostile": Profile(
        rates={
            "error": 0.04,
            "too_many": 0.02,
            "dropped": 0.03,
            "slow": 0.02,
            "silent": 0.002,
            "truncated": 0.03,
            "html": 0.02,
            "wrong_type": 0.02,
            "hang_up": 0.05,
            "not_working": 0.004,
        },
        row_rates={"shuffle": 0.25, "double": 0.1, "repeat": 0.05},
        in_a_row=3,
        ghosts=(90, 24),
    ),
}


class Faults:
    """Decides for each request what spoils its answer: a hook for `Control.fault`.

    The same seed and the same requests in the same order meet the same faults. The same request
    (path and query) never fails more than `in_a_row` times running, so a patient reader gets
    through.

    Args:
        profile: how often what goes wrong.
        seed: what decides.
        pace: factor on delays and `Retry-After`.
    """

    def __init__(self, profile: Profile, seed: int = 0, pace: float = 1.0) -> None:
        self.profile = profile
        self.seed = seed
        self.pace = pace
        self._lock = threading.Lock()
        self._failed: Counter[str] = Counter()
        self._gap = 0

    def __call__(self, request: Request) -> Fault | None:
        """Return what spoils the answer to a request; None when nothing does."""
        if request.path == _NEVER:
            return None
        fault = self.draw(request)
        question = request.exactly
        with self._lock:
            if self._gap and (fault is None or fault.harmless):
                self._gap -= 1
                fault = Fault.not_working()
            if fault is None or fault.harmless:
                self._failed.pop(question, None)
                return fault
            if self._failed[question] >= self.profile.in_a_row:
                del self._failed[question]
                self._gap = 0
                return None
            self._failed[question] += 1
            if fault.name == "not_working" and not self._gap:
                self._gap = request.number % _GAP
        return fault

    def draw(self, request: Request) -> Fault | None:
        """Draw what the seed holds for a request, however often it failed before."""
        # The text of a seed is hashed the same way in every process.
        rng = random.Random(f"{self.seed}:{request.number}:{request.path}")  # noqa: S311
        name = _drawn(rng.random(), self.profile.rates)
        if name is not None:
            return MAKERS[name](rng, self.pace)
        name = _drawn(rng.random(), self.profile.row_rates)
        return ROW_MAKERS[name](rng) if name and request.template == MESSAGES else None


def _drawn(draw: float, rates: Mapping[str, float]) -> str | None:
    for name, rate in rates.items():
        if draw < rate:
            return name
        draw -= rate
    return None
