"""The message table of a replayed account: rows, their order, and windows over them.

Belongs here: holding the JSON text of messages byte for byte and answering "which rows, in which
order" as WAHA's own SQL does. Does not belong here: chats, contacts, HTTP.

The texts live in an unnamed temporary file that is mapped into memory, so that an account of a
million messages costs page cache and not heap; what stays on the heap per row is one short key and
a few machine numbers.
"""

import json
import math
import mmap
import random
import tempfile
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from ventros_pipeline.replay.wire import js_dumps

_CACHED_ANSWERS = 12
_NO_STATUS = -1


class _Key(msgspec.Struct):
    id: str = ""


class _Data(msgspec.Struct):
    key: _Key | None = None
    messageTimestamp: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815 - the wire's name
    status: Any = None


class _Message(msgspec.Struct):
    id: Any = ""
    timestamp: Any = None
    fromMe: Any = None  # noqa: N815 - the wire's name
    data: _Data | None = msgspec.field(name="_data", default=None)


_MESSAGE = msgspec.json.Decoder(_Message)


class Head(NamedTuple):
    """What the server has to know about a message to find and order it."""

    stanza_id: str
    order: bytes
    number: float
    from_me: bool | None
    status: int


class Window(NamedTuple):
    """The filters of a message query; None filters nothing."""

    gte: float | None = None
    lte: float | None = None
    from_me: bool | None = None
    status: int | None = None


EVERYTHING = Window()
NO_TIME = -62_135_596_800.0
"""The second a row without a time stands at where times are numbers: Go's zero time."""


class Ghosts(NamedTuple):
    """Rows WAHA reads and never shows, strewn between the others: they use up limit and offset.

    Attributes:
        seed: which rows they follow.
        every: one run of them per that many rows.
        longest: rows of the longest run.
    """

    seed: int
    every: int
    longest: int

    def after(self, row: int) -> int:
        """Return how many ghosts follow a row; always the same for the same row."""
        mixed = (row * 2_654_435_761 + self.seed * 40_503 + 97) & 0xFFFFFFFF
        mixed = ((mixed >> 16) ^ mixed) * 73_244_475 & 0xFFFFFFFF
        if (mixed >> 8) % self.every:
            return 0
        return 1 + (mixed >> 20) % (self.longest if mixed & 1 else min(3, self.longest))


class Look(NamedTuple):
    """How a store looks at its rows.

    Attributes:
        numeric: order by the time as a number; False orders by its JSON text, as NOWEB does.
        ghosts: hidden rows to strew in; None leaves the rows alone.
    """

    numeric: bool = False
    ghosts: Ghosts | None = None


PLAIN = Look()


def read_head(text: bytes) -> Head:
    """Read the head of a message; tolerates any shape a JSON object can have."""
    try:
        message = _MESSAGE.decode(text)
    except msgspec.MsgspecError:
        return _read_odd_head(text)
    data = message.data
    stanza_id = data.key.id if data and data.key else ""
    order = bytes(data.messageTimestamp) if data else js_dumps(message.timestamp)
    return Head(
        stanza_id or _third_part(message.id),
        order,
        _number(message.timestamp),
        message.fromMe is True,
        _status(data.status if data else None),
    )


def _read_odd_head(text: bytes) -> Head:
    """Read what the fast decoder refuses: lone surrogates, unexpected types."""
    message = json.loads(text)
    data = message.get("_data")
    known = data if isinstance(data, dict) else {}
    key = known.get("key")
    stanza_id = key.get("id") if isinstance(key, dict) else None
    if not known:
        order = js_dumps(message.get("timestamp"))
    else:
        order = js_dumps(known["messageTimestamp"]) if "messageTimestamp" in known else b""
    return Head(
        str(stanza_id or _third_part(message.get("id"))),
        order,
        _number(message.get("timestamp")),
        message.get("fromMe") is True,
        _status(known.get("status")),
    )


def _third_part(serialized: object) -> str:
    parts = str(serialized).split("_")
    return parts[2] if len(parts) > 2 else parts[-1]


def _number(value: object) -> float:
    if isinstance(value, bool) or value is None:
        return math.nan
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _status(value: object) -> int:
    known = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 100
    return int(value) if known else _NO_STATUS  # type: ignore[call-overload]


Scope = tuple[str, ...] | None
"""Chat ids a query covers; None is every chat of the session."""
_View = tuple[Scope, bool]
_Question = tuple[Scope, Window, bool, Look]


class MessageStore:
    """Rows in insertion order, grouped by chat, with WAHA's orders and filters on top."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the store
        self._map: mmap.mmap | None = None
        self._end = 0
        self._offset = array("Q")
        self._length = array("I")
        self._number = array("d")
        self._order: list[bytes] = []
        self._from_me = array("b")
        self._status = array("b")
        self._chat: list[str] = []
        self._chats: dict[str, array[int]] = {}
        self._late: dict[int, bytes] = {}
        self._interned: dict[bytes, bytes] = {}
        self._stanzas: dict[str, int] | None = None
        self._ghost: int | None = None
        self._views: dict[_View, Sequence[int]] = {}
        self._times: dict[_View, tuple[array[float], array[int]]] = {}
        self._answers: OrderedDict[_Question, Sequence[int]] = OrderedDict()

    # -- filling ---------------------------------------------------------------------------

    def load(self, chat_id: str, text: bytes) -> None:
        """Append a message while the account is being read from disk."""
        self._file.write(text)
        self._append(chat_id, read_head(text), len(text))

    def load_dropped(self, chat_id: str, timestamp: int) -> None:
        """Append a row that WAHA reads and never shows: it only uses up limit and offset."""
        order = str(timestamp).encode()
        self._append(chat_id, Head("", order, float(timestamp), True, _NO_STATUS), 0)

    def seal(self) -> None:
        """Finish loading: map the texts into memory."""
        self._file.flush()
        if self._end:
            self._map = mmap.mmap(self._file.fileno(), self._end, access=mmap.ACCESS_READ)
        self._interned.clear()

    def close(self) -> None:
        """Give the temporary file back."""
        if self._map is not None:
            self._map.close()
            self._map = None
        self._file.close()

    def _append(self, chat_id: str, head: Head, length: int) -> int:
        row = len(self._offset)
        self._offset.append(self._end)
        self._length.append(length)
        self._end += length
        self._number.append(head.number)
        self._order.append(self._interned.setdefault(head.order, head.order))
        self._from_me.append(int(bool(head.from_me)))
        self._status.append(head.status)
        rows = self._chats.get(chat_id)
        if rows is None:
            rows = self._chats[chat_id] = array("I")
        rows.append(row)
        self._chat.append(chat_id)
        return row

    # -- changing ---------------------------------------------------------------------------

    def put(self, chat_id: str, text: bytes) -> None:
        """Store a message as a live one: a known stanza id is overwritten (UNIQUE(id))."""
        head = read_head(text)
        row = self._known().get(head.stanza_id)
        if row is None:
            row = self._append(chat_id, head, 0)
        else:
            self._overwrite(row, chat_id, head)
        self._late[row] = text
        self._known()[head.stanza_id] = row
        self._forget(chat_id)

    def remove(self, stanza_id: str) -> bool:
        """Delete a row, as a revoke does; False when there is none."""
        row = self._known().pop(stanza_id, None)
        if row is None:
            return False
        self._chats[self._chat[row]].remove(row)
        self._forget(self._chat[row])
        return True

    def _overwrite(self, row: int, chat_id: str, head: Head) -> None:
        before = self._chat[row]
        if before != chat_id:
            self._chats[before].remove(row)
            rows = self._chats.setdefault(chat_id, array("I"))
            rows.insert(bisect_left(rows, row), row)
            self._chat[row] = chat_id
            self._forget(before)
        self._number[row] = head.number
        self._order[row] = head.order
        self._from_me[row] = int(bool(head.from_me))
        self._status[row] = head.status

    def _known(self) -> dict[str, int]:
        if self._stanzas is None:
            rows = (row for rows in self._chats.values() for row in rows)
            texts = ((row, self.text(row)) for row in rows)
            self._stanzas = {read_head(text).stanza_id: row for row, text in texts if text}
        return self._stanzas

    def _forget(self, chat_id: str) -> None:
        stale = [view for view in self._views if view[0] is None or chat_id in view[0]]
        for view in stale:
            self._views.pop(view, None)
            self._times.pop(view, None)
        self._answers.clear()

    # -- asking -----------------------------------------------------------------------------

    def __len__(self) -> int:
        """Count the rows, dropped ones included."""
        return sum(map(len, self._chats.values()))

    @property
    def chat_ids(self) -> list[str]:
        """Chats that have rows, in insertion order."""
        return [chat_id for chat_id, rows in self._chats.items() if rows]

    def text(self, row: int) -> bytes:
        """Return the JSON text of a row; empty for a dropped one."""
        late = self._late.get(row)
        if late is not None:
            return late
        start = self._offset[row]
        length = self._length[row]
        return self._map[start : start + length] if self._map is not None and length else b""

    def find(self, stanza_id: str, scope: Scope) -> bytes | None:
        """Return a message by stanza id when it lies in the scope."""
        row = self._known().get(stanza_id)
        if row is None or (scope is not None and self._chat[row] not in scope):
            return None
        return self.text(row)

    def lookup(self, stanza_id: str) -> tuple[str, bytes] | None:
        """Return chat and text of a row by stanza id."""
        row = self._known().get(stanza_id)
        return None if row is None else (self._chat[row], self.text(row))

    def existing(self) -> Sequence[int]:
        """Return every row that can be shown, in order of time."""
        return [row for row in self._view((None, False)) if row in self._late or self._length[row]]

    def shown(self) -> list[bytes]:
        """Return every message a reader can get, oldest JSON text first."""
        return [self.text(row) for row in self.existing()]

    def newest(self) -> dict[str, float]:
        """Return the newest ten-digit time of every chat that has rows to show; else 0."""
        found: dict[str, float] = {}
        for row in self.existing():
            clock = self.clock(row)
            honest = clock if 10**9 <= clock < 10**10 else 0.0
            chat = self._chat[row]
            found[chat] = max(honest, found.get(chat, 0.0))
        return found

    def has(self, chat_id: str) -> bool:
        """Tell whether a chat has rows."""
        return bool(self._chats.get(chat_id))

    def chat(self, row: int) -> str:
        """Return the chat of a row."""
        return self._chat[row]

    def clock(self, row: int) -> float:
        """Return the time of a row as a number; `NO_TIME` when it has none."""
        number = self._number[row]
        return NO_TIME if math.isnan(number) else number

    def rows(
        self, scope: Scope, window: Window, descending: bool, look: Look = PLAIN
    ) -> Sequence[int]:
        """Return the rows of a query, in order, dropped ones included."""
        question = (scope, window, descending, look)
        found = self._answers.get(question)
        if found is None:
            found = self._answers[question] = self._select(scope, window, descending, look)
            if len(self._answers) > _CACHED_ANSWERS:
                self._answers.popitem(last=False)
        self._answers.move_to_end(question)
        return found

    def shuffled(self, rows: Sequence[int], start: int, stop: int, seed: int) -> list[int]:
        """Return a slice of rows after those of one time changed places, across its ends, too."""
        if start >= stop:
            return []
        first, last = start, stop
        while first > 0 and self._tied(rows[first - 1], rows[start]):
            first -= 1
        while last < len(rows) and self._tied(rows[last], rows[stop - 1]):
            last += 1
        mixed: list[int] = []
        rng = random.Random(seed)  # noqa: S311 - test data, not a secret
        group: list[int] = []
        for row in rows[first:last]:
            if group and not self._tied(group[0], row):
                rng.shuffle(group)
                mixed += group
                group = []
            group.append(row)
        rng.shuffle(group)
        return (mixed + group)[start - first : stop - first]

    def _tied(self, one: int, other: int) -> bool:
        return self._order[one] == self._order[other] and self.clock(one) == self.clock(other)

    def _select(self, scope: Scope, window: Window, descending: bool, look: Look) -> Sequence[int]:
        rows: Iterable[int] = self._timed((scope, look.numeric), window)
        if window.from_me is not None:
            rows = [row for row in rows if bool(self._from_me[row]) is window.from_me]
        if window.status is not None:
            rows = [row for row in rows if self._status[row] == window.status]
        if descending:  # stable: rows of one second stay in insertion order
            rows = sorted(rows, key=self._rank(look.numeric), reverse=True)
        if look.ghosts is not None:
            rows = self._haunted(rows, look.ghosts)
        return rows if isinstance(rows, array) else array("I", rows)

    def _rank(self, numeric: bool) -> Callable[[int], Any]:
        return self.clock if numeric else self._order.__getitem__

    def _haunted(self, rows: Iterable[int], ghosts: Ghosts) -> Sequence[int]:
        """Strew ghosts: rows that use up limit and offset and are never shown."""
        if self._ghost is None:
            self._ghost = self._append("(ghost)", Head("", b"", math.nan, None, _NO_STATUS), 0)
            self._chats.pop("(ghost)")
        found = array("I")
        for row in rows:
            found.append(row)
            found.extend([self._ghost] * ghosts.after(row))
        return found

    def _timed(self, view: _View, window: Window) -> Sequence[int]:
        rows = self._view(view)
        if window.gte is None and window.lte is None:
            return rows
        numbers, positions = self._clock(view, rows)
        start = 0 if window.gte is None else bisect_left(numbers, window.gte)
        stop = len(numbers) if window.lte is None else bisect_right(numbers, window.lte)
        return array("I", [rows[place] for place in sorted(positions[start:stop])])

    def _view(self, view: _View) -> Sequence[int]:
        """Rows of a scope ordered by their time, as text or number; ties by insertion."""
        found = self._views.get(view)
        if found is None:
            scope, numeric = view
            chats = self._chats if scope is None else scope
            rows = sorted(row for chat_id in chats for row in self._chats.get(chat_id, ()))
            rows.sort(key=self._rank(numeric))
            found = self._views[view] = array("I", rows)
        return found

    def _clock(self, view: _View, rows: Sequence[int]) -> tuple["array[float]", "array[int]"]:
        """Numeric times of a view, ascending, and where in the view each one stands."""
        clock = self._times.get(view)
        if clock is None:
            timed = view[1]
            known = [
                place
                for place, row in enumerate(rows)
                if timed or not math.isnan(self._number[row])
            ]
            known.sort(key=lambda place: self.clock(rows[place]))
            numbers = array("d", (self.clock(rows[place]) for place in known))
            clock = self._times[view] = (numbers, array("I", known))
        return clock
