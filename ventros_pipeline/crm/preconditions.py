"""What each transition of a channel's import demands, and what is said when it does not hold.

What belongs here: the state that a transition is judged by, and the table of its preconditions.
What does not: the transitions themselves (`lifecycle.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.limits import STRATEGIES, Wish

# Who starts the runs of an import.
RUN, COMMAND, SENSOR = "run", "command", "sensor"


class LifecycleError(Exception):
    """A transition is refused; the message says what to do."""


class AlreadyImportingError(LifecycleError):
    """Another import of the channel runs; it passes by itself."""


@dataclass(frozen=True)
class State:
    """A channel's lifecycle as it stands.

    Attributes:
        channel_status: `channels.status`.
        status: idle, importing, completed or failed.
        stats: total, processed, failed, started_at, ended_at; null before the first import.
        last_import_at: when the last complete import ended, UTC.
        decided: whether anybody ever enabled or disabled imports; `false` is the CRM's default.
        import_id: the open import, requested or running; null where none is.
        requested: whether the open import has not started yet.
        awaited: whether it was requested so lately that its start is still to be expected.
        error: what went wrong in the open import so far.
        driver: who starts the runs of the open import; null where none is.
        days_ahead: how many days of the open import's plan are waiting or running.
        held: whether a process takes part in the open import.
        watermark: the newest message time that was loaded.
        imported_from: when the last complete import began.
        now: the database's clock.
    """

    type: str
    channel_status: str | None
    enabled: bool
    status: str
    stats: Mapping[str, Any] | None
    last_import_at: datetime | None
    max_days: int | None
    max_per_chat: int | None
    decided: bool
    watermark: datetime | None
    import_id: UUID | None
    run_group: str | None
    partial: bool | None
    error: str | None
    started_at: datetime | None
    requested: bool
    awaited: bool
    imported_from: datetime | None
    driver: str | None
    days_ahead: int
    now: datetime
    held: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether the open import has days ahead that the sensor is to run."""
        return self.driver == SENSOR and self.days_ahead > 0

    @property
    def busy(self) -> bool:
        """Whether an import is running, or about to; a planned one also between its runs."""
        return self.held or self.awaited or self.goes_on

    @property
    def imported_until(self) -> datetime | None:
        """Up to when everything is in the CRM; None where no import was ever completed.

        `last_import_date` alone would leave gaps: an import reads the newest days first and ends
        hours later, and one that only read last June ends today, too.
        """
        if self.last_import_at is None:
            return None
        known = (self.last_import_at, self.imported_from, self.watermark)
        return min(moment for moment in known if moment is not None)

    def as_json(self) -> dict[str, Any]:
        """Return what the CRM's columns say, as plain data."""
        return {
            "enabled": self.enabled,
            "status": self.status,
            "last_import_date": self.last_import_at and written(self.last_import_at),
            "stats": self.stats,
            "max_days": self.max_days,
            "max_per_chat": self.max_per_chat,
        }


@dataclass(frozen=True)
class Facts:
    """What a transition is judged by."""

    channel: Channel
    state: State
    wish: Wish = field(default_factory=Wish)
    max_days: int | None = None
    max_per_chat: int | None = None


@dataclass(frozen=True)
class Precondition:
    """One thing that a transition demands, and what is said when it does not hold."""

    holds: Callable[[Facts], bool]
    refusal: str
    error: type[LifecycleError] = LifecycleError


CONNECTED = Precondition(
    lambda facts: facts.state.channel_status in ("active", "connecting"),
    "it is {status} in the CRM, and only an active or connecting channel can be enabled; activate "
    "it in the CRM first",
)
ACTIVE = Precondition(
    lambda facts: facts.state.channel_status == "active",
    "it is {status} in the CRM, and only an active channel is imported; activate it in the CRM "
    "first",
)
DAYS_ABOVE_ZERO = Precondition(
    lambda facts: facts.max_days is None or facts.max_days > 0,
    "a limit of days must be above 0; leave it out for no limit",
)
CAP_ABOVE_ZERO = Precondition(
    lambda facts: facts.max_per_chat is None or facts.max_per_chat > 0,
    "a limit of messages per chat must be above 0; leave it out for no limit",
)
NOBODY_IMPORTS = Precondition(
    lambda facts: not facts.state.busy,
    "it is being imported already, since {since}; wait until that ends (`ventros status "
    "{key} --watch`), or end it with `ventros cancel {key}`",
    AlreadyImportingError,
)
CRM_DOES_NOT_IMPORT = Precondition(
    lambda facts: facts.state.status != "importing" or facts.state.import_id is not None,
    "the CRM says that it imports this channel itself; wait, or set it back with `ventros channel "
    "enable {key}`",
    AlreadyImportingError,
)
ENABLED = Precondition(
    lambda facts: facts.state.enabled,
    "its history import was turned off; turn it on with `ventros channel enable {key}`",
)
KNOWN_STRATEGY = Precondition(
    lambda facts: facts.wish.strategy in STRATEGIES,
    f"the strategy must be one of {', '.join(STRATEGIES)}",
)
RANGE_HAS_DAYS = Precondition(
    lambda facts: facts.wish.strategy != "time_range" or facts.wish.days > 0,
    "the strategy time_range needs a number of days above 0",
)
HAS_A_SESSION = Precondition(
    lambda facts: bool(facts.channel.base_url and facts.channel.session),
    "it names no WAHA server or session; add it with `ventros channel add`",
)
RESERVED = Precondition(
    lambda facts: facts.state.requested,
    "nobody has requested this import, or it runs already",
)

# What the CRM demands of each transition. Whether WAHA's session is WORKING, which it asks for too,
# is asked by the first request of the run, where the answer is not stale.
PRECONDITIONS: Mapping[str, tuple[Precondition, ...]] = {
    "enable": (CONNECTED, DAYS_ABOVE_ZERO, CAP_ABOVE_ZERO, NOBODY_IMPORTS),
    "disable": (),
    "request": (
        KNOWN_STRATEGY,
        RANGE_HAS_DAYS,
        ENABLED,
        ACTIVE,
        HAS_A_SESSION,
        NOBODY_IMPORTS,
        CRM_DOES_NOT_IMPORT,
    ),
    "start": (ENABLED, RESERVED),
    "complete": (),
    "fail": (),
}


def demand(transition: str, facts: Facts) -> None:
    """Refuse a transition whose preconditions do not hold."""
    for demanded in PRECONDITIONS[transition]:
        if not demanded.holds(facts):
            since = facts.state.started_at or facts.state.now
            said = demanded.refusal.format(
                key=facts.channel.key,
                status=facts.state.channel_status or "inactive",
                since=f"{since.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
            )
            raise demanded.error(f"channel {facts.channel.key}: {said}")


def written(moment: datetime) -> str:
    """Return a moment as Go writes times in JSON."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
