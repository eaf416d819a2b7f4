"""What goes into COPY comes out of the table, whatever it holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from ventros_pipeline.crm.copying import NULL, copy_frame

HARD = [
    "",
    " ",
    "a,b",
    'say "oi"',
    '"',
    '""',
    "\\",
    "\\N",
    "\\.",
    "a\n\\.\nb",
    "linha 1\nlinha 2",
    "\r",
    "a\r\nb",
    "\n",
    "\u2028\u2029\u0085",
    "NULL",
    NULL,
    f"{NULL}{NULL}",
    "\ue000",
    "👨‍👩‍👧",
    "\ufffd",
    "{}",
    "'; DROP TABLE messages; --",
    "%s %(a)s",
    "x" * 100_000,
]


def through(engine: Engine, values: list[str | None]) -> list[str | None]:
    """Return what a temporary table holds after the values were copied into it."""
    frame = pl.DataFrame(
        {"n": range(len(values)), "text": values}, schema_overrides={"text": pl.String}
    )
    with engine.begin() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        with raw.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE taken (n int, text text) ON COMMIT DROP")
            copy_frame(cursor, frame, "taken")
            cursor.execute("SELECT text FROM taken ORDER BY n")
            return [row[0] for row in cursor.fetchall()]


def test_every_hard_text_comes_through_on_old_and_new_servers(each_empty_engine: Engine) -> None:
    assert through(each_empty_engine, list(HARD)) == HARD


def test_an_empty_text_and_no_text_stay_apart(engine: Engine) -> None:
    assert through(engine, ["", None, "", None]) == ["", None, "", None]


def test_a_single_column_keeps_its_empty_rows(engine: Engine) -> None:
    with engine.begin() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        with raw.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE taken (text text) ON COMMIT DROP")
            copy_frame(cursor, pl.DataFrame({"text": ["", None, "a", "\\."]}), "taken")
            cursor.execute("SELECT text FROM taken ORDER BY ctid")
            assert [row[0] for row in cursor.fetchall()] == ["", None, "a", "\\."]


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(values=st.lists(st.none() | text | st.sampled_from(HARD), min_size=1, max_size=20))
def test_any_text_comes_through(engine: Engine, values: list[str | None]) -> None:
    assert through(engine, values) == values


def test_times_numbers_and_booleans_come_through(engine: Engine) -> None:
    moment = datetime(2026, 6, 2, 10, 0, 0, 123456, tzinfo=UTC)
    early = datetime(1969, 12, 31, 23, 59, 55, tzinfo=UTC)
    frame = pl.DataFrame(
        {"at": [moment, early, None], "yes": [True, False, None], "n": [2**62, -1, None]},
        schema_overrides={"at": pl.Datetime("us", "UTC")},
    )
    with engine.begin() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        with raw.cursor() as cursor:
            cursor.execute(
                "CREATE TEMP TABLE taken (at timestamptz, yes boolean, n bigint) ON COMMIT DROP"
            )
            copy_frame(cursor, frame, "taken")
            cursor.execute("SELECT at, yes, n FROM taken ORDER BY ctid")
            found: list[tuple[Any, ...]] = cursor.fetchall()
    assert found == [(moment, True, 2**62), (early, False, -1), (None, None, None)]


def test_an_empty_frame_copies_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        with raw.cursor() as cursor:
            copy_frame(cursor, pl.DataFrame({"text": []}), "there_is_no_such_table")
