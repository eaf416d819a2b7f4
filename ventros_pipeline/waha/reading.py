"""The choice of how a session is read: by engine, and by what the server turns out to honour.

What belongs here: the one place that picks a strategy. What does not: the strategies (`windows.py`
for all chats at once, `perchat.py` for one chat at a time), HTTP (`client.py`), the content of rows
(`wire.py`), and what is done with a page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ventros_pipeline.waha.client import ALL_CHATS, Engine, Probe, WahaClient
from ventros_pipeline.waha.errors import WahaError, WahaUnsupportedError
from ventros_pipeline.waha.pages import ORDERED_FROM, ORDERED_UNTIL, Page, Reader, timestamp_of
from ventros_pipeline.waha.perchat import ChatReader
from ventros_pipeline.waha.windows import WindowReader

__all__ = [
    "AnyAgeReader",
    "ChatReader",
    "Page",
    "Reader",
    "WindowReader",
    "choose_reader",
    "timestamp_of",
]

_UNLISTED = (
    "{engine} answers for one chat at a time: messages of chats that its list of chats does not "
    "show cannot be read."
)
_RENAMED = (
    "WEBJS before 2026.7.1 loses chats and messages on current WhatsApp Web (ids without "
    "`_serialized`). Update WAHA."
)
_FELL_BACK = (
    "This WAHA server cannot read all chats by windows of time ({why}). Its chats were read one by "
    "one and without filters: slower, and without the chats that its list does not show. Update "
    "WAHA."
)
# Answers of a server that does not know what it was asked for; 422 and 401 are about the session.
_REFUSALS = (400, 404, 501)
_SAMPLE = 50


def choose_reader(probe: Probe, *, page_size: int, at_once: int = 1) -> Reader:
    """Return the strategy for this server.

    Args:
        probe: what the server said it is.
        page_size: rows asked for in one request.
        at_once: chats that may be asked for at one time, where they are read one by one.

    Raises:
        WahaUnsupportedError: this release cannot read the engine.
    """
    match probe.engine:
        case Engine.NOWEB | Engine.GOWS:
            return AnyAgeReader(page_size, at_once)
        case Engine.WEBJS | Engine.WPP:
            notes = [_UNLISTED.format(engine=probe.engine.value)]
            if probe.engine is Engine.WEBJS and () < probe.version_tuple < (2026, 7, 1):
                notes.append(_RENAMED)
            bounded = probe.engine is Engine.WEBJS
            return ChatReader(page_size, bounded=bounded, notes=notes, at_once=at_once)
    raise WahaUnsupportedError(
        "The engine of this WAHA server is not known to this release, which reads NOWEB, GOWS, "
        f"WEBJS and WPP ({probe.engine.value}). Set WHATSAPP_DEFAULT_ENGINE to one of them, or "
        "update this program."
    )


@dataclass
class AnyAgeReader:
    """Reads NOWEB and GOWS by windows, and chat by chat where the server is too old for that.

    No list of versions decides: servers that do not know a parameter ignore it, and one that does
    not know `all` may answer `[]`. What is seen decides:

    - the walk finds rows out of the order, or outside of the bounds, that it asked for;
    - the request is refused as such (400, 404, 501);
    - `all` is empty and the list of chats is not.
    """

    page_size: int
    at_once: int = 1
    _windows: WindowReader = field(init=False)
    _chats: ChatReader | None = field(default=None, init=False)
    _all_works: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._windows = WindowReader(self.page_size)

    @property
    def notes(self) -> Sequence[str]:
        """A sentence when the server was too old; nothing otherwise."""
        return () if self._chats is None else self._chats.notes

    @property
    def ranges_are_cheap(self) -> bool:
        """True until the server turns out to be too old for windows."""
        return self._chats is None

    def read(
        self,
        client: WahaClient,
        start: int,
        end: int,
        chats: Sequence[str] | None = None,
        *,
        outside: tuple[int, int] | None = None,
    ) -> Iterator[Page]:
        """Yield every row with `start <= timestamp < end`, and those outside; see both strategies.

        `complete_before` is not told before a first row has come: a server that does not know `all`
        shows one empty window after the other. Rows read before the server turned out to be too old
        come again, chat by chat.
        """
        if self._chats is None:
            try:
                held = None
                for page in self._windows.read(client, start, end, chats, outside=outside):
                    self._all_works |= bool(page.rows) and chats is None
                    held = page
                    if page.rows or self._all_works or chats is not None:
                        yield page
                        held = None
                if held is None or self._serves_all(client):
                    yield from () if held is None else (held,)
                    return
            except WahaError as error:
                self._fall_back(error)
        if self._chats is not None:
            yield from self._chats.read(client, start, end, chats, outside=outside)

    def oldest(self, client: WahaClient) -> int | None:
        """Return the first trustworthy timestamp of the session, epoch seconds, or a bound."""
        if self._chats is None:
            try:
                oldest = self._windows.oldest(client)
                if self._serves_all(client, oldest):
                    return oldest
            except WahaError as error:
                self._fall_back(error)
        return None if self._chats is None else self._chats.oldest(client)

    def _serves_all(self, client: WahaClient, oldest: int | None = None) -> bool:
        """Find out, once, whether `all` works; with `oldest`, also whether an order is honoured."""
        if self._all_works and oldest is None:
            return True
        try:
            newest = client.messages(ALL_CHATS, limit=1, order="desc")
            if oldest is not None and not _later(newest, oldest):
                _check_order(client.messages(ALL_CHATS, limit=_SAMPLE))
        except WahaError as error:
            self._fall_back(error)
            return False
        if newest:
            self._all_works = True
        elif client.messages(ALL_CHATS, limit=_SAMPLE):
            self._all_works = True  # the newest row was one that WAHA drops
        elif any(_has_time(chat) for chat in client.chats()):
            self._fall_back(WahaUnsupportedError("it answers nothing for all chats at once"))
        return self._chats is None

    def _fall_back(self, error: WahaError) -> None:
        """Read chat by chat from now on, or raise what has nothing to do with age."""
        if not isinstance(error, WahaUnsupportedError) and error.status not in _REFUSALS:
            raise error
        why = f"HTTP {error.status}" if error.status else "it ignores what it is asked"
        notes = [_FELL_BACK.format(why=why)]
        self._chats = ChatReader(self.page_size, bounded=False, notes=notes, at_once=self.at_once)


def _later(rows: Sequence[bytes], second: int) -> bool:
    time = timestamp_of(rows[0]) if rows else None
    return time is not None and time > second


def _check_order(rows: Sequence[bytes]) -> None:
    # WAHA sorts by text, which is the order of the numbers where they have ten digits; the bad row
    # of an account that has milliseconds, or none, stands where it likes.
    found = [time for row in rows if (time := timestamp_of(row)) is not None]
    times = [time for time in found if ORDERED_FROM <= time < ORDERED_UNTIL]
    if times != sorted(times):
        raise WahaUnsupportedError("the rows do not come in ascending order")


def _has_time(chat: dict[str, object]) -> bool:
    return any(chat.get(key) for key in ("conversationTimestamp", "timestamp", "t"))
