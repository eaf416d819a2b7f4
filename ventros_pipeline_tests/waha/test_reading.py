from __future__ import annotations

import itertools
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ventros_pipeline.waha.client import Engine, Me, Probe
from ventros_pipeline.waha.errors import WahaProtocolError, WahaUnsupportedError
from ventros_pipeline.waha.reading import (
    AnyAgeReader,
    ChatReader,
    Page,
    WindowReader,
    choose_reader,
    timestamp_of,
)

from .server import MemoryWaha, Row, texts

T0 = 1_700_000_000
DAY = 86_400


def read(
    server: MemoryWaha, limit: int, start: int, end: int, chats: list[str] | None = None
) -> list[Page]:
    with server.client() as client:
        return list(WindowReader(limit).read(client, start, end, chats))


def outside(server: MemoryWaha, limit: int, before: int, after: int) -> list[Page]:
    """Return the pages of a reading of no days, only of what is outside of them."""
    with server.client() as client:
        reader = WindowReader(limit)
        return list(reader.read(client, before, before, outside=(before, after)))


def rows_of(pages: list[Page]) -> list[bytes]:
    return [row for page in pages for row in page.rows]


def burst(count: int, at: int, name: str = "b") -> list[Row]:
    return [Row(f"{name}{n}", at) for n in range(count)]


def probe(engine: Engine) -> Probe:
    return Probe("2026.4.1", (2026, 4, 1), engine, "CORE", "WORKING", Me())


@pytest.mark.parametrize("engine", [Engine.NOWEB, Engine.GOWS])
def test_noweb_and_gows_are_read_by_windows(engine: Engine) -> None:
    reader = choose_reader(probe(engine), page_size=10)
    assert isinstance(reader, AnyAgeReader)
    assert (reader.ranges_are_cheap, list(reader.notes)) == (True, [])


@pytest.mark.parametrize("engine", [Engine.WEBJS, Engine.WPP])
def test_webjs_and_wpp_are_read_chat_by_chat_and_say_what_that_misses(engine: Engine) -> None:
    reader = choose_reader(probe(engine), page_size=10)
    assert isinstance(reader, ChatReader)
    assert not reader.ranges_are_cheap
    assert reader.bounded is (engine is Engine.WEBJS)
    assert engine.value in reader.notes[0]
    assert any("2026.7.1" in note for note in reader.notes) is (engine is Engine.WEBJS)


def test_an_unknown_engine_is_refused_with_a_sentence() -> None:
    with pytest.raises(WahaUnsupportedError, match="UNKNOWN"):
        choose_reader(probe(Engine.UNKNOWN), page_size=10)


@pytest.mark.parametrize("limit", [1, 7, 50])
def test_a_short_page_is_not_the_end(limit: int) -> None:
    rows = [Row(f"r{n}", T0 + n * 60, dropped=n % 3 == 1) for n in range(200)]
    pages = read(MemoryWaha(rows), limit, T0, T0 + DAY)
    assert set(rows_of(pages)) == texts(rows)


@pytest.mark.parametrize("limit", [1, 7, 50])
def test_an_empty_page_is_not_the_end(limit: int) -> None:
    gone = [Row(f"d{n}", T0 + n, dropped=True) for n in range(60)]
    rows = [*gone, Row("last", T0 + 5000)]
    assert rows_of(read(MemoryWaha(rows), limit, T0, T0 + DAY)) == [rows[-1].text]


@pytest.mark.parametrize("count", [1, 99, 500, 3000])
@pytest.mark.parametrize("limit", [1, 50])
def test_a_burst_of_many_pages_in_one_second_is_read_whole(count: int, limit: int) -> None:
    rows = [*burst(count, T0 + 100), Row("after", T0 + 101), Row("later", T0 + 4000)]
    pages = read(MemoryWaha(rows), limit, T0, T0 + DAY)
    assert sorted(rows_of(pages)) == sorted(texts(rows))


def test_a_full_page_with_a_dropped_row_in_it_hides_nothing() -> None:
    rows = [*burst(1995, T0), *[Row(f"d{n}", T0, dropped=True) for n in range(5)], Row("x", T0)]
    assert set(rows_of(read(MemoryWaha(rows), 500, T0, T0 + DAY))) == texts(rows)


@pytest.mark.parametrize("position", ["middle", "end"])
def test_a_burst_beyond_the_widest_page_is_swept_while_rows_are_revoked(
    monkeypatch: pytest.MonkeyPatch, position: str
) -> None:
    monkeypatch.setattr("ventros_pipeline.waha.windows.WIDEST", 40)
    rows = burst(205, T0)
    rest = [Row("after", T0 + 900)] if position == "middle" else []
    doomed = itertools.islice(itertools.cycle([3, 50, 0]), 12)
    lost: set[bytes] = set()

    def revoke(server: MemoryWaha) -> None:
        if len(server.requests) > 3 and (place := next(doomed, None)) is not None:
            lost.add(server.rows.pop(place).text)

    server = MemoryWaha([*rows, *rest], revoke)
    found = set(rows_of(read(server, 10, T0, T0 + DAY)))
    assert found - lost == texts([*rows, *rest]) - lost


def test_a_server_that_caps_its_pages_is_still_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [*burst(95, T0), Row("after", T0 + 900)]
    found = rows_of(read(MemoryWaha(rows, cap=100), 10, T0, T0 + DAY))
    assert set(found) == texts(rows)


@pytest.mark.parametrize("limit", [10, 500])
def test_a_burst_beyond_a_servers_own_cap_hides_neither_itself_nor_what_follows(limit: int) -> None:
    rows = [Row("before", T0), *burst(60, T0 + 5), *burst(130, T0 + 9, "c"), Row("after", T0 + 900)]
    assert set(rows_of(read(MemoryWaha(rows, cap=50), limit, T0, T0 + DAY))) == texts(rows)


def test_odd_rows_beyond_a_servers_own_cap_are_read_whole() -> None:
    odd = [Row(f"n{n}", None) for n in range(120)] + [Row(f"z{n}", 0) for n in range(120)]
    server = MemoryWaha([Row("placed", T0), *odd], cap=50)
    assert set(rows_of(outside(server, 500, T0 - 5, T0 + 5))) == texts(odd)


def test_a_long_stretch_of_dropped_rows_at_the_end_hides_nothing() -> None:
    gone = [Row(f"d{n}", T0 + n, dropped=True) for n in range(5000)]
    rows = [Row("first", T0), *gone, Row("last", T0 + 6000)]
    assert set(rows_of(read(MemoryWaha(rows), 100, T0, T0 + DAY))) == texts(rows)


def test_rows_at_the_edges_belong_to_one_side_only() -> None:
    rows = [
        Row("a", T0 - 1),
        Row("b", T0),
        Row("c", T0 + 9.5),
        Row("d", T0 + 10),
        Row("e", T0 + 11),
    ]
    assert set(rows_of(read(MemoryWaha(rows), 7, T0, T0 + 10))) == texts(rows[1:3])


def test_every_row_below_complete_before_has_been_yielded() -> None:
    rows = [Row(f"r{n}", T0 + n * 977) for n in range(300)]
    server = MemoryWaha(rows)
    found: set[bytes] = set()
    with server.client() as client:
        pages = WindowReader(20).read(client, T0, T0 + 10 * DAY)
        for page in pages:
            found.update(page.rows)
            assert texts(r for r in rows if r.timestamp < page.complete_before) <= found
    assert page.complete_before == T0 + 10 * DAY


def test_a_row_comes_twice_only_when_its_content_changed() -> None:
    rows = [Row(f"r{n}", T0 + n // 3) for n in range(90)]
    found = rows_of(read(MemoryWaha(rows), 10, T0, T0 + DAY))
    assert len(found) == len(set(found)) == 90


def test_requests_are_near_the_minimum() -> None:
    rows = [Row(f"r{n}", T0 + n * 613) for n in range(5000)]
    server = MemoryWaha(rows)
    assert len(rows_of(read(server, 100, T0, T0 + 40 * DAY))) == 5000
    assert len(server.requests) <= 1.1 * 5000 / 100 + 5


def widths(server: MemoryWaha) -> list[int]:
    return [int(query["limit"]) for query in server.requests]


def test_the_last_page_is_its_own_confirmation() -> None:
    rows = [Row(f"r{n}", T0 + n * 120) for n in range(700)]
    server = MemoryWaha(rows)
    assert set(rows_of(read(server, 500, T0, T0 + DAY))) == texts(rows)
    assert widths(server) == [500, 8192]


def test_a_last_page_that_may_have_been_cut_is_confirmed() -> None:
    rows = [Row(f"r{n}", T0 + n * 100) for n in range(850)]
    server = MemoryWaha(rows)
    assert set(rows_of(read(server, 500, T0, T0 + DAY))) == texts(rows)
    assert widths(server) == [500, 8192, 8192]


def test_a_server_of_which_small_pages_are_asked_is_not_guessed_about() -> None:
    rows = [Row(f"r{n}", T0 + n * 600) for n in range(140)]
    server = MemoryWaha(rows)
    assert set(rows_of(read(server, 100, T0, T0 + DAY))) == texts(rows)
    assert widths(server) == [100, 100, 8192]


@pytest.mark.parametrize("burst_size", [400, 3000, 12_000])
@pytest.mark.parametrize("cap", [None, 600])
def test_a_wrong_guess_is_still_complete(burst_size: int, cap: int | None) -> None:
    rows = [Row(f"r{n}", T0 + n * 100) for n in range(700)]
    crowd = [Row(f"b{n}", T0 + 69_000 + n // 9) for n in range(burst_size)]
    server = MemoryWaha([*rows, *crowd, Row("last", T0 + 80_000)], cap=cap)
    assert set(rows_of(read(server, 500, T0, T0 + DAY))) == texts(server.rows)
    assert widths(server)[1] == 8192


@pytest.mark.parametrize("page_size", [10, 25, 49, 100, 500])
def test_rows_behind_dropped_ones_of_a_server_that_caps_its_pages_are_read(page_size: int) -> None:
    rows = [
        *[Row(f"r{n}", T0 + n) for n in range(60)],
        *[Row(f"d{n}", T0 + 60 + n, dropped=True) for n in range(45)],
        *[Row(f"s{n}", T0 + 200 + n) for n in range(60)],
    ]
    assert set(rows_of(read(MemoryWaha(rows, cap=50), page_size, T0, T0 + DAY))) == texts(rows)


def test_an_empty_range_costs_two_requests_per_jump_of_the_window() -> None:
    server = MemoryWaha([])
    assert rows_of(read(server, 100, T0, T0 + DAY)) == []
    assert len(server.requests) == 2
    assert all(query["offset"] == "0" for query in server.requests)


@pytest.mark.parametrize("limit", [1, 7])
def test_times_that_are_text_or_fractions_do_not_stop_the_walk(limit: int) -> None:
    odd = [Row(f"s{n}", str(T0 + n)) for n in range(20)]
    rows = [*odd, Row("f", T0 + 3.25), *[Row(f"r{n}", T0 + n * 40) for n in range(40)]]
    assert set(rows_of(read(MemoryWaha(rows), limit, T0, T0 + DAY))) == texts(rows)


def test_given_chats_are_read_one_by_one() -> None:
    rows = [Row(f"r{n}", T0 + n, chat=f"{n % 3}@c.us") for n in range(30)]
    pages = read(MemoryWaha(rows), 7, T0, T0 + DAY, ["0@c.us", "2@c.us"])
    assert set(rows_of(pages)) == texts(r for r in rows if r.chat != "1@c.us")
    assert pages[-1].complete_before == T0 + DAY
    assert pages[0].complete_before == T0


def test_no_chats_is_nothing() -> None:
    server = MemoryWaha([Row("a", T0)])
    assert read(server, 7, T0, T0 + DAY, []) == []
    assert server.requests == []


def test_a_range_from_before_ten_digits_is_read_too() -> None:
    rows = [Row("old", 946_684_800), Row("older", 5), Row("new", T0), Row("neg", -3)]
    assert set(rows_of(read(MemoryWaha(rows), 1, 0, T0 + 1))) == texts(rows[:3])


def test_a_server_that_ignores_the_order_is_refused() -> None:
    server = MemoryWaha([Row(f"r{n}", T0 + n) for n in range(9)])
    page = server._page
    server._page = lambda chat, query: page(chat, query)[::-1]  # type: ignore[method-assign]
    with pytest.raises(WahaUnsupportedError, match="ascending"):
        read(server, 5, T0, T0 + DAY)


def test_a_server_that_ignores_the_bounds_is_refused() -> None:
    server = MemoryWaha([Row(f"r{n}", T0 + n) for n in range(9)])
    page = server._page
    server._page = lambda _, query: page("all", {**query, "filter.timestamp.gte": "0"})[:3]  # type: ignore[method-assign]
    with pytest.raises(WahaUnsupportedError, match=f"{T0 + 500}"):
        read(server, 5, T0 + 500, T0 + 600)


def test_a_walk_that_leads_nowhere_names_its_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ventros_pipeline.waha.windows.WIDEST", 40)
    server = MemoryWaha([Row(f"s{n}", str(T0 + 5)) for n in range(50)])
    with pytest.raises(WahaProtocolError, match=f"{T0}"):
        read(server, 7, T0, T0 + DAY)


def test_what_no_window_of_days_finds_is_read_apart() -> None:
    before, after = T0, T0 + 100 * DAY
    placed = [Row(f"p{n}", T0 + n * 3600) for n in range(300)]
    odd = [
        Row("zero", 0),
        Row("negative", -62_135_596_800),
        Row("short", 946_684_800),
        Row("honest and old", T0 - 30 * DAY),
        Row("just before", T0 - 1),
        Row("edge", after),
        Row("year 2100", 4_102_444_800),
        Row("milliseconds", 1_790_000_000_123),
        Row("null", None),
        Row("word", "soon"),
        Row("text", str(T0 + 5)),
        Row("object", {"low": 1}),
    ]
    server = MemoryWaha([*placed, *odd])
    pages = outside(server, 7, before, after)
    assert set(rows_of(pages)) == texts(odd)
    assert {page.complete_before for page in pages} == {before}


def test_what_is_outside_of_all_days_comes_with_the_first_range_and_before_it() -> None:
    rows = [Row(f"p{n}", T0 + n * 3600) for n in range(300)]
    odd = [Row("zero", 0), Row("null", None), Row("old", T0 - 5), Row("year 2100", 4_102_444_800)]
    other_days = [row for row in rows if row.timestamp >= T0 + DAY]
    with MemoryWaha([*rows, *odd]).client() as client:
        pages = list(WindowReader(7).read(client, T0, T0 + DAY, outside=(T0, T0 + 100 * DAY)))
    assert set(rows_of(pages)) == texts([*rows, *odd]) - texts(other_days)
    assert texts(odd) == set(rows_of([page for page in pages if page.complete_before == T0][:3]))


def test_a_long_history_before_the_calendar_is_walked() -> None:
    rows = [Row(f"r{n}", T0 - 500 * 600 + n * 600) for n in range(1000)]
    server = MemoryWaha(rows)
    found = rows_of(outside(server, 50, T0, T0 + 50 * DAY))
    assert set(found) == texts(row for row in rows if row.timestamp < T0)
    assert len(server.requests) <= 500 / 50 + 10


def test_a_burst_at_the_ascending_end_does_not_pass_for_the_whole_past() -> None:
    rows = [*burst(150, T0 - 9), Row("old", T0 - 8), Row("placed", T0)]
    assert set(rows_of(outside(MemoryWaha(rows), 50, T0, T0 + DAY))) == texts(rows[:-1])


def test_an_ascending_end_that_is_not_ascending_does_not_pass_for_the_whole_past() -> None:
    rows = [Row(f"r{n}", T0 - 100 * 60 + n * 60) for n in range(200)]
    server = MemoryWaha(rows)
    page = server._page
    server._page = lambda chat, query: page(  # type: ignore[method-assign]
        chat, query if "filter.timestamp.gte" in query else {**query, "sortOrder": "desc"}
    )
    assert set(rows_of(outside(server, 50, T0, T0 + DAY))) == texts(rows[:100])


def test_a_long_stretch_of_dropped_rows_outside_hides_nothing() -> None:
    gone = [Row(f"d{n}", n, dropped=True) for n in range(3000)]
    rows = [*gone, Row("short", 5000), Row("placed", T0), Row("placed too", T0 + 1)]
    assert set(rows_of(outside(MemoryWaha(rows), 100, T0, T0 + DAY))) == {rows[-3].text}


def test_a_large_account_whose_bounds_are_ignored_is_not_swept() -> None:
    server = MemoryWaha([Row(f"p{n}", T0 + n) for n in range(3000)])
    page = server._page
    server._page = lambda chat, query: page(  # type: ignore[method-assign]
        chat, {name: value for name, value in query.items() if not name.startswith("filter")}
    )
    with pytest.raises(WahaUnsupportedError, match="ignored"):
        outside(server, 100, T0, T0 + DAY)
    assert len(server.requests) == 3


def test_many_rows_without_a_time_are_all_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ventros_pipeline.waha.windows.WIDEST", 150)
    odd = [Row(f"n{n}", None) for n in range(400)] + [Row(f"z{n}", 0) for n in range(400)]
    server = MemoryWaha([Row("placed", T0), *odd])
    assert set(rows_of(outside(server, 50, T0 - 5, T0 + 5))) == texts(odd)


def test_an_account_without_odd_rows_costs_few_requests() -> None:
    server = MemoryWaha([Row(f"p{n}", T0 + n) for n in range(1000)])
    assert rows_of(outside(server, 100, T0, T0 + DAY)) == []
    assert len(server.requests) == 4


def test_the_oldest_row_is_found_by_one_request() -> None:
    server = MemoryWaha([Row("b", T0 + 5), Row("a", T0), Row("zero", 0), Row("none", None)])
    with server.client() as client:
        assert WindowReader(10).oldest(client) == T0
    assert len(server.requests) == 1


def test_the_oldest_row_is_found_behind_dropped_ones() -> None:
    gone = [Row(f"d{n}", T0 - 9, dropped=True) for n in range(9)]
    with MemoryWaha([*gone, Row("a", T0)]).client() as client:
        assert WindowReader(10).oldest(client) == T0


def test_an_empty_account_has_no_oldest_row() -> None:
    with MemoryWaha([]).client() as client:
        assert WindowReader(10).oldest(client) is None


@pytest.mark.parametrize(
    ("row", "time"),
    [
        (b'{"timestamp":1700000000}', 1_700_000_000),
        (b'{"timestamp" : -1.5 }', -1.5),
        (b'{"timestamp":"1700000000"}', None),
        (b'{"timestamp":null}', None),
        (b'{"timestamp":1e400}', None),
        (b'{"timestamp":true}', None),
        (b"{}", None),
        (b"[]", None),
        (b"not json", None),
        (rb'{"id":"x","timestamp":1700000000,"body":"\ud83d"}', 1_700_000_000),
    ],
)
def test_only_a_finite_number_is_a_time(row: bytes, time: float | None) -> None:
    assert timestamp_of(row) == time


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-5, 60), st.integers(0, 3), st.booleans(), st.integers(1, 4)),
        max_size=60,
    ),
    st.sampled_from([1, 2, 7, 50]),
    st.lists(
        st.tuples(st.sampled_from(["revoke", "arrive", "none"]), st.integers(0, 200)), max_size=40
    ),
    st.booleans(),
    st.booleans(),
)
def test_whatever_happens_meanwhile_rows_that_stay_are_read_once(
    shape: list[tuple[int, int, bool, int]],
    limit: int,
    changes: list[tuple[str, int]],
    guessing: bool,
    whole: bool,
) -> None:
    counter = itertools.count()
    rows = [
        Row(f"r{next(counter)}", T0 + minute * 60 + second, dropped=dropped)
        for minute, second, dropped, copies in shape
        for _ in range(copies)
    ]
    first, last = (0, T0 * 2) if whole else (T0, T0 + 3600)
    untouched = {row.text for row in rows if not row.dropped and first <= row.timestamp < last}
    allowed = set(untouched)
    plan = iter(changes)

    def change(server: MemoryWaha) -> None:
        what, number = next(plan, ("none", 0))
        if what == "revoke" and server.rows:
            untouched.discard(server.rows.pop(number % len(server.rows)).text)
        elif what == "arrive":
            new = Row(f"n{next(counter)}", T0 + number * 30)
            allowed.add(new.text)
            server.rows.insert(number % (len(server.rows) + 1), new)

    server, reader = MemoryWaha(rows, change), WindowReader(limit)
    beyond = (T0, T0 + 3600) if whole else None
    with (
        mock.patch("ventros_pipeline.waha.windows._GUESSED", 8192 if guessing else 1),
        server.client() as client,
    ):
        pages = list(reader.read(client, T0, T0 + 3600, outside=beyond))
    found = [row for row in rows_of(pages) if T0 <= (timestamp_of(row) or 0) < T0 + 3600]
    assert untouched <= set(rows_of(pages)) <= allowed
    assert len(found) == len(set(found))
