"""The replay server in a process of its own, so that its CPU is not ours.

Run as a program it serves an account and answers one line of JSON for each line it is given:
`stats` gives and resets what was counted, `put {"chat": …, "message": …}` lets a message arrive.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KEY = "bench-key"


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


@contextmanager
def served(
    account: Path, engine: str = "noweb", latency_ms: float = 0, port: int = 0
) -> Iterator[Served]:
    """Serve an account until the block ends."""
    given = [str(account), engine, str(latency_ms), str(port)]
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
    from ventros_pipeline.replay.server import ReplayServer

    folder, engine, latency, port = sys.argv[1:]
    with ReplayServer(
        Path(folder), engine=engine, api_key=KEY, latency_ms=float(latency), port=int(port)
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
