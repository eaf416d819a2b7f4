"""From WhatsApp's many kinds to the CRM's ten content types. Nothing is dropped for its kind."""

from __future__ import annotations

import polars as pl

# The CRM's enum is text, image, video, audio, voice, document, location, contact, sticker, system.
# A kind that is not here is kept as `system`, with the raw kind in `metadata`.
CONTENT_TYPE = {
    "text": "text",
    "buttons_response": "text",
    "list_response": "text",
    "template_reply": "text",
    "image": "image",
    "video": "video",
    "gif": "video",
    "video_note": "video",
    "audio": "audio",
    "voice": "voice",
    "document": "document",
    "location": "location",
    "live_location": "location",
    "contact": "contact",
    "contacts": "contact",
    "sticker": "sticker",
}

# Only these can be played, so only these end in the status `played`.
PLAYABLE = ("voice", "video")

# Placeholders that a later read replaces by the message itself.
PROVISIONAL = ("ciphertext", "view_once_empty", "unknown")


def content_type() -> pl.Expr:
    """Return the CRM's content type of `raw_kind` (String), never null."""
    return pl.col("raw_kind").replace_strict(CONTENT_TYPE, default="system", return_dtype=pl.String)


def can_play() -> pl.Expr:
    """Return whether a message of `raw_kind` can be played (Boolean)."""
    return content_type().is_in(PLAYABLE)


def is_known() -> pl.Expr:
    """Return whether `raw_kind` says what the message is (Boolean)."""
    kind = pl.col("raw_kind")
    return ~(kind.is_in(PROVISIONAL) | kind.str.starts_with("unknown"))
