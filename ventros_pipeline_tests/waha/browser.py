"""Small WAHAs in memory that answer per chat: WEBJS, WPP, and a NOWEB from before the filters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Literal

import httpx

from ventros_pipeline.waha.client import WahaClient, WahaServer

from .server import Row

CHAT = "5511911111111@c.us"


@dataclass
class BrowserWaha:
    """Rows in the order in which they came; `between` is called before each request.

    Attributes:
        engine: `webjs` walks back from the newest row until enough rows pass the filter or one is
            older than `gte`; `wpp` takes the newest `offset + limit` rows, then filters and cuts;
            `old` knows neither filters nor an order nor `all`.
        cap: most rows of one answer, whatever was asked.
        hidden: chats that the list does not show.
        old_all: what `old` answers to `all`.
    """

    rows: list[Row]
    engine: Literal["webjs", "wpp", "old"]
    between: Callable[[BrowserWaha], None] = lambda _: None
    cap: int | None = None
    hidden: frozenset[str] = frozenset()
    old_all: int = 200
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def client(self) -> WahaClient:
        server = WahaServer("http://waha.test:3000", "default", "key")
        return WahaClient(server, transport=httpx.MockTransport(self.answer))

    @property
    def read_chats(self) -> list[str]:
        return [chat for chat, _ in self.requests if chat]

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.between(self)
        query = dict(request.url.params)
        parts = request.url.path.split("/")
        chat = parts[4] if len(parts) > 4 else ""
        self.requests.append((chat, query))
        if not chat:
            return self._chats(query)
        if chat == "all":
            body: Any = [] if self.old_all == 200 else {"statusCode": self.old_all}
            return httpx.Response(self.old_all, json=body)
        rows = [row.text for row in self._page(chat, query)[: self.cap]]
        return httpx.Response(200, content=b"[" + b",".join(rows) + b"]")

    def _chats(self, query: dict[str, str]) -> httpx.Response:
        last: dict[str, Any] = {}
        for row in self.rows:
            if row.chat not in self.hidden:
                last[row.chat] = row.timestamp
        start = int(query["offset"])
        chats = sorted(last)[start : start + int(query["limit"])]
        return httpx.Response(200, json=[self._chat(chat, last[chat]) for chat in chats])

    def _chat(self, chat: str, last: Any) -> dict[str, Any]:
        user, server = chat.split("@")
        if self.engine == "webjs":
            key = "_serialized" if len(user) % 2 else "$1"
            return {"id": {"server": server, "user": user, key: chat}, "timestamp": last}
        return {"id": chat, "t" if self.engine == "wpp" else "conversationTimestamp": last}

    def _page(self, chat: str, query: dict[str, str]) -> list[Row]:
        newest_first = [row for row in reversed(self.rows) if row.chat == chat]
        limit, offset = int(query["limit"]), int(query["offset"])
        bounds = query.get("filter.timestamp.gte"), query.get("filter.timestamp.lte")
        if self.engine == "webjs":
            walked = takewhile(lambda row: _within(row, bounds[0], None), newest_first)
            passed = [row for row in walked if not row.dropped and _within(row, *bounds)]
            return passed[offset : offset + limit]
        if self.engine == "old":
            return [row for row in newest_first[offset : offset + limit] if not row.dropped]
        taken = [row for row in newest_first[: offset + limit] if not row.dropped]
        return [row for row in taken if _within(row, *bounds)][offset : offset + limit]


def _within(row: Row, gte: str | None, lte: str | None) -> bool:
    # As JavaScript compares: null is 0, and text that is no number compares with nothing.
    try:
        time = 0.0 if row.timestamp is None else float(row.timestamp)
    except (TypeError, ValueError):
        return gte is None and lte is None
    return (gte is None or time >= float(gte)) and (lte is None or time <= float(lte))


def row_in(chat: str, number: int, time: Any, *, dropped: bool = False) -> Row:
    return Row(f"{chat}-{number}", time, chat=chat, dropped=dropped)
