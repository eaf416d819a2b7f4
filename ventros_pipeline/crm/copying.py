"""Polars frames into temporary tables by COPY."""

from __future__ import annotations

from typing import Any

import polars as pl
from psycopg import Cursor, sql

# Written without quotes, as only nulls are: every text is quoted, so one that a person really sent
# stays a text.
NULL = "\ue000null"


def copy_frame(cursor: Cursor[Any], frame: pl.DataFrame, table: str) -> None:
    """Append `frame` to the temporary `table`, whose columns of the same names take it."""
    if frame.is_empty():
        return
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, NULL {})").format(
        sql.Identifier("pg_temp", table),
        sql.SQL(", ").join(map(sql.Identifier, frame.columns)),
        sql.Literal(NULL),
    )
    body = frame.write_csv(
        include_header=False,
        null_value=NULL,
        quote_style="non_numeric",
        datetime_format="%Y-%m-%dT%H:%M:%S%.6f%:z",
    )
    with cursor.copy(statement) as copy:
        copy.write(body)
