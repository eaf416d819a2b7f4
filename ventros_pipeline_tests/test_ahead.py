"""Working ahead: order, errors and endings are those of work in one thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from ventros_pipeline.ahead import ahead, side_by_side


class BrokenError(Exception):
    pass


def test_items_come_in_order_and_an_error_after_those_before_it() -> None:
    def items() -> Iterator[int]:
        yield from range(50)
        raise BrokenError

    working = ahead(items(), most=3)
    assert [next(working) for _ in range(50)] == list(range(50))
    with pytest.raises(BrokenError):
        next(working)


def test_nothing_is_made_further_ahead_than_was_allowed_and_a_stop_closes_what_was_given() -> None:
    made: list[int] = []
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            for number in range(1000):
                made.append(number)
                yield number
        finally:
            closed.set()

    working = ahead(items(), most=2)
    assert [next(working), next(working)] == [0, 1]
    working.close()
    assert closed.is_set()
    assert len(made) <= 4
    before = len(made)
    time.sleep(0.05)
    assert len(made) == before


def test_without_a_step_ahead_each_item_is_made_when_it_is_asked_for() -> None:
    made: list[int] = []
    working = ahead(map(made.append, range(5)), most=0)
    for taken in range(1, 6):
        next(working)
        assert len(made) == taken


def test_calls_run_side_by_side_and_their_results_come_in_order() -> None:
    together = threading.Barrier(3)

    def call(number: int) -> int:
        together.wait(10)  # Three calls that wait for each other end only if they run at once.
        return number

    calls = [lambda n=number: call(n) for number in range(9)]  # type: ignore[misc]
    results = side_by_side(calls, workers=3, most=3)
    assert [result() for result in results] == list(range(9))


def test_an_error_of_a_call_is_raised_where_its_result_is_taken() -> None:
    def broken() -> int:
        raise BrokenError

    first, second, third = side_by_side([lambda: 1, broken, lambda: 3], workers=2, most=3)
    assert (first(), third()) == (1, 3)
    with pytest.raises(BrokenError):
        second()


def test_who_stops_early_lets_nothing_more_begin() -> None:
    begun: list[int] = []
    go_on = threading.Event()

    def call(number: int) -> None:
        begun.append(number)
        go_on.wait(10)

    calls = [lambda n=number: call(n) for number in range(20)]  # type: ignore[misc]
    results = side_by_side(calls, workers=1, most=5)
    next(results)
    threading.Timer(0.05, go_on.set).start()
    results.close()
    assert begun in ([0], [])
