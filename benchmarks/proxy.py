"""A TCP proxy on loopback that behaves like a bad line: it delays, slices, cuts and resets.

What belongs here: spoiling bytes on their way, decided by a seed. What does not: spoiling answers,
which the replay server's profiles do.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

# Share of connections that meet each trouble; a connection carries many requests.
RATES = {"delayed": 0.2, "sliced": 0.15, "cut": 0.1, "reset": 0.1, "refused": 0.03}
_BLOCK = 65_536
_LONGEST_DELAY = 0.15
# A connection is cut or reset within so many bytes of an answer.
_LONGEST_LIFE = 2_000_000


@dataclass
class Proxy:
    """Stands between a client and a port on loopback, as a context manager.

    Attributes:
        target: port that is behind it.
        seed: what decides.
        met: how many connections met which trouble.
        calm: passes everything on as it comes, from now on.
    """

    target: int
    seed: int = 0
    met: Counter[str] = field(default_factory=Counter)
    calm: bool = False
    port: int = 0

    def __enter__(self) -> Self:
        self._dice = random.Random(self.seed)
        self._loop = asyncio.new_event_loop()
        listening = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(listening,), daemon=True)
        self._thread.start()
        listening.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self, listening: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        # A connection that is torn down on purpose is no news.
        self._loop.set_exception_handler(lambda *_: None)
        started = self._loop.run_until_complete(
            asyncio.start_server(self._connected, "127.0.0.1", 0)
        )
        self.port = started.sockets[0].getsockname()[1]
        listening.set()
        self._loop.run_forever()
        started.close()

    def _trouble(self) -> str:
        if self.calm:
            return "passed on"
        draw = self._dice.random()
        for name, rate in RATES.items():
            if draw < rate:
                return name
            draw -= rate
        return "passed on"

    async def _connected(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        trouble = self._trouble()
        self.met[trouble] += 1
        if trouble == "refused":
            _reset(back)
            return
        there, forth = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            await asyncio.gather(
                self._pass(near, forth, "passed on"), self._pass(there, back, trouble)
            )
        except OSError:
            self.met["gone on the way"] += 1
        finally:
            forth.close()
            back.close()

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, trouble: str
    ) -> None:
        left = self._dice.randrange(1, _LONGEST_LIFE)
        while block := await source.read(_BLOCK):
            if trouble == "delayed":
                await asyncio.sleep(self._dice.uniform(0, _LONGEST_DELAY))
            elif trouble in ("cut", "reset") and len(block) >= left:
                sink.write(block[:left])
                await sink.drain()
                if trouble == "reset":
                    _reset(sink)
                break
            elif trouble == "sliced":
                await self._slice(block, sink)
                continue
            left -= len(block)
            sink.write(block)
            await sink.drain()
        sink.close()

    async def _slice(self, block: bytes, sink: asyncio.StreamWriter) -> None:
        step = self._dice.randrange(1, 5_000)
        for begin in range(0, len(block), step):
            sink.write(block[begin : begin + step])
            await sink.drain()
            await asyncio.sleep(0)


def _reset(sink: asyncio.StreamWriter) -> None:
    """Close so that the other side gets a RST, not a FIN."""
    found = sink.get_extra_info("socket")
    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sink.transport.abort()
