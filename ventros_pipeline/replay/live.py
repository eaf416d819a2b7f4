"""Changes that happen to an account while it is being read, tied to the count of requests.

Belongs here: what happens when (arrivals, late arrivals, revokes, edits, acks, a LID mapping that
appears), decided by a seed. Does not belong here: how an engine keeps a change (`engine`, `noweb`,
`gows`, `browser`) and what it means for the truth (`truth`).
"""

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ventros_pipeline.replay.account import Account
from ventros_pipeline.replay.control import Request
from ventros_pipeline.replay.engine import MESSAGES, Engine
from ventros_pipeline.replay.ids import to_jid
from ventros_pipeline.replay.kinds import Content, Envelope, Writer
from ventros_pipeline.replay.stored import NOTES, Json, Stored
from ventros_pipeline.replay.wire import js_dumps

SHARES: Mapping[str, float] = {
    "arrival": 0.4,
    "late": 0.2,
    "revoke": 0.12,
    "edit": 0.12,
    "ack": 0.12,
    "mapping": 0.04,
}
_ACK_NAMES = ("ERROR", "PENDING", "SERVER", "DEVICE", "READ", "PLAYED")
_TRIES = 20


@dataclass(frozen=True)
class Happened:
    """One change that was made.

    Attributes:
        request: number of the request that it came before.
        what: arrival, late, revoke, edit, ack or mapping.
        chat: the chat, raw form; for a mapping the LID.
        stanza_id: the message; for a mapping the number.
    """

    request: int
    what: str
    chat: str
    stanza_id: str


@dataclass
class LiveChanges:
    """Changes an account before every n-th message listing is answered.

    Attributes:
        seed: what decides; the same seed and the same requests give the same changes.
        every: message listings from one change to the next.
        most: changes after which the account comes to rest, so that reading it can end.
        shares: how often which change is made.
        since: lower bound of the times of late arrivals; by default the oldest message.
        done: what has happened.
    """

    seed: int = 0
    every: int = 3
    most: int = 60
    shares: Mapping[str, float] = field(default_factory=lambda: dict(SHARES))
    since: int | None = None
    done: list[Happened] = field(default_factory=list)

    def bind(self, engine: Engine) -> Callable[[Request], None]:
        """Return the watcher that makes the changes in an engine's account."""
        return _Changing(self, engine)


class _Changing:
    """One server's live changes."""

    def __init__(self, plan: LiveChanges, engine: Engine) -> None:
        self._plan = plan
        self._engine = engine
        self._account: Account = engine.account
        self._rng = random.Random(plan.seed)  # noqa: S311 - test data, not a secret
        self._writer = Writer(random.Random(plan.seed))  # noqa: S311
        self._lock = threading.Lock()
        self._asked = 0
        self._span: tuple[int, int] | None = None
        self._stanzas: list[str] = []

    def __call__(self, request: Request) -> None:
        """Make a change when it is time for one."""
        plan = self._plan
        if request.template != MESSAGES:
            return
        with self._lock, self._account.lock:
            self._asked += 1
            if self._asked % plan.every or len(plan.done) >= plan.most:
                return
            self._start()
            names = list(plan.shares)
            what = self._rng.choices(names, list(plan.shares.values()))[0]
            made = _MAKERS[what](self)
            if made is not None:
                plan.done.append(Happened(request.number, what, *made))

    def _start(self) -> None:
        """Look at the account once: its span of time and its messages."""
        if self._span is not None:
            return
        honest = []
        for chat_id, text in self._account.stored():
            row = Stored.parse(text)
            if row.seconds is not None and 10**9 <= row.seconds < 2 * 10**9:
                honest.append(int(row.seconds))
                if self._engine.reachable(chat_id):
                    self._stanzas.append(row.stanza_id)
        oldest = min(honest, default=1_700_000_000)
        self._span = (self._plan.since or oldest, max(honest, default=oldest))

    def _pick(self) -> Stored | None:
        """Return some message that is there."""
        for _ in range(_TRIES):
            if not self._stanzas:
                return None
            found = self._account.row(self._rng.choice(self._stanzas))
            if found is not None:
                row = Stored.parse(found[1])
                if row.data and row.kind != "revoked":
                    return row
        return None

    def arrival(self) -> tuple[str, str] | None:
        """Let a message come in, newer than all."""
        assert self._span is not None  # noqa: S101 - set by _start
        moment = self._span[1] + self._rng.randrange(3)
        self._span = (self._span[0], moment)
        return self._write(moment)

    def late(self) -> tuple[str, str] | None:
        """Let a message come in whose time is long gone, as history does."""
        assert self._span is not None  # noqa: S101 - set by _start
        return self._write(self._rng.randint(*self._span))

    def revoke(self) -> tuple[str, str] | None:
        """Take a message back."""
        row = self._pick()
        if row is None:
            return None
        self._account.revoke(row.stanza_id)
        mark = self._engine.revoked(row, self._stanza_id(), self._now())
        if mark is not None:
            self._account.put_message(row.chat, mark)
        return row.chat, row.stanza_id

    def edit(self) -> tuple[str, str] | None:
        """Correct a text."""
        for _ in range(_TRIES):
            row = self._pick()
            if row is not None and row.kind == "text":
                body = f"{self._writer.sentence()} (corrigido {len(self._plan.done)})"
                self._account.put_message(row.chat, self._engine.edited(row, body, self._now()))
                return row.chat, row.stanza_id
        return None

    def ack(self) -> tuple[str, str] | None:
        """Let a message be delivered or read."""
        for _ in range(_TRIES):
            row = self._pick()
            if row is not None and (row.status or 0) < 4:
                status = (row.status or 1) + 1
                changed: Json = row.message | {"ack": status - 1, "ackName": _ACK_NAMES[status]}
                changed["_data"] = row.data | {"status": status}
                self._account.put_message(row.chat, changed)
                return row.chat, row.stanza_id
        return None

    def mapping(self) -> tuple[str, str] | None:
        """Let it become known which number a LID belongs to."""
        known = dict(self._account.lids())
        free = [
            chat
            for chat in sorted(self._account.last_moves())
            if chat.endswith("@lid") and chat not in known
        ]
        if not free:
            return None
        lid = self._rng.choice(free)
        number = f"55119{self._rng.randrange(10**8):08d}@c.us"
        self._account.map_lid(lid, number)
        return lid, number

    def _now(self) -> int:
        assert self._span is not None  # noqa: S101 - set by _start
        return self._span[1] + 1

    def _stanza_id(self) -> str:
        return f"3EB0{self._rng.getrandbits(72):018X}"

    def _write(self, moment: int) -> tuple[str, str] | None:
        """Store a message like some other one: the same chat, the same writer."""
        model = self._pick()
        if model is None:
            return None
        text = f"{self._writer.sentence()} (ao vivo {len(self._plan.done)})"
        envelope = Envelope(
            model.chat,
            self._stanza_id(),
            moment,
            model.from_me,
            to_jid(model.participant) if model.participant else None,
            model.data.get("pushName"),
        )
        status: Any = 2 if model.from_me else 3
        message = self._writer.message(envelope, Content({"conversation": text}, text), status)
        message.pop(NOTES, None)
        self._account.put_message(model.chat, js_dumps(message))
        self._stanzas.append(envelope.stanza_id)
        return model.chat, envelope.stanza_id


_MAKERS: dict[str, Callable[[_Changing], tuple[str, str] | None]] = {
    "arrival": _Changing.arrival,
    "late": _Changing.late,
    "revoke": _Changing.revoke,
    "edit": _Changing.edit,
    "ack": _Changing.ack,
    "mapping": _Changing.mapping,
}
