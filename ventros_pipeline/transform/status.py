"""Delivery status from acks. Status is a rank, so that it can only rise in whatever order it comes.

WAHA's ack: -1 error, 0 pending, 1 server, 2 device, 3 read, 4 played, null unknown. Ranks: 0
unknown, 1 queued, 2 failed, 3 sent, 4 delivered, 5 read, 6 played. `failed` stands between queued
and sent: a message that failed and was then seen on its way was sent after all. The words for the
ranks are in `history_sync.status_of`, the one place that writes them.
"""

from __future__ import annotations

import polars as pl

RANK_OF_ACK = {-1: 2, 0: 1, 1: 3, 2: 4, 3: 5, 4: 6}
UNKNOWN = 0


def ack_rank() -> pl.Expr:
    """Return how far along `ack` says a message is (Int16), whoever wrote it."""
    return pl.col("ack").replace_strict(RANK_OF_ACK, default=UNKNOWN, return_dtype=pl.Int16)


def status_rank() -> pl.Expr:
    """Return the rank (Int16) of `ack`; incoming messages have no status, so theirs is unknown.

    History rows of incoming messages come as -1/ERROR when no status was stored (NOWEB); taking
    that for a failure marked 39 % of an account as failed.
    """
    return pl.when(pl.col("from_me")).then(ack_rank()).otherwise(pl.lit(UNKNOWN, dtype=pl.Int16))
