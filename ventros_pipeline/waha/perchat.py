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
at a row without a real time, whatever lies behind it: only a reading that is asked for the rows
outside of all days, and so has no bounds, finds what is there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ventros_pipeline.ahead import side_by_side
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
    timestamps_of,
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
# So many chats of one length, the longest so far, are enough to ask whether they were cut.
_SAME_LENGTH = 3
# A range up to this long is an increment, of which a chat holds little; longer ones ask for much at
# once, since the end of a chat shows only in a page with room.
_INCREMENT = 7 * DAY

Ask = Callable[..., list[bytes]]


@dataclass(frozen=True)
class ChatReader:
    """Reads each chat of a session on its own.

    Attributes:
        page_size: rows of a window's page; a chat's page is four times as large, or larger.
        bounded: the engine ends its walk at `gte` (WEBJS).
        notes: see `Reader`.
        at_once: chats that are asked for at one time; what the server bears is the client's matter.
    """

    page_size: int
    bounded: bool
    notes: Sequence[str] = ()
    at_once: int = 1

    @property
    def ranges_are_cheap(self) -> bool:
        """False: an old month costs a walk through everything newer, in every chat."""
        return False

    def read(
        self,
        client: WahaClient,
        start: int,
        end: int,
        chats: Sequence[str] | None = None,
        *,
        outside: tuple[int, int] | None = None,
    ) -> Iterator[Page]:
        """Yield every row with `start <= timestamp < end` of the listed, or the given, chats.

        Chats whose last message is older than the range are passed over; those that show no time
        are read. With `outside` each chat is read whole, once and without bounds: no filter of
        these engines finds a row without a time, or one behind it.

        Args:
            client: client of the session.
            start: first second, epoch.
            end: second after the last, epoch.
            chats: chat ids; None reads every chat that the server lists.
            outside: `(before, after)`, epoch seconds; rows whose timestamp is not in
                `before <= timestamp < after` are read, too.

        Yields:
            Pages by chat, newest rows first; rows without a numeric timestamp may be among them.
            `complete_before` stays at `start` until the last chat is read: any chat may hold rows
            of any day.
        """
        if chats is not None and not chats:
            return
        for rows in self._read_chats(client, start, end, chats, whole=outside is not None):
            times = timestamps_of(rows)
            wanted = [
                row
                for row, time in zip(rows, times, strict=True)
                if _wanted(time, start, end, outside)
            ]
            if wanted:
                yield Page(wanted, start)
        yield Page([], end)

    def oldest(self, client: WahaClient) -> int | None:
        """Return the first second of WhatsApp, or None when no chat is listed.

        It is a bound, not a message's time: these engines tell only the newest message of a chat,
        and finding the oldest means reading all of them. None would mean that there is nothing.
        """
        return FIRST_SECOND if _listed(client) else None

    @property
    def _full(self) -> int:
        return min(self.page_size * _LARGE, WIDEST)

    def _read_chats(
        self,
        client: WahaClient,
        start: int,
        end: int,
        chats: Sequence[str] | None,
        *,
        whole: bool,
    ) -> Iterator[list[bytes]]:
        cuts = _Cuts()
        walks = [
            self._walk(client, chat, last, start, end, whole=whole)
            for chat, last in (_listed(client) if chats is None else _given(chats))
            if whole or last is None or last >= start
        ]
        # Each walk's first page; where the server is known to cut pages, they are turned instead.
        calls = (walk.begin if cuts.cap is None else list for walk in walks)
        beforehand = self.at_once if self.at_once > 1 else 0
        with closing(side_by_side(calls, workers=self.at_once, most=beforehand)) as firsts:
            for walk, first in zip(walks, firsts, strict=True):
                yield from self._grown(walk, first, cuts)
        yield from cuts.settled()

    def _walk(
        self,
        client: WahaClient,
        chat: str,
        last: float | None,
        start: int,
        end: int,
        *,
        whole: bool,
    ) -> _Walk:
        ask = partial(client.messages, chat, order="desc", slow=True)
        if whole:
            # A chat that does not fit is asked again, larger: no server is spared by less.
            return _Walk(ask, max(self._full, _TRUSTED), None)
        if self.bounded:
            return _Walk(partial(ask, gte=start, lte=end), self._full, None)
        return _Walk(ask, self._guess(last, start, end), start)

    def _guess(self, last: float | None, start: int, end: int) -> int:
        """Return how many newest rows of a chat likely reach back to `start`."""
        if last is None or end - start > _INCREMENT:
            return self._full
        days = math.ceil((last - start) / DAY) + 1
        return min(max(days * _ROWS_PER_DAY, _SMALLEST_GUESS), self._full)

    def _grown(
        self, walk: _Walk, first: Callable[[], list[bytes]], cuts: _Cuts
    ) -> Iterator[list[bytes]]:
        """Yield the newest rows, those not yielded before, asking for more until they are enough.

        Args:
            first: waits for the walk's first page.
            cuts: what this reading knows of the server's own page size; it may yield rows of
                earlier chats as well.
        """
        seen: set[bytes] = set()
        before, limit, get = -1, walk.limit, first
        while cuts.cap is None and limit <= WIDEST:
            # A row that is sent twice must not make a cut page look longer than other cut ones.
            rows = list(dict.fromkeys(get()))
            yield _fresh(rows, seen)
            if _past(rows, walk.start):
                return
            if len(rows) >= limit:
                cuts.saw(len(rows))
            elif self._reaches_the_end(len(rows), before, limit):
                yield from cuts.doubted(_Ended(walk.ask, limit, rows, walk.start, seen))
                return
            before = len(rows)
            limit = max(self._full, limit * _GROWTH, 0 if self.bounded else _TRUSTED)
            get = partial(walk.ask, limit=limit)
        yield from _turned(walk.ask, cuts.cap or WIDEST, walk.start, seen)

    def _reaches_the_end(self, count: int, before: int, limit: int) -> bool:
        """Say whether a page that is not full looks as if nothing were behind it.

        WEBJS counts rows after it has dropped what it does not show, so a short page is the end.
        Elsewhere a group's notices may fill a page and leave no row of it: the page must be large
        and mostly empty, or a larger one must have brought no more.
        """
        if self.bounded:
            return True
        return limit >= _TRUSTED and (count == before or roomy(count, limit))


@dataclass(frozen=True)
class _Walk:
    """How one chat is read.

    Attributes:
        ask: a request of the chat, without limit and offset.
        limit: of the first request.
        start: a reading without bounds ends when it is past this second; None reads it all.
    """

    ask: Ask
    limit: int
    start: int | None

    def begin(self) -> list[bytes]:
        return self.ask(limit=self.limit)


@dataclass(frozen=True)
class _Ended:
    """The last page of a chat, and how to go on if it turns out to have been cut."""

    ask: Ask
    limit: int
    rows: list[bytes]
    start: int | None
    seen: set[bytes]

    @property
    def is_cut(self) -> bool:
        return is_cut(self.rows, partial(self.ask, limit=self.limit))


@dataclass
class _Cuts:
    """Finds out whether the server, or a proxy, cuts pages; from then on chats are turned.

    A page shorter than another one is not cut, so the question is put off until the longest is
    known: asked at each page that was longer than those before, it cost every seventh request of an
    increment. Only a few chats of the same length, the longest so far, are held; then they are
    asked about at once, so that a server which gives 50 rows of every chat does not fill memory.

    Attributes:
        cap: rows at which the server cuts, once that is known.
        longest: rows of the longest page so far.
        proven: pages of this length are not cut.
        ended: chats of the longest page's length, in doubt.
    """

    cap: int | None = None
    longest: int = PLAUSIBLE_CAP - 1
    proven: int = PLAUSIBLE_CAP - 1
    ended: list[_Ended] = field(default_factory=list)

    def saw(self, count: int) -> None:
        """Take note of a page's length; shorter ones that were in doubt were not cut."""
        if count > self.longest:
            self.longest = count
            self.ended.clear()

    def doubted(self, end: _Ended) -> Iterator[list[bytes]]:
        """Take note of the end of a chat; yield what was behind earlier ones if they were cut."""
        count = len(end.rows)
        self.saw(count)
        if count == self.longest and count != self.proven:
            self.ended.append(end)
            if len(self.ended) >= _SAME_LENGTH:
                yield from self.settled()

    def settled(self) -> Iterator[list[bytes]]:
        """Ask about the chats in doubt, and yield what is behind them if they were cut."""
        ended, self.ended = self.ended, []
        if any(end.is_cut for end in ended):
            self.cap = self.longest
            for end in ended:
                yield from _turned(end.ask, self.cap, end.start, end.seen)
        else:
            self.proven = self.longest


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


def _wanted(time: float | None, start: int, end: int, outside: tuple[int, int] | None) -> bool:
    """Say whether a row is of the range, or without a time, or outside of all days if asked for."""
    if time is None or start <= time < end:
        return True
    return outside is not None and not outside[0] <= time < outside[1]


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
