"""Which conversations are imported, and under which address each one stands."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

GROUP_SUFFIX = "@g.us"


def filter_reason(own_addresses: Collection[str], *, allow_groups: bool) -> pl.Expr:
    """Return why a row of `chat` is not imported (String), null when it is.

    A filtered row is counted by its reason in the balance; it is never lost silently.
    """
    chat = pl.col("chat")
    return (
        pl.when(chat.str.ends_with("@newsletter"))
        .then(pl.lit("newsletter"))
        .when(chat.str.ends_with("@broadcast"))
        .then(pl.lit("broadcast"))
        .when(chat.str.ends_with("@bot") | chat.str.ends_with("@meta.ai"))
        .then(pl.lit("bot"))
        .when(chat == "0@c.us")
        .then(pl.lit("null_chat"))
        .when(chat.is_in(list(own_addresses)))
        .then(pl.lit("own_chat"))
        .when(chat.str.ends_with(GROUP_SUFFIX) & pl.lit(not allow_groups))
        .then(pl.lit("group_not_allowed"))
    )


def is_group() -> pl.Expr:
    """Return whether `chat` is a group (Boolean)."""
    return pl.col("chat").str.ends_with(GROUP_SUFFIX)


def correspondent(own_addresses: Collection[str]) -> pl.Expr:
    """Return the address of the contact a message belongs to (String, never null).

    One to one it is the other side. In a group it is whoever sent it; what we sent ourselves
    belongs to the group's own contact, because own addresses never become contacts and
    `messages.contact_id` may not be null.
    """
    sender = pl.col("sender")
    is_other = is_group() & sender.is_not_null() & ~sender.is_in(list(own_addresses))
    return pl.when(is_other & ~pl.col("from_me")).then(sender).otherwise(pl.col("chat"))
