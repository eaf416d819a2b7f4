"""From decoded rows to the CRM's messages: verdicts, keys, merged versions.

What belongs here: what becomes of each row, and how several versions or copies of one message are
one. What does not: reading rows (`waha/`), storing messages (`crm/load.py`).

The three steps are `judge` (which rows are messages to keep), `key` (which of them are the same
message) and `merge` (what that message is). Merging commutes: rows may come in any order, twice, or
under two addresses, and the result is the same.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl

from ventros_pipeline.transform import conversations, ids, kinds, status
from ventros_pipeline.transform.times import Calendar, with_time

KEY = ["chat_id", "stanza_id"]

# A row of WhatsApp's own that says nothing but that a message was deleted for everyone.
REVOKED = "revoked"

# Later in this order is newer; a placeholder ("waiting for this message") is older than anything.
VERSION_ORDER = ["kind_is_known", "edited_at", "read_at", "waha_id"]

CONTENT = [
    "contact_id",
    "content_type",
    "can_play",
    "text",
    "media_url",
    "media_mimetype",
    "mentions",
    "raw_kind",
    "sender",
    "latitude",
    "longitude",
    "location_name",
    "location_address",
    "media_filename",
    "media_size",
    "media_seconds",
    "media_sha256",
    "vcards",
    "forwarded",
    "edited",
    "ad",
    "details",
]

# The name on a vCard, which may stand in a group (`item1.FN`) and have parameters.
_FORMATTED_NAME = re.compile(
    r"^(?:[\w-]+\.)?FN(?:;[^:\r\n]*)?:([^\r\n]*)", re.MULTILINE | re.IGNORECASE
)

# Why a row is left out that is beyond the newest of its chat.
OVER_LIMIT = "over_chat_limit"
# And one whose person was erased.
ERASED = "erased"
LISTS = ["mentions", "vcards"]
FLAGS = ["forwarded", "edited"]
TOGETHER = [
    ["latitude", "longitude", "location_name", "location_address"],
    ["media_filename", "media_size", "media_seconds", "media_sha256"],
]

# What goes into `metadata`: what nearly all messages have, and what few do.
METADATA_USUAL = ["ack", "raw_kind", "address", "sender", "forwarded", "edited"]
METADATA_RARE = [
    "reply_to_stanza",
    "time_problem",
    "latitude",
    "longitude",
    "location_name",
    "location_address",
    "media_filename",
    "media_size",
    "media_seconds",
    "media_sha256",
    "vcards",
    "ad",
    "details",
]


@dataclass(frozen=True)
class Judged:
    """Decoded rows, divided.

    Attributes:
        kept: rows of conversations that are imported, with their time (`with_time`) and the
            address of the contact they belong to (`correspondent`).
        filtered: `day`, `reason` and `rows` (Int64): distinct rows left out, by reason.
        left_out: `day`, `row_key` and `reason` of the rows left out for what they are.
    """

    kept: pl.DataFrame
    filtered: pl.DataFrame
    left_out: pl.DataFrame


@dataclass(frozen=True)
class Messages:
    """What a window holds.

    Attributes:
        rows: a line for each distinct row of WAHA: day, chat_id, stanza_id, waha_id, is_primary,
            row_key, read_at (of its newest version), is_mark.
        messages: a line for each message key, its versions merged; the columns of the loader's
            `staged_messages`.
    """

    rows: pl.DataFrame
    messages: pl.DataFrame


def judge(
    decoded: pl.DataFrame,
    calendar: Calendar,
    *,
    own_addresses: Collection[str],
    allow_groups: bool,
) -> Judged:
    """Divide decoded rows into those to import and those left out, with the reason.

    Args:
        decoded: `waha.wire.MESSAGE_SCHEMA` plus `day`, `row_key` and `read_at`; several versions of
            one row share a `row_key`.
        calendar: the account's days.
        own_addresses: the account's own phone address and LID.
        allow_groups: whether the channel takes group messages.
    """
    reason = conversations.filter_reason(own_addresses, allow_groups=allow_groups)
    judged = decoded.with_columns(reason.alias("reason"))
    left_out = (
        judged.filter(pl.col("reason").is_not_null()).select("day", "row_key", "reason").unique()
    )
    filtered = (
        left_out.group_by("day", "reason")
        .agg(pl.len().cast(pl.Int64).alias("rows"))
        .sort("day", "reason")
    )
    kept = with_time(judged.filter(pl.col("reason").is_null()).drop("reason"), calendar)
    return Judged(
        kept.with_columns(conversations.correspondent(own_addresses).alias("correspondent")),
        filtered,
        left_out,
    )


def leave_out(judged: Judged, rows: pl.DataFrame, reason: str) -> Judged:
    """Count rows that were not even decoded among those left out.

    Args:
        rows: their `day` and `row_key`, each once.
        reason: why.
    """
    if rows.is_empty():
        return judged
    named = pl.lit(reason).alias("reason")
    counted = rows.group_by("day").agg(pl.len().cast(pl.Int64).alias("rows"))
    return Judged(
        judged.kept,
        pl.concat([judged.filtered, counted.select("day", named, "rows")]).sort("day", "reason"),
        pl.concat([judged.left_out, rows.select("day", "row_key", named)]),
    )


def cap(judged: Judged, rows: int, newer: pl.DataFrame) -> Judged:
    """Leave out what is beyond the newest `rows` rows of each conversation, counted as filtered.

    Args:
        judged: rows of some days.
        rows: how many of each conversation are wanted.
        newer: `chat`, its `conversation` and how many `newer` rows (Int64) of that, of later days,
            are in the CRM already. So a cap holds over an import that goes from the newest day to
            the oldest. A chat that is not in it is a conversation of its own.
    """
    conversation = pl.coalesce("conversation", "chat")
    ranked = judged.kept.join(newer, on="chat", how="left", maintain_order="left").with_columns(
        (
            pl.struct(-pl.col("at").dt.epoch("us"), "row_key").rank("dense").over(conversation)
            + pl.col("newer").fill_null(0)
        ).alias("place")
    )
    beyond = (
        ranked.filter(pl.col("place") > rows)
        .group_by("day")
        .agg(pl.col("row_key").n_unique().cast(pl.Int64).alias("rows"))
        .select("day", pl.lit(OVER_LIMIT).alias("reason"), "rows")
    )
    kept = ranked.filter(pl.col("place") <= rows).drop("place", "newer", "conversation")
    filtered = pl.concat([judged.filtered, beyond]).sort("day", "reason")
    return Judged(kept, filtered, judged.left_out)


def key(kept: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """Add conversation, contact, kind and status rank to kept rows.

    A row that says `revoked` gets the key of the message that it names (`is_mark`).

    Args:
        kept: what `judge` kept.
        people: `address`, `contact_id`, `chat_id` for every address in `chat` and `correspondent`.
    """
    chats = people.select(pl.col("address").alias("chat"), "chat_id")
    contacts = people.select(pl.col("address").alias("correspondent"), "contact_id")
    return (
        _with_marks(kept)
        .join(chats, on="chat", how="left", maintain_order="left")
        .join(contacts, on="correspondent", how="left", maintain_order="left")
        .with_columns(
            kinds.content_type().alias("content_type"),
            kinds.can_play().alias("can_play"),
            # A mark stands in for the message until the message itself comes.
            (kinds.is_known() & ~pl.col("is_mark")).alias("kind_is_known"),
            status.status_rank().alias("status_rank"),
            pl.from_epoch("edited_at", time_unit="s").dt.replace_time_zone("UTC"),
        )
    )


def _with_marks(kept: pl.DataFrame) -> pl.DataFrame:
    """Let a row that says `revoked` stand under the id of the message that it names.

    On WEBJS and WPP it has an id of its own, the rest of which is the message's; kept under that,
    it was one more message in the CRM for every one that was deleted. One that names none means
    the message in whose place it stands.
    """
    is_mark = pl.col("raw_kind") == REVOKED
    named = pl.coalesce("revoked_stanza_id", "stanza_id")
    of_named = pl.col("waha_id").str.split(pl.col("stanza_id")).list.join(named)
    return kept.with_columns(
        is_mark.alias("is_mark"),
        pl.when(is_mark).then(of_named).otherwise("waha_id").alias("waha_id"),
        pl.when(is_mark).then(named).otherwise("stanza_id").alias("stanza_id"),
    )


def merge(keyed: pl.DataFrame, channel_id: str) -> Messages:
    """Make one message of all rows with the same key.

    Each fact comes from the newest version that knows it (by edit, then by reading; a version that
    knows its kind is newer than a placeholder); the time is the earliest trusted one; the status
    the highest; the id the one of the earliest row. `update_messages.sql` merges the same way with
    what is stored already: a message's versions may stand in several days and windows.

    Args:
        keyed: rows with their key, from `key`.
        channel_id: part of the message key, and so of the message's id.
    """
    said = keyed.with_columns(pl.col("is_mark").all().over(KEY).alias("only_revoked"))
    # A mark has its own sender and time; they count only where nothing else is known.
    said = said.filter(~pl.col("is_mark") | pl.col("only_revoked"))
    newest = _newest(said)
    merged = newest.join(_earliest(said), on=KEY, how="inner", maintain_order="left")
    messages = merged.join(_revokes(keyed), on=KEY, how="inner", maintain_order="left")
    messages = messages.with_columns(
        pl.Series(
            "message_id",
            ids.message_ids(channel_id, newest["chat_id"], newest["stanza_id"]),
            dtype=pl.String,
        )
    )
    messages = messages.with_columns(
        _metadata(messages).alias("metadata"),
        pl.Series("mentions", _text_arrays(messages["mentions"]), dtype=pl.String),
    )
    return Messages(_rows(keyed, messages), messages)


def _newest(keyed: pl.DataFrame) -> pl.DataFrame:
    """Return content and version: the newest known value of each fact.

    Facts of one thing stay together (a place's name never meets another place's coordinates), and
    what was once forwarded or edited stays so.
    """
    known = keyed.with_columns(
        pl.when(pl.col(name).list.len() > 0).then(name).alias(name) for name in LISTS
    ).sort(VERSION_ORDER, nulls_last=False)
    together = {name for group in TOGETHER for name in group}
    single = [name for name in (*CONTENT, "reply_to") if name not in (*together, *FLAGS)]
    merged = known.group_by(KEY, maintain_order=True).agg(
        pl.col(single).drop_nulls().last(),
        pl.col(FLAGS).any(),
        # A version is compared as a whole, so it is kept as a whole.
        pl.col("kind_is_known", "edited_at", "read_at").last(),
        *(
            pl.col(group).filter(pl.any_horizontal(pl.col(group).is_not_null())).last()
            for group in TOGETHER
        ),
    )
    return merged.rename({"reply_to": "reply_to_stanza"})


def _earliest(keyed: pl.DataFrame) -> pl.DataFrame:
    """Return what does not come from the newest version: first time and id, highest status."""
    by_time = [~pl.col("time_trusted"), pl.col("at"), pl.col("waha_id"), pl.col("read_at")]
    return (
        keyed.with_columns(status.ack_rank().alias("ack_rank"))
        .sort(by_time)
        .group_by(KEY, maintain_order=True)
        .agg(
            pl.col("day", "at", "time_trusted", "time_problem", "waha_id").first(),
            pl.col("chat").first().alias("address"),
            pl.col("timestamp_raw").first(),
            pl.col("from_me").max(),
            pl.col("status_rank").max(),
            pl.col("ack").sort_by("ack_rank").last(),
        )
    )


def _revokes(keyed: pl.DataFrame) -> pl.DataFrame:
    """Return when a row first said that a message was revoked, and whether that is all."""
    return keyed.group_by(KEY).agg(
        pl.col("read_at").filter("is_mark").min().alias("revoked_at"),
        pl.col("is_mark").all().alias("only_revoked"),
    )


def _rows(keyed: pl.DataFrame, messages: pl.DataFrame) -> pl.DataFrame:
    """Return a line for each distinct row; the primary one is the row that names the message."""
    primary = messages.select(*KEY, pl.col("waha_id").alias("primary_id"))
    return (
        # An edit moves WAHA's time, so one row may stand in two days, and each day counts it.
        keyed.with_columns(pl.col("read_at").max().over("day", "row_key"))
        .unique(["day", "row_key"], keep="first", maintain_order=True)
        # A mark may carry the id of the message it names, which is the row that counts as new.
        .sort("is_mark", maintain_order=True)
        .join(primary, on=KEY, how="inner", maintain_order="left")
        .with_columns(
            (
                (pl.col("waha_id") == pl.col("primary_id"))
                & pl.struct(*KEY, "waha_id").is_first_distinct()
            ).alias("is_primary")
        )
        .select("day", *KEY, "waha_id", "is_primary", "row_key", "read_at", "is_mark")
    )


def _metadata(messages: pl.DataFrame) -> pl.Series:
    """Return what has no column of its own in the CRM, as JSON text without null members.

    Most messages say nothing that is theirs alone; the text is made once for all that say the same,
    which takes half the time: 2.4 s for a million messages.
    """
    says_more = pl.any_horizontal(pl.col(METADATA_RARE).is_not_null()).alias("says_more")
    facts = messages.select(*METADATA_USUAL, *METADATA_RARE, "timestamp_raw", says_more)
    usual = facts.filter(~pl.col("says_more")).select(METADATA_USUAL).unique()
    nothing = dict.fromkeys((*METADATA_RARE, "timestamp_raw"))
    texts = [_metadata_of({**nothing, **row}) for row in usual.iter_rows(named=True)]
    shared = facts.join(
        usual.with_columns(pl.Series("metadata", texts, dtype=pl.String)),
        on=METADATA_USUAL,
        how="left",
        nulls_equal=True,
        maintain_order="left",
    )
    more = facts.filter("says_more")
    own = [_metadata_of(row) for row in more.iter_rows(named=True)]
    return shared["metadata"].scatter(
        facts["says_more"].arg_true(), pl.Series(own, dtype=pl.String)
    )


def _metadata_of(row: dict[str, Any]) -> str:
    location = _present(
        latitude=row["latitude"],
        longitude=row["longitude"],
        name=row["location_name"],
        address=row["location_address"],
    )
    media = _present(
        filename=row["media_filename"],
        size=row["media_size"],
        seconds=row["media_seconds"],
        sha256=row["media_sha256"],
    )
    details = _parsed(row["details"])
    untrusted = row["time_problem"]
    members = _present(
        ack=row["ack"],
        kind=row["raw_kind"],
        chat=row["address"],
        sender=row["sender"],
        location=location or None,
        contact=_contact(row["vcards"], details),
        contacts=row["vcards"] or None,
        filename=row["media_filename"],
        media=media or None,
        quoted_id=row["reply_to_stanza"],
        forwarded=row["forwarded"] or None,
        edited=row["edited"] or None,
        ad=_parsed(row["ad"]),
        details=details,
        timestamp_problem=untrusted,
        timestamp_raw=row["timestamp_raw"] if untrusted else None,
    )
    return msgspec.json.encode(members).decode()


def _contact(vcards: list[str] | None, details: object) -> dict[str, object] | None:
    """Return the first card as the CRM has it; `contacts` holds all of them."""
    if not vcards:
        return None
    named = details.get("name") if isinstance(details, dict) and len(vcards) == 1 else None
    written = _FORMATTED_NAME.search(vcards[0])
    return _present(
        display_name=named or (written[1].strip() or None if written else None), vcard=vcards[0]
    )


def _present(**members: object) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None}


def _parsed(text: str | None) -> object:
    return None if text is None else msgspec.json.decode(text)


def _text_arrays(column: pl.Series) -> list[str | None]:
    """Return lists of text as Postgres array literals; an empty list is null, as the CRM has it."""
    return [
        "{" + ",".join(msgspec.json.encode(item).decode() for item in items) + "}"
        if items is not None and len(items)
        else None
        for items in column.to_list()
    ]
