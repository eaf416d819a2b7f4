from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ventros_pipeline.waha.client import Engine, Me, Probe
from ventros_pipeline.waha.errors import WahaConfigurationError
from ventros_pipeline.waha.pages import FIRST_SECOND, Page, Reader
from ventros_pipeline.waha.reading import AnyAgeReader, ChatReader, choose_reader

from .browser import CHAT, BrowserWaha, row_in
from .server import MemoryWaha, Row, texts

T0 = 1_700_000_000
DAY = 86_400
Kind = Literal["webjs", "wpp"]
ENGINES = pytest.mark.parametrize("engine", ["webjs", "wpp"])
WIDEST = "ventros_pipeline.waha.perchat.WIDEST"


def reader_of(engine: str, page_size: int) -> ChatReader:
    probe = Probe("2026.7.1", (2026, 7, 1), Engine(engine.upper()), "CORE", "WORKING", Me())
    reader = choose_reader(probe, page_size=page_size)
    assert isinstance(reader, ChatReader)
    return reader


def read(
    server: BrowserWaha | MemoryWaha,
    reader: Reader,
    start: int = T0,
    end: int = T0 + DAY,
    chats: list[str] | None = None,
) -> list[Page]:
    with server.client() as client:
        return list(reader.read(client, start, end, chats))


def unplaced(server: BrowserWaha, reader: Reader, before: int, after: int) -> set[bytes]:
    """Return what a reading of no days, only of what is outside of them, yields."""
    with server.client() as client:
        return set(rows_of(list(reader.read(client, before, before, outside=(before, after)))))


def first_import(server: BrowserWaha, reader: Reader) -> list[Page]:
    with server.client() as client:
        return list(reader.read(client, T0, T0 + DAY, outside=(T0, T0 + DAY)))


def rows_of(pages: list[Page]) -> list[bytes]:
    return [row for page in pages for row in page.rows]


def placed_texts(rows: list[Row], start: int = T0, end: int = T0 + DAY) -> set[bytes]:
    return texts(row for row in rows if start <= row.timestamp < end)


def account(chats: int, messages: int, step: int = 60) -> list[Row]:
    rows = [
        row_in(f"55119{chat:08}@c.us", number, T0 + number * step + chat)
        for chat in range(chats)
        for number in range(messages)
    ]
    return sorted(rows, key=lambda row: int(row.timestamp))


@ENGINES
@pytest.mark.parametrize("page_size", [1, 7, 100, 500])
@pytest.mark.parametrize("messages", [1, 9, 150, 1300])
def test_every_row_of_the_range_is_read_once(engine: Kind, page_size: int, messages: int) -> None:
    rows = account(3, messages, step=400)
    pages = read(BrowserWaha(rows, engine), reader_of(engine, page_size))
    found = rows_of(pages)
    assert set(found) == placed_texts(rows)
    assert len(found) == len(set(found))


@ENGINES
def test_days_are_complete_when_the_last_chat_is_read(engine: Kind) -> None:
    pages = read(BrowserWaha(account(3, 5), engine), reader_of(engine, 100))
    assert [page.complete_before for page in pages] == [T0, T0, T0, T0 + DAY]


@ENGINES
def test_an_account_without_chats_is_complete_at_once(engine: Kind) -> None:
    assert read(BrowserWaha([], engine), reader_of(engine, 100)) == [Page([], T0 + DAY)]
    assert read(BrowserWaha([], engine), reader_of(engine, 100), chats=[]) == []


@ENGINES
def test_chats_whose_last_message_is_older_are_not_asked(engine: Kind) -> None:
    rows = [
        row_in("1@c.us", 1, T0 - 1),
        row_in("2@c.us", 1, T0),
        row_in("3@c.us", 1, None),
        row_in("4@c.us", 1, 0),
        row_in("5@c.us", 1, T0 * 1000),
        row_in("6@c.us", 1, T0 + 2 * DAY),
    ]
    server = BrowserWaha(rows, engine)
    read(server, reader_of(engine, 100))
    assert set(server.read_chats) == {f"{n}@c.us" for n in (2, 3, 4, 5, 6)}


@ENGINES
def test_given_chats_are_read_without_a_listing(engine: Kind) -> None:
    rows = account(3, 5)
    server = BrowserWaha(rows, engine, hidden=frozenset({rows[0].chat}))
    found = rows_of(read(server, reader_of(engine, 100), chats=[rows[0].chat]))
    assert set(found) == texts(row for row in rows if row.chat == rows[0].chat)
    assert {chat for chat, _ in server.requests} == {rows[0].chat}


@ENGINES
def test_a_full_import_costs_about_one_request_for_each_chat(engine: Kind) -> None:
    rows = account(60, 40, step=1800)
    server = BrowserWaha(rows, engine)
    assert set(rows_of(read(server, reader_of(engine, 500), T0, T0 + 40 * DAY))) == texts(rows)
    assert len(server.requests) <= 1.2 * 60


@ENGINES
def test_an_increment_costs_about_one_request_for_each_chat_that_changed(engine: Kind) -> None:
    rows = account(60, 300, step=600)
    quiet = [row_in(f"{n}@c.us", 1, T0 - DAY) for n in range(400)]
    start = T0 + 290 * 600
    server = BrowserWaha([*quiet, *rows], engine)
    found = rows_of(read(server, reader_of(engine, 500), start, start + DAY))
    assert set(found) == placed_texts(rows, start, start + DAY)
    assert len(server.requests) <= 1.2 * 60


def test_webjs_is_asked_with_bounds_and_wpp_never() -> None:
    for engine in ("webjs", "wpp"):
        server = BrowserWaha(account(2, 50), engine)  # type: ignore[arg-type]
        read(server, reader_of(engine, 10))
        asked = [query for chat, query in server.requests if chat]
        bounded = ["filter.timestamp.gte" in query for query in asked]
        assert all(bounded) if engine == "webjs" else not any(bounded)
        assert all(query["downloadMedia"] == "false" for query in asked)


@ENGINES
def test_a_server_that_ignores_the_upper_bound_is_read_all_the_same(engine: Kind) -> None:
    rows = account(2, 400, step=900)
    server = BrowserWaha(rows, engine)
    page = server._page
    server._page = lambda chat, query: page(  # type: ignore[method-assign]
        chat, {name: value for name, value in query.items() if not name.endswith("lte")}
    )
    assert set(rows_of(read(server, reader_of(engine, 7)))) == placed_texts(rows)


def test_a_stretch_of_notices_in_a_wpp_chat_hides_nothing() -> None:
    rows = [row_in(CHAT, n, T0 + n) for n in range(30)]
    notices = [row_in(CHAT, 1000 + n, T0 + 1000 + n, dropped=True) for n in range(1400)]
    server = BrowserWaha([*rows, *notices], "wpp")
    assert set(rows_of(read(server, reader_of("wpp", 500)))) == texts(rows)


def test_one_row_out_of_its_place_does_not_end_a_wpp_reading() -> None:
    rows = [row_in(CHAT, n, T0 + n) for n in range(300)]
    late = row_in(CHAT, 999, T0 - 5 * DAY)
    server = BrowserWaha([*rows[:-5], late, *rows[-5:]], "wpp")
    assert set(rows_of(read(server, reader_of("wpp", 10)))) == texts(rows)


@ENGINES
def test_rows_without_a_number_for_a_time_are_kept(engine: Kind) -> None:
    odd = [row_in(CHAT, 900, str(T0 + 5)), row_in(CHAT, 901, "soon")]
    rows = [row_in(CHAT, n, T0 + n) for n in range(20)]
    pages = read(BrowserWaha([*rows, odd[0]], engine), reader_of(engine, 100))
    assert set(rows_of(pages)) == texts([*rows, odd[0]])
    assert unplaced(BrowserWaha([*rows, *odd], engine), reader_of(engine, 9), T0, T0 + DAY) == (
        texts(odd)
    )


@ENGINES
@pytest.mark.parametrize("page_size", [7, 500])
def test_what_no_day_holds_is_read_apart(engine: Kind, page_size: int) -> None:
    rows = [row_in(CHAT, n, T0 + n) for n in range(100)]
    odd = [
        row_in(CHAT, 200 + n, time)
        for n, time in enumerate(
            [0, None, -5, T0 - 1, T0 + DAY, T0 * 1000, "text", {"low": 1}, 946_684_800]
        )
    ]
    mixed = [*rows[:50], *odd, *rows[50:]]
    server = BrowserWaha(mixed, engine)
    assert unplaced(server, reader_of(engine, page_size), T0, T0 + DAY) == texts(odd)


def test_a_first_import_finds_rows_behind_one_without_a_real_time() -> None:
    rows = [row_in(CHAT, n, T0 + n) for n in range(100)]
    mixed = [*rows[:50], row_in(CHAT, 900, 0), *rows[50:]]
    pages = first_import(BrowserWaha(mixed, "webjs"), reader_of("webjs", 100))
    assert set(rows_of(pages)) == texts(mixed)


@ENGINES
@pytest.mark.parametrize("page_size", [100, 500])
def test_a_first_import_reads_each_chat_once(engine: Kind, page_size: int) -> None:
    odd = [row_in(f"{n}@c.us", 1, time) for n, time in enumerate([0, T0 - DAY, T0 * 1000])]
    rows = [*account(60, 300, step=60), *odd]
    server = BrowserWaha(rows, engine)
    found = rows_of(first_import(server, reader_of(engine, page_size)))
    assert (set(found), len(found)) == (texts(rows), len(rows))
    assert len(server.read_chats) - len({*server.read_chats}) <= 3  # Were the longest ones cut?


@ENGINES
def test_a_first_import_of_some_days_leaves_the_other_days_out(engine: Kind) -> None:
    rows = [row_in(CHAT, day, T0 + day * DAY) for day in range(-1, 6)]
    with BrowserWaha(rows, engine).client() as client:
        pages = reader_of(engine, 100).read(client, T0, T0 + DAY, outside=(T0, T0 + 5 * DAY))
        assert set(rows_of(list(pages))) == texts([rows[0], rows[1], rows[6]])


@ENGINES
def test_a_server_that_cuts_its_pages_is_found_out_and_read_whole(engine: Kind) -> None:
    rows = sorted(account(5, 180) + account(12, 20), key=lambda row: int(row.timestamp))
    rows = list({row.id: row for row in rows}.values())
    server = BrowserWaha(rows, engine, cap=50)
    assert set(rows_of(read(server, reader_of(engine, 500)))) == placed_texts(rows)
    assert unplaced(server, reader_of(engine, 500), T0 + DAY, T0 + 2 * DAY) == texts(rows)
    found = rows_of(first_import(server, reader_of(engine, 500)))
    assert (set(found), len(found)) == (texts(rows), len(rows))


@ENGINES
@pytest.mark.parametrize("others", [0, 1, 2, 9])
def test_whether_pages_are_cut_is_asked_of_the_longest_only(engine: Kind, others: int) -> None:
    sizes = [12, 20, 31, 45, *[60] * (1 + others)]
    rows = [row_in(f"{n}@c.us", m, T0 + m) for n, size in enumerate(sizes) for m in range(size)]
    server = BrowserWaha(rows, engine)
    assert set(rows_of(first_import(server, reader_of(engine, 500)))) == texts(rows)
    questions = [query for chat, query in server.requests if chat and query["offset"] != "0"]
    assert [query["offset"] for query in questions] == ["60"] * min(1 + others, 3)


@ENGINES
def test_a_cut_that_shows_only_in_the_last_chat_hides_nothing_of_the_first(engine: Kind) -> None:
    rows = [row_in("1@c.us", m, T0 + m) for m in range(90)]
    rows += [row_in("2@c.us", m, T0 + m) for m in range(9)]
    server = BrowserWaha(rows, engine, cap=50)
    pages = first_import(server, reader_of(engine, 500))
    assert set(rows_of(pages)) == texts(rows)
    assert {page.complete_before for page in pages[:-1]} == {T0}


@ENGINES
def test_a_row_that_comes_twice_does_not_clear_a_cut_page_of_doubt(engine: Kind) -> None:
    rows = [row_in(f"{n}@c.us", m, T0 + m) for n in (1, 2) for m in range(90)]
    server = BrowserWaha(rows, engine)
    page = server._page

    def cut(chat: str, query: dict[str, str]) -> list[Row]:
        rows = page(chat, query)[:50]
        return [*rows, *rows[:20]] if chat == "2@c.us" else rows

    server._page = cut  # type: ignore[method-assign]
    assert set(rows_of(first_import(server, reader_of(engine, 500)))) == texts(rows)


@ENGINES
def test_a_chat_larger_than_the_widest_page_is_turned(
    engine: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WIDEST, 40)
    rows = [row_in(CHAT, n, T0 + n) for n in range(333)]
    found = rows_of(read(BrowserWaha(rows, engine), reader_of(engine, 10)))
    assert set(found) == texts(rows)
    assert len(found) == len(rows)


@ENGINES
def test_the_oldest_second_is_a_bound_and_none_without_chats(engine: Kind) -> None:
    with BrowserWaha(account(2, 2), engine).client() as client:
        assert reader_of(engine, 10).oldest(client) == FIRST_SECOND
    with BrowserWaha([], engine).client() as client:
        assert reader_of(engine, 10).oldest(client) is None


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["webjs", "wpp"]),
    st.lists(st.tuples(st.integers(-300, 1800), st.integers(0, 3), st.booleans()), max_size=80),
    st.sampled_from([1, 2, 7, 100]),
    st.lists(
        st.tuples(st.sampled_from(["arrive", "late", "delete", "none"]), st.integers(0, 200)),
        max_size=20,
    ),
    st.booleans(),
    st.sampled_from([None, None, 30]),
)
def test_whatever_happens_meanwhile_rows_that_stay_are_read_once(
    engine: Kind,
    shape: list[tuple[int, int, bool]],
    page_size: int,
    changes: list[tuple[str, int]],
    whole: bool,
    cap: int | None,
) -> None:
    counter = itertools.count()
    rows = [
        row_in(f"{chat}@c.us", next(counter), T0 + minute * 60, dropped=dropped)
        for minute, chat, dropped in sorted(shape)
    ]
    staying = texts(rows) if whole else placed_texts(rows)
    allowed = set(staying)
    plan = iter(changes)

    def change(server: BrowserWaha) -> None:
        what, number = next(plan, ("none", 0))
        if what == "delete" and server.rows:
            staying.discard(server.rows.pop(number % len(server.rows)).text)
        elif what in ("arrive", "late"):
            new = row_in(f"{number % 4}@c.us", next(counter), T0 + DAY - 1 - number)
            allowed.add(new.text)
            place = len(server.rows) if what == "arrive" else number % (len(server.rows) + 1)
            server.rows.insert(place, new)

    server, reader = BrowserWaha(list(rows), engine, change, cap), reader_of(engine, page_size)
    found = rows_of(first_import(server, reader) if whole else read(server, reader))
    assert staying <= set(found) <= allowed
    assert len(found) == len(set(found))


@pytest.mark.parametrize("old_all", [200, 400, 404, 501])
@pytest.mark.parametrize("page_size", [7, 500])
def test_a_server_without_all_chats_at_once_is_read_chat_by_chat_and_that_is_told(
    old_all: int, page_size: int
) -> None:
    rows = account(4, 130)
    server = BrowserWaha(rows, "old", old_all=old_all)
    reader = AnyAgeReader(page_size)
    assert set(rows_of(read(server, reader))) == placed_texts(rows)
    assert "one by one" in reader.notes[0]
    assert not reader.ranges_are_cheap


def test_no_day_is_called_complete_before_it_is_known_how_the_server_is_read() -> None:
    pages = read(BrowserWaha(account(4, 130), "old"), AnyAgeReader(100), T0, T0 + 5 * DAY)
    assert [page.complete_before for page in pages[:-1]] == [T0] * (len(pages) - 1)
    assert pages[-1].complete_before == T0 + 5 * DAY


def test_an_old_server_tells_its_odd_rows_and_a_bound_for_its_oldest() -> None:
    odd = [row_in(CHAT, 1, 0), row_in(CHAT, 2, None)]
    server = BrowserWaha([*account(2, 20), *odd], "old")
    assert unplaced(server, AnyAgeReader(100), T0, T0 + DAY) == texts(odd)
    with server.client() as client:
        assert AnyAgeReader(100).oldest(client) == FIRST_SECOND


class OldWindows(MemoryWaha):
    """Knows `all`, and neither an order nor filters: newest first, whatever is asked."""

    def _page(self, chat: str, query: dict[str, str]) -> list[Row]:
        plain = {name: query[name] for name in ("limit", "offset")}
        return super()._page(chat, {**plain, "sortOrder": "desc"})


def test_a_server_without_order_and_filters_is_found_out_when_its_oldest_is_asked() -> None:
    rows = [row_in(f"{n % 3}@c.us", n, T0 + n * 60) for n in range(90)]
    browser = BrowserWaha(rows, "old")
    server = OldWindows(rows)
    answer = server.answer
    server.answer = lambda request: (  # type: ignore[method-assign]
        answer(request) if "/messages" in request.url.path else browser.answer(request)
    )
    reader = AnyAgeReader(50)
    with server.client() as client:
        assert reader.oldest(client) == FIRST_SECOND
    assert set(rows_of(read(server, reader))) == texts(rows)
    assert set(rows_of(read(server, AnyAgeReader(50)))) == texts(rows)


def test_milliseconds_in_a_bad_row_do_not_make_a_server_old() -> None:
    odd = [row_in(CHAT, 900, None), row_in(CHAT, 901, (T0 - DAY) * 1000)]
    server = MemoryWaha([row_in(CHAT, n, T0 + n * 60) for n in range(90)] + odd)
    reader = AnyAgeReader(50)
    with server.client() as client:
        assert reader.oldest(client) == T0
    assert reader.ranges_are_cheap
    assert list(reader.notes) == []


def test_a_refusal_that_has_nothing_to_do_with_age_is_raised() -> None:
    server = BrowserWaha([], "old", old_all=401)
    with pytest.raises(WahaConfigurationError, match="API key"):
        read(server, AnyAgeReader(50))


def test_an_empty_range_of_a_current_server_costs_one_question_more_the_first_time() -> None:
    server = MemoryWaha([Row("old", T0 - 5)])
    reader = AnyAgeReader(100)
    assert read(server, reader) == [Page([], T0 + DAY)]
    assert len(server.requests) == 3
    assert read(server, reader)[-1] == Page([], T0 + DAY)
    assert len(server.requests) == 5
    assert reader.ranges_are_cheap


@ENGINES
@pytest.mark.parametrize("cap", [None, 30])
def test_chats_asked_side_by_side_give_the_same_pages_as_one_after_the_other(
    engine: Kind, cap: int | None
) -> None:
    rows = [row_in(f"55119{n}@c.us", m, T0 + 60 * m) for n in range(12) for m in range(n * 9)]
    alone, beside = BrowserWaha(rows, engine, cap=cap), BrowserWaha(rows, engine, cap=cap)
    one_by_one = reader_of(engine, 5)
    assert read(beside, replace(one_by_one, at_once=4)) == read(alone, one_by_one)
    # What was asked ahead before the server was known to cut pages is asked in vain.
    assert 0 <= len(beside.requests) - len(alone.requests) <= 4
