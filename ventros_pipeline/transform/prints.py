"""Fingerprints of archived rows: which of them have to be looked at again.

What belongs here: when two looks at a row would find the same, and what is remembered of a look.
What does not: where that is kept and how long it holds (`crm/loaded.py`).

A load is the same whether it looks at all rows of a day or only at those that have changed, because
merges commute: what a row said has been merged with what is stored already. So most loads need not
even decode most rows, which costs more than storing them.
"""

from __future__ import annotations

import polars as pl

# Part of every fingerprint; polars promises the same hash within one of its releases only.
_SEED = 7
_DAY_AND_ROW = ["day", "row_key"]

# What is remembered of a row. Rows that are one message have the same `mates`; a row that was left
# out has the reason instead. `is_copy`: the message bears another row's id. `elsewhere`: the
# message, where its key has another day; `gone`: the message, where it is deleted.
MEMORY = pl.Schema(
    {
        "day": pl.Date(),
        "row": pl.UInt64(),
        "said": pl.UInt64(),
        "mates": pl.UInt64(),
        "is_copy": pl.Boolean(),
        "left_out": pl.String(),
        "elsewhere": pl.String(),
        "gone": pl.String(),
    }
)
OUTCOMES = pl.Schema(
    {
        "day": pl.Date(),
        "row_key": pl.String(),
        "outcome": pl.String(),
        "is_copy": pl.Boolean(),
        "has_changed": pl.Boolean(),
        "elsewhere": pl.String(),
        "gone": pl.String(),
    }
)
PRINTS = pl.Schema(
    {"day": pl.Date(), "row_key": pl.String(), "row": pl.UInt64(), "said": pl.UInt64()}
)


def prints_of(archived: pl.DataFrame) -> pl.DataFrame:
    """Return `PRINTS`: a line for each row of some days, with a hash of all that is known of it.

    Args:
        archived: `archive.DAY_SCHEMA`; of one row there may be several versions.
    """
    version = pl.struct(
        "read_at", "seen_at", "missed_at", "gone_at", pl.col("payload").hash(_SEED)
    ).hash(_SEED)
    return (
        archived.select(*_DAY_AND_ROW, version.alias("said"))
        .group_by(_DAY_AND_ROW, maintain_order=True)
        # Versions of one row differ, so that none takes another out of the sum.
        .agg(pl.col("said").bitwise_xor())
        .select(*_DAY_AND_ROW, pl.col("row_key").hash(_SEED).alias("row"), "said")
        .match_to_schema(PRINTS)
    )


def divide(prints: pl.DataFrame, known: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows to look at (`PRINTS`), and what is known of the others (`MEMORY`).

    Where one row has changed all rows of its message are looked at: of several that WAHA shows in
    one place it matters that one is still there.

    Args:
        prints: the rows as they are.
        known: `MEMORY` of the same days.
    """
    if known.is_empty():
        return prints, known
    now = prints.join(known, on=["day", "row"], how="left", maintain_order="left")
    is_same = (pl.col("said") == pl.col("said_right")).fill_null(False)
    restless = now.filter(~is_same)["mates"].drop_nulls().unique()
    is_same &= ~pl.col("mates").is_in(restless.implode()).fill_null(False)
    divided = now.with_columns(is_same.alias("is_same"))
    return (
        divided.filter(~pl.col("is_same")).select(PRINTS.names()),
        divided.filter("is_same").select(MEMORY.names()),
    )


def with_mates(outcomes: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Add `mates` to `OUTCOMES`.

    Args:
        rows: `day`, `row_key`, `chat_id` and `stanza_id` of the same rows.
    """
    mates = pl.struct("chat_id", "stanza_id").hash(_SEED).alias("mates")
    return outcomes.join(rows.select(*_DAY_AND_ROW, mates), on=_DAY_AND_ROW, how="left")


def count(outcomes: pl.DataFrame, unchanged: pl.DataFrame) -> pl.DataFrame:
    """Return `day`, `outcome` and how many messages' rows (`len`) it has, looked at or not.

    Args:
        outcomes: `OUTCOMES` with `mates`.
        unchanged: `MEMORY` of rows that were not looked at; where another row has changed their
            message they are counted as if they had been.
    """
    changed = outcomes.filter("has_changed")["mates"].unique()
    again = (
        pl.when("is_copy")
        .then(pl.lit("duplicate"))
        .when(pl.col("mates").is_in(changed.implode()))
        .then(pl.lit("updated"))
        .otherwise(pl.lit("unchanged"))
    )
    known = unchanged.filter(pl.col("left_out").is_null()).select("day", again.alias("outcome"))
    return pl.concat([outcomes.select("day", "outcome"), known]).group_by("day", "outcome").len()


def memory_of(
    looked_at: pl.DataFrame,
    outcomes: pl.DataFrame,
    left_out: pl.DataFrame,
    unsettled: pl.DataFrame,
) -> pl.DataFrame:
    """Return what to remember of rows that were looked at: `MEMORY`.

    Nothing is remembered of a row that the next look may judge otherwise: then it is looked at.

    Args:
        looked_at: `PRINTS`.
        outcomes: `OUTCOMES` with `mates`, of those that are messages.
        left_out: `day`, `row_key` and `reason` of those that are none, by version.
        unsettled: `day` and `row_key` of rows that time or a repair makes something else.
    """
    reasons = left_out.group_by(_DAY_AND_ROW).agg(
        pl.col("reason").first().alias("left_out"), pl.len().alias("reasons")
    )
    is_message, reasons_given = pl.col("outcome").is_not_null(), pl.col("reasons")
    return (
        looked_at.join(outcomes, on=_DAY_AND_ROW, how="left")
        .join(reasons, on=_DAY_AND_ROW, how="left")
        .join(unsettled, on=_DAY_AND_ROW, how="anti")
        # One version may be left out and another one not.
        .filter(pl.when(is_message).then(reasons_given.is_null()).otherwise(reasons_given == 1))
        .select(MEMORY.names())
    )
