"""The short form of `make soak`: a hostile server, a bad line, two importers, nothing lost."""

from __future__ import annotations

from benchmarks.imports import databases
from benchmarks.soak import soak

SECONDS = 45.0


def test_two_importers_on_a_bad_line_miss_nothing_and_add_nothing() -> None:
    with databases() as place:
        done, problems = soak(place, seconds=SECONDS, engine="noweb", messages=4_000, seed=3)
    assert problems == []
    met = sum(number for name, number in done.items() if name.startswith("of the "))
    assert met > 50
    assert min(done["retries"], done["changes of the account meanwhile"]) > 10
    assert done["messages of WAHA at the end"] > 3_000
