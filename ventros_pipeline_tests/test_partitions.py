"""Any set of channel x date keys becomes channels with contiguous days."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

import dagster as dg
from hypothesis import given
from hypothesis import strategies as st

from ventros_pipeline.crm.channels import channel_key
from ventros_pipeline.partitions import Span, history_partitions, partition_key, spans

START = date(2026, 6, 1)
CHANNELS = ["default-0000000a", "loja_2-0000000b", "x-0000000c"]
days = st.integers(0, 60).map(lambda n: START + timedelta(days=n))


def test_a_key_is_written_as_dagster_writes_it() -> None:
    key = dg.MultiPartitionKey({"channel": "default-0000000a", "date": "2026-06-01"})
    assert partition_key("default-0000000a", START) == key == "default-0000000a|2026-06-01"


def test_a_year_of_one_channel_is_one_span() -> None:
    year = [START + timedelta(days=n) for n in range(365)]
    keys = [partition_key(CHANNELS[0], day) for day in reversed(year)]
    assert spans(keys) == [Span(CHANNELS[0], tuple(year))]


def test_many_channels_on_one_day_are_a_span_each() -> None:
    found = spans(partition_key(channel, START) for channel in CHANNELS)
    assert found == [Span(channel, (START,)) for channel in CHANNELS]


def test_nothing_is_no_span() -> None:
    assert spans([]) == []


def test_a_hole_divides_a_span() -> None:
    held = [START, START + timedelta(days=1), START + timedelta(days=3)]
    found = spans(partition_key(CHANNELS[0], day) for day in held)
    assert [span.days for span in found] == [tuple(held[:2]), tuple(held[2:])]


@given(st.sets(st.tuples(st.sampled_from(CHANNELS), days)), st.randoms(use_true_random=False))
def test_any_keys_in_any_order_are_covered_once_by_the_fewest_spans(
    pairs: set[tuple[str, date]], random: object
) -> None:
    found = spans(partition_key(channel, day) for channel, day in pairs)
    listed = [(span.channel, day) for span in found for day in span.days]
    assert len(listed) == len(set(listed))
    assert set(listed) == pairs
    for span in found:
        step = {b - a for a, b in zip(span.days, span.days[1:], strict=False)}
        assert step <= {timedelta(days=1)}
        assert (span.channel, span.days[0] - timedelta(days=1)) not in pairs
        assert (span.channel, span.days[-1] + timedelta(days=1)) not in pairs


@given(st.text())
def test_a_channel_key_never_holds_what_means_something_to_dagster(session: str) -> None:
    key = channel_key(session, UUID(int=10))
    assert key.endswith("-00000000")
    assert "|" not in key
    assert "..." not in key
    assert key.isprintable()
    assert spans([partition_key(key, START)]) == [Span(key, (START,))]


def test_the_grid_runs_from_its_start_to_today() -> None:
    grid = history_partitions(START)
    dates = grid.get_partitions_def_for_dimension("date")
    keys = dates.get_partition_keys()
    assert keys[0] == START.isoformat()
    assert len(keys) >= 1
