"""Reading chat by chat: WEBJS, WPP, and servers too old for windows over all chats.

What belongs here: which chats are read, and how the rows of one chat are asked for in few large
requests. What does not: windows over all chats (`windows.py`), the choice (`reading.py`).

Facts behind it: the engines answer newest first whatever order is asked. WEBJS walks back from the
newest message until enough rows pass the filter or one is older than `gte`, so `gte` makes a
request cheap and `lte` only makes its answer small. WPP takes the newest `offset + limit` rows
first and filters afterwards, so a filter beside a small limit or an offset loses rows: it is asked
without any. One answer is one moment, so a page that was too small is asked again, larger, instead
of turned: nothing can shift between two offsets.

Two things cannot be had from these engines. A chat that their list does not show is not read
(NOWEB and GOWS answer for all chats at once, and show those too). And a walk bounded by `gte` ends
at a row without a real time, whatever lies behind it: `read_unplaced`, which reads without bounds,
remembers such chats, and `read` of the same reader then reads them without bounds, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ventros_pipeline.waha.client import WahaClient
from ventros_pipeline.waha.pages import (
    DAY,
    FIRST_SECOND,
    ORDERED_UNTIL,
    PLAUSIBLE_CAP,
    WIDEST,
    Page,
    is_cut,
    placed,
    roomy,
    timestamp_of,
)

# Pages of a chat are this many times larger than windows' pages: each of them costs the engine a
# walk of its own.
_LARGE = 4
_GROWTH = 4
# Rows to ask for at least before a page with room counts as the end of a chat, where rows are
# dropped after they were counted.
_TRUSTED = 2_000
# What one chat holds of one day, generously; only the size of a first guess.
_ROWS_PER_DAY = 50
_SMALLEST_GUESS = 100
# One row in so many may be out of its place (an offline phone that sent late) without ending a
# reading that has no bounds.
_DISPLACED = 20
# Times that the longest page so far is put to the question whether it was cut.
_SAME_LENGTH = 3
# A range up to this long is an increment, of which a chat holds little; longer ones ask for much at
# once, since the end of a chat shows only in a page with room.
_INCREMENT = 7 * DAY

Ask = Callable[..., list[bytes]]


@dataclass
class ChatReader:
    """Reads each chat of a session on its own.

    Attributes:
        page_size: rows of a window's page; a chat's page is four times as large, or larger.
        bounded: the engine ends its walk at `gte` (WEBJS).
        notes: see `Reader`.
    """

    page_size: int
    bounded: bool
    notes: Sequence[str] = ()
    _unordered: set[str] = field(default_factory=set, init=False)
    _proven: int = field(default=PLAUSIBLE_CAP - 1, init=False)
    _same: int = field(default=0, init=False)
    _cap: int | None = field(default=None, init=False)

    @property
    def ranges_are_cheap(self) -> bool:
        """False: an old month costs a walk through everything newer, in every chat."""
        return False

    def read(
        self, client: WahaClient, start: int, end: int, chats: Sequence[str] | None = None
    ) -> Iterator[Page]:
        """Yield every row with `start <= timestamp < end` of the listed, or the given, chats.

        Chats whose last message is older than the range are passed over; those that show no time
        are read.

        Args:
            client: client of the session.
            start: first second, epoch.
            end: second after the last, epoch.
            chats: chat ids; None reads every chat that the server lists.

        Yields:
            Pages by chat, newest rows first; rows without a numeric timestamp may be among them.
            `complete_before` stays at `start` until the last chat is read: any chat may hold rows
            of any day.
        """
        if chats is not None and not chats:
            return
        for chat, last in _listed(client) if chats is None else _given(chats):
            if last is not None and last < start:
                continue
            for rows in self._read_chat(client, chat, last, start, end):
                wanted = [row for row in rows if _unknown(row) or placed(row, start, end)]
                if wanted:
                    yield Page(wanted, start)
        yield Page([], end)

    def read_unplaced(
        self, client: WahaClient, before: int, after: int, chats: Sequence[str] | None = None
    ) -> Iterator[Page]:
        """Yield every row whose timestamp is not in `before <= timestamp < after`.

        Each chat is read whole and without bounds: no filter of these engines finds a row without a
        time, or one behind it.

        Args:
            client: client of the session.
            before: first second that days cover, epoch.
            after: first second that days do not cover any more, epoch.
            chats: chat ids; None reads every chat that the server lists.

        Yields:
            Pages in no order; `complete_before` is always `before`, for it says nothing here.
        """
        for chat, _ in _listed(client) if chats is None else _given(chats):
            for rows in self._grown(
                partial(client.messages, chat, order="desc", slow=True), self._full, None
            ):
                if any(_unordered(row) for row in rows):
                    self._unordered.add(chat)
                wanted = [row for row in rows if not placed(row, before, after)]
                if wanted:
                    yield Page(wanted, before)

    def oldest(self, client: WahaClient) -> int | None:
        """Return the first second of WhatsApp, or None when no chat is listed.

        It is a bound, not a message's time: these engines tell only the newest message of a chat,
        and finding the oldest means reading all of them. None would mean that there is nothing.
        """
        return FIRST_SECOND if _listed(client) else None

    @property
    def _full(self) -> int:
        return min(self.page_size * _LARGE, WIDEST)

    def _read_chat(
        self, client: WahaClient, chat: str, last: float | None, start: int, end: int
    ) -> Iterator[list[bytes]]:
        ask = partial(client.messages, chat, order="desc", slow=True)
        if self.bounded and chat not in self._unordered:
            return self._grown(partial(ask, gte=start, lte=end), self._full, None)
        return self._grown(ask, self._guess(last, start, end), start)

    def _guess(self, last: float | None, start: int, end: int) -> int:
        """Return how many newest rows of a chat likely reach back to `start`."""
        if last is None or end - start > _INCREMENT:
            return self._full
        days = math.ceil((last - start) / DAY) + 1
        return min(max(days * _ROWS_PER_DAY, _SMALLEST_GUESS), self._full)

    def _grown(self, ask: Ask, limit: int, start: int | None) -> Iterator[list[bytes]]:
        """Yield the newest rows, those not yielded before, asking for more until they are enough.

        Args:
            ask: a request of the chat, without limit and offset.
            limit: of the first request.
            start: a reading without bounds ends when it is past this second; None reads it all.
        """
        seen: set[bytes] = set()
        before = -1
        while self._cap is None and limit <= WIDEST:
            rows = ask(limit=limit)
            yield _fresh(rows, seen)
            if _past(rows, start) or (
                self._reaches_the_end(len(rows), before, limit)
                and not self._cut(rows, partial(ask, limit=limit))
            ):
                return
            before = len(rows)
            limit = max(self._full, limit * _GROWTH, 0 if self.bounded else _TRUSTED)
        yield from _turned(ask, self._cap or WIDEST, start, seen)

    def _reaches_the_end(self, count: int, before: int, limit: int) -> bool:
        """Say whether a page looks as if nothing were behind it.

        WEBJS counts rows after it has dropped what it does not show, so a short page is the end.
        Elsewhere a group's notices may fill a page and leave no row of it: the page must be large
        and mostly empty, or a larger one must have brought no more.
        """
        if count >= limit:
            self._proven = max(self._proven, count)
            return False
        if self.bounded:
            return True
        return limit >= _TRUSTED and (count == before or roomy(count, limit))

    def _cut(self, rows: Sequence[bytes], ask: Ask) -> bool:
        """Find out whether the server, or a proxy, cuts pages; from then on chats are turned.

        A page shorter than one that was whole is not cut, so only the longest so far is put to the
        question: a few requests in a whole account. The same length again is asked about a few
        times, for the first chat may have held just as many rows as the server gives.
        """
        count = len(rows)
        if count < self._proven or (count == self._proven and self._same >= _SAME_LENGTH):
            return False
        if not is_cut(rows, ask):
            self._same = self._same + 1 if count == self._proven else 1
            self._proven = count
            return False
        self._cap = count
        return True


def _turned(ask: Ask, size: int, start: int | None, seen: set[bytes]) -> Iterator[list[bytes]]:
    """Yield what pages of `size` with offsets bring, until two in a row bring nothing new.

    Pages overlap by a quarter, so that what is deleted between two requests hides nothing; what
    arrives moves rows towards higher offsets, where they are read again.
    """
    offset = idle = 0
    while idle < 2:
        rows = ask(limit=size, offset=offset)
        fresh = _fresh(rows, seen)
        yield fresh
        if _past(rows, start):
            return
        idle = 0 if fresh or offset == 0 else idle + 1
        offset += max(1, size - size // 4)


def _fresh(rows: Sequence[bytes], seen: set[bytes]) -> list[bytes]:
    fresh = [row for row in dict.fromkeys(rows) if row not in seen]
    seen.update(fresh)
    return fresh


def _past(rows: Sequence[bytes], start: int | None) -> bool:
    """Say whether rows reach back beyond `start`, not counting a few out of their place."""
    if start is None:
        return False
    older = sum(placed(row, FIRST_SECOND, start) for row in rows)
    return older > 0 and older * _DISPLACED >= len(rows)


def _unknown(row: bytes) -> bool:
    return timestamp_of(row) is None


def _unordered(row: bytes) -> bool:
    """Say whether a row's time is one at which a walk that looks for older rows would end."""
    time = timestamp_of(row)
    return time is None or time < FIRST_SECOND


def _given(chats: Sequence[str]) -> list[tuple[str, float | None]]:
    return [(chat, None) for chat in chats]


def _listed(client: WahaClient) -> list[tuple[str, float | None]]:
    """List chats with the time of their last message, None where it is not to be trusted."""
    chats: dict[str, float | None] = {}
    for item in client.chats():
        if name := _name(item.get("id")):
            chats.setdefault(name, _last_time(item))
    return list(chats.items())


def _name(value: Any) -> str | None:
    if isinstance(value, dict):
        whole = value.get("_serialized") or value.get("$1")
        user, server = value.get("user"), value.get("server")
        value = whole or (f"{user}@{server}" if user and server else None)
    return value if isinstance(value, str) and value else None


def _last_time(item: dict[str, Any]) -> float | None:
    """Read a chat's time: `timestamp` of WEBJS, `t` of WPP, `conversationTimestamp` elsewhere."""
    for key in ("timestamp", "t", "conversationTimestamp"):
        try:
            time = float(item.get(key) or 0)
        except (TypeError, ValueError):
            continue
        if FIRST_SECOND <= time < ORDERED_UNTIL:
            return time
    return None
