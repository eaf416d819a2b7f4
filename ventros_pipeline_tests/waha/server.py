"""A small WAHA in memory: inclusive bounds, LIMIT before dropping, order by the time's text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx

from ventros_pipeline.waha.client import WahaClient, WahaServer

SESSION = {
    "name": "default",
    "status": "WORKING",
    "me": {"id": "5511990000000@c.us", "lid": "199900000000001@lid", "pushName": "Conta Teste"},
    "engine": {"engine": "NOWEB"},
}
VERSION = {"version": "2026.4.1", "engine": "NOWEB", "tier": "CORE"}


@dataclass(frozen=True)
class Row:
    """A stored row; `dropped` is read by LIMIT and never returned."""

    id: str
    timestamp: Any
    chat: str = "5511911111111@c.us"
    dropped: bool = False

    @property
    def text(self) -> bytes:
        body = {"id": self.id, "timestamp": self.timestamp, "from": self.chat}
        return json.dumps(body, separators=(",", ":")).encode()

    @property
    def sort_key(self) -> str:
        return json.dumps(self.timestamp)


@dataclass
class MemoryWaha:
    """Rows in insertion order; `between` is called before each request, with this server."""

    rows: list[Row]
    between: Callable[[MemoryWaha], None] = lambda _: None
    cap: int | None = None
    requests: list[dict[str, str]] = field(default_factory=list)

    def client(self) -> WahaClient:
        server = WahaServer("http://waha.test:3000", "default", "key")
        return WahaClient(server, transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.between(self)
        query = dict(request.url.params)
        self.requests.append(query)
        parts = request.url.path.split("/")
        rows = self._page(parts[4], query)
        return httpx.Response(200, content=b"[" + b",".join(r.text for r in rows) + b"]")

    def _page(self, chat: str, query: dict[str, str]) -> list[Row]:
        gte, lte = query.get("filter.timestamp.gte"), query.get("filter.timestamp.lte")
        rows = [
            row
            for row in self.rows
            if (chat in ("all", row.chat)) and _matches(row.timestamp, gte, lte)
        ]
        rows.sort(key=lambda row: row.sort_key, reverse=query["sortOrder"] == "desc")
        limit, offset = int(query["limit"]), int(query["offset"])
        if self.cap is not None:
            limit = min(limit, self.cap)
        return [row for row in rows[offset : offset + limit] if not row.dropped]


def _matches(value: object, gte: str | None, lte: str | None) -> bool:
    if gte is None and lte is None:
        return True
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return False
    if not isinstance(value, int | float):
        return False
    return (gte is None or value >= float(gte)) and (lte is None or value <= float(lte))


def texts(rows: Iterable[Row]) -> set[bytes]:
    return {row.text for row in rows if not row.dropped}
