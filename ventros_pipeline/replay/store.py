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
import tempfile
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
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
        self._views: dict[Scope, Sequence[int]] = {}
        self._times: dict[Scope, tuple[array[float], array[int]]] = {}
        self._answers: OrderedDict[tuple[Scope, Window, bool], Sequence[int]] = OrderedDict()

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
        stale = [scope for scope in self._views if scope is None or chat_id in scope]
        for scope in stale:
            self._views.pop(scope, None)
            self._times.pop(scope, None)
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

    def shown(self, scope: Scope = None) -> list[bytes]:
        """Return every message a reader can get, oldest JSON text first."""
        return [text for row in self._view(scope) if (text := self.text(row))]

    def rows(self, scope: Scope, window: Window, descending: bool) -> Sequence[int]:
        """Return the rows of a query, in order, dropped ones included."""
        token = (scope, window, descending)
        found = self._answers.get(token)
        if found is None:
            found = self._answers[token] = self._select(scope, window, descending)
            if len(self._answers) > _CACHED_ANSWERS:
                self._answers.popitem(last=False)
        self._answers.move_to_end(token)
        return found

    def _select(self, scope: Scope, window: Window, descending: bool) -> Sequence[int]:
        rows: Iterable[int] = self._timed(scope, window)
        if window.from_me is not None:
            rows = [row for row in rows if bool(self._from_me[row]) is window.from_me]
        if window.status is not None:
            rows = [row for row in rows if self._status[row] == window.status]
        if descending:  # stable: rows of one second stay in insertion order
            rows = sorted(rows, key=self._order.__getitem__, reverse=True)
        return rows if isinstance(rows, array) else array("I", rows)

    def _timed(self, scope: Scope, window: Window) -> Sequence[int]:
        view = self._view(scope)
        if window.gte is None and window.lte is None:
            return view
        numbers, positions = self._clock(scope, view)
        start = 0 if window.gte is None else bisect_left(numbers, window.gte)
        stop = len(numbers) if window.lte is None else bisect_right(numbers, window.lte)
        return array("I", [view[place] for place in sorted(positions[start:stop])])

    def _view(self, scope: Scope) -> Sequence[int]:
        """Rows of a scope ordered by the JSON text of the time; ties by insertion."""
        view = self._views.get(scope)
        if view is None:
            chats = self._chats if scope is None else scope
            rows = sorted(row for chat_id in chats for row in self._chats.get(chat_id, ()))
            rows.sort(key=self._order.__getitem__)
            view = self._views[scope] = array("I", rows)
        return view

    def _clock(self, scope: Scope, view: Sequence[int]) -> tuple["array[float]", "array[int]"]:
        """Numeric times of a view, ascending, and where in the view each one stands."""
        clock = self._times.get(scope)
        if clock is None:
            number = self._number
            known = [place for place, row in enumerate(view) if not math.isnan(number[row])]
            known.sort(key=lambda place: number[view[place]])
            numbers = array("d", (number[view[place]] for place in known))
            clock = self._times[scope] = (numbers, array("I", known))
        return clock
