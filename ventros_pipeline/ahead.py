"""Threads that work ahead: while one waits for a server, another goes on with what has come.

What belongs here: keeping order, errors and endings exact. What does not: any work.

Not `ThreadPoolExecutor`: when a program ends it waits for its threads, and one of them may sit in a
request to a browser that takes five minutes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from contextlib import suppress
from itertools import repeat
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

# How long whoever stops early waits for what is under way; a thread that hangs for longer is left
# to itself, and begins nothing any more.
_PATIENCE = 5.0
_END: Any = object()


def ahead(items: Iterable[T], *, most: int) -> Generator[T, None, None]:
    """Yield items that a thread takes from an iterable ahead of time, in order.

    An error comes after the items before it, as it would without a thread. To be closed by whoever
    stops early, which also closes a generator that was given.

    Args:
        items: used in the thread alone.
        most: items that may be ready, or under way, before they are asked for.
    """
    source = iter(items)
    results = side_by_side(repeat(lambda: next(source, _END)), workers=1, most=most)
    try:
        for result in results:
            if (item := result()) is _END:
                return
            yield item
    finally:
        results.close()
        if close := getattr(source, "close", None):
            with suppress(ValueError):  # It still runs, in a thread that hangs.
                close()


def side_by_side(
    calls: Iterable[Callable[[], T]], *, workers: int, most: int
) -> Generator[Callable[[], T], None, None]:
    """Yield for each call, in order, a function that waits for its result and raises its error.

    To be closed by whoever stops early.

    Args:
        calls: made in threads, at most `workers` at one time.
        most: calls that may be begun before their results are asked for.
    """
    waiting: SimpleQueue[tuple[Callable[[], T], Future[T]] | None] = SimpleQueue()
    threads = [Thread(target=_work, args=(waiting,), daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    begun: deque[Future[T]] = deque()
    try:
        for call in calls:
            begun.append(Future())
            waiting.put((call, begun[-1]))
            if len(begun) > most:
                yield begun.popleft().result
        while begun:
            yield begun.popleft().result
    finally:
        for future in begun:
            future.cancel()
        for _ in threads:
            waiting.put(None)
        for thread in threads:
            thread.join(_PATIENCE)


def _work(waiting: SimpleQueue[tuple[Callable[[], T], Future[T]] | None]) -> None:
    while (task := waiting.get()) is not None:
        call, future = task
        if not future.set_running_or_notify_cancel():
            continue
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 -- raised again where the result is taken
            future.set_exception(error)
        # Until the next task comes, what was made belongs to nobody here.
        del task, call, future
