"""The replay server in a process of its own, so that its CPU is not ours.

Run as a program it serves an account and answers one line of JSON for each line it is given:
`stats` gives and resets what was counted, `put {"chat": …, "message": …}` lets a message arrive.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ventros_pipeline.replay.control import Fault, Request
from ventros_pipeline.replay.engine import MESSAGES
from ventros_pipeline.replay.server import ReplayServer

KEY = "bench-key"
# Messages that a real WAHA gives in a second, whatever is asked at once: 5,800 to 9,000.
WAHA_PACE = 8_000


class Served:
    """A replay server that runs elsewhere."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url: str = self._answer()["url"]

    def stats(self) -> dict[str, Any]:
        """Return requests, most in flight, bytes and CPU since the last time."""
        return self._ask("stats")

    def put(self, chat: str, message: dict[str, Any]) -> None:
        """Let a message arrive."""
        self._ask("put " + json.dumps({"chat": chat, "message": message}))

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the replay server ended")
        return json.loads(line)  # type: ignore[no-any-return]


class Pace:
    """Lets requests for messages wait as behind a WAHA that writes so many rows a second.

    They wait for each other: asked for two pages at once, WAHA gives none of them sooner. A page
    that turns out short has waited as long as a full one.
    """

    def __init__(self, rows_a_second: float) -> None:
        self._rows_a_second = rows_a_second
        self._lock = threading.Lock()
        self._free_at = 0.0

    def __call__(self, request: Request) -> Fault | None:
        """Return the wait of a request."""
        if request.template != MESSAGES:
            return None
        takes = int(request.query.get("limit", 0)) / self._rows_a_second
        with self._lock:
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + takes
            return Fault(delay=self._free_at - now, name="paced")


@contextmanager
def served(
    account: Path, engine: str = "noweb", latency_ms: float = 0, port: int = 0, pace: float = 0
) -> Iterator[Served]:
    """Serve an account until the block ends.

    Args:
        pace: messages in a second; 0 gives them as fast as the replay server can.
    """
    given = [str(account), engine, str(latency_ms), str(port), str(pace)]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.speed.serving", *given],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Served(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main() -> None:
    """Serve; ends with its standard input."""
    folder, engine, latency, port, pace = sys.argv[1:]
    with ReplayServer(
        Path(folder),
        engine=engine,
        api_key=KEY,
        latency_ms=float(latency),
        port=int(port),
        fault=Pace(float(pace)) if float(pace) else None,
    ) as server:
        print(json.dumps({"url": server.url}), flush=True)
        cpu = time.process_time()
        for line in sys.stdin:
            answer: dict[str, Any] = {}
            command, _, value = line.strip().partition(" ")
            if command == "put":
                arrived = json.loads(value)
                server.account.put_message(arrived["chat"], arrived["message"])
            else:
                stats, now = server.stats, time.process_time()
                answer = {
                    "requests": stats.total,
                    "in_flight": stats.max_in_flight,
                    "bytes": stats.bytes,
                    "cpu": now - cpu,
                }
                stats.reset()
                cpu = now
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
