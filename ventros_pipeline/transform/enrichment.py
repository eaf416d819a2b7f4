"""Which media messages the CRM's enrichment takes, by whom, how urgently, how large, at what price.

What belongs here: the rules, and what a channel's own settings make of them. What does not: which
messages there are (`crm/enrichment.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

MEGABYTE = 1024 * 1024
Unit = Literal["minute", "image", "page"]


@dataclass(frozen=True)
class Rule:
    """What becomes of one content type.

    Attributes:
        kind: the CRM's content type.
        provider: of the CRM.
        priority: ten comes first. The CRM has no column for it: its worker sorts by content type,
            in this order.
        max_bytes: largest file that the provider takes.
        unit: what the provider is paid by.
        on: whether it is done where neither the channel nor a person says anything.
    """

    kind: str
    provider: str
    priority: int
    max_bytes: int
    unit: Unit
    on: bool = True


RULES = (
    Rule("voice", "whisper", 10, 25 * MEGABYTE, "minute"),
    Rule("audio", "whisper", 8, 25 * MEGABYTE, "minute"),
    Rule("image", "vision", 7, 10 * MEGABYTE, "image"),
    Rule("document", "llamaparse", 6, 50 * MEGABYTE, "page"),
    # Each minute is a transcript and several pictures: by far the dearest, so by name only.
    Rule("video", "ffmpeg", 3, 100 * MEGABYTE, "minute", on=False),
)
KINDS = tuple(rule.kind for rule in RULES)
# Media that no rule takes; counted, so that the counts add up to what is in the CRM.
UNRULED = ("sticker",)

# What the CRM's vision is asked to look for.
DEFAULT_CONTEXT = "chat_message"
CONTEXTS = (
    DEFAULT_CONTEXT,
    "chat_product",
    "chat_document",
    "chat_receipt",
    "profile_picture",
    "profile_document",
    "profile_business",
    "pipeline_product",
    "pipeline_catalog",
    "pipeline_contract",
    "automation_form",
    "automation_id",
    "automation_invoice",
)

# A provider tells formats by the end of the address, and an archived file has none: it is named by
# its hash. Any other file gets the ending of its own name.
ENDINGS = {
    "audio/ogg": "ogg",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/aac": "aac",
    "audio/wav": "wav",
    "audio/amr": "amr",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "video/mp4": "mp4",
    "application/pdf": "pdf",
}


def rules_for(
    ai_processing: object, kinds: Collection[str], prices: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Return the rules as they hold for a channel: those of `Rule`, `usd`, `off`.

    A channel can turn a kind off and lower its size, never raise it. What it turned off stays off
    whatever a person asks for: it says what may leave the CRM, not what is wanted today.

    Args:
        ai_processing: the channel's `config.ai_processing`, by kind; anything unreadable says
            nothing.
        kinds: content types that a person asks for; where there are none, the channel's flag
            decides, and where it has none, the rule.
        prices: USD for a unit, by provider.
    """
    flags = ai_processing if isinstance(ai_processing, Mapping) else {}
    return [_applied(rule, flags.get(rule.kind), kinds, prices[rule.provider]) for rule in RULES]


def _applied(rule: Rule, said: object, kinds: Collection[str], usd: float) -> dict[str, Any]:
    config = said if isinstance(said, Mapping) else {"enabled": said}
    enabled = config.get("enabled")
    wanted = rule.kind in kinds if kinds else rule.on or enabled is True
    off = "off_for_channel" if enabled is False else None if wanted else "kind_not_asked_for"
    max_bytes = _lowered(rule.max_bytes, config.get("max_size_bytes"))
    return {**asdict(rule), "max_bytes": max_bytes, "usd": usd, "off": off}


def _lowered(limit: int, said: object) -> int:
    is_size = isinstance(said, int | float) and not isinstance(said, bool) and said > 0
    return min(limit, int(said)) if is_size else limit  # type: ignore[call-overload]
