"""What kind of message a row is and what its content holds, for every engine alike.

What belongs here: the engines' names for kinds, their wrappers, and the fields inside a content
object, all tolerant of anything missing or of the wrong type. What does not: the row around the
content (`wire.py`) and what a kind becomes in the CRM (`transform/`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ventros_pipeline.waha.ids import normalise, parse_message_id

Json = dict[str, Any]

# Future-proof wrappers: each holds the real content under `.message`.
WRAPPERS = frozenset(
    {
        "ephemeralMessage",
        "viewOnceMessage",
        "viewOnceMessageV2",
        "viewOnceMessageV2Extension",
        "documentWithCaptionMessage",
        "editedMessage",
        "deviceSentMessage",
        "lottieStickerMessage",
        "groupMentionedMessage",
        "botInvokeMessage",
        "botTaskMessage",
        "associatedChildMessage",
        "eventCoverImage",
        "groupStatusMessage",
        "groupStatusMessageV2",
        "groupStatusMentionMessage",
        "limitSharingMessage",
        "pollCreationMessageV4",
        "pollCreationMessageV6",
        "pollCreationOptionImageMessage",
        "questionMessage",
        "questionReplyMessage",
        "spoilerMessage",
        "statusAddYours",
        "statusMentionMessage",
    }
)
_VIEW_ONCE = frozenset({"viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension"})
# whatsmeow (GOWS) unwraps by itself and leaves a flag.
GOWS_FLAGS = {
    "IsEphemeral": "ephemeralMessage",
    "IsViewOnce": "viewOnceMessage",
    "IsViewOnceV2": "viewOnceMessageV2",
    "IsViewOnceV2Extension": "viewOnceMessageV2Extension",
    "IsDocumentWithCaption": "documentWithCaptionMessage",
    "IsLottieSticker": "lottieStickerMessage",
    "IsBotInvoke": "botInvokeMessage",
    "IsEdit": "editedMessage",
}
_NO_CONTENT = frozenset(
    {
        "messageContextInfo",
        "senderKeyDistributionMessage",
        "fastRatchetKeySenderKeyDistributionMessage",
    }
)
KIND_BY_CONTENT = {
    "conversation": "text",
    "extendedTextMessage": "text",
    "imageMessage": "image",
    "videoMessage": "video",
    "ptvMessage": "video_note",
    "audioMessage": "audio",
    "documentMessage": "document",
    "stickerMessage": "sticker",
    "locationMessage": "location",
    "liveLocationMessage": "live_location",
    "contactMessage": "contact",
    "contactsArrayMessage": "contacts",
    "eventMessage": "event",
    "listMessage": "list",
    "listResponseMessage": "list_response",
    "buttonsMessage": "buttons",
    "buttonsResponseMessage": "buttons_response",
    "templateMessage": "template",
    "highlyStructuredMessage": "template",
    "templateButtonReplyMessage": "template_reply",
    "interactiveMessage": "interactive",
    "interactiveResponseMessage": "interactive",
    "groupInviteMessage": "group_invite",
    "orderMessage": "order",
    "productMessage": "product",
    "albumMessage": "album",
    "call": "call",
    "callLogMessage": "call",
    "callLogMesssage": "call",
    "bcallMessage": "call",
    "scheduledCallCreationMessage": "call",
    "reactionMessage": "reaction",
    "encReactionMessage": "reaction",
    "pollUpdateMessage": "poll_vote",
    "protocolMessage": "protocol",
}
KIND_BY_TYPE = {
    "chat": "text",
    "image": "image",
    "video": "video",
    "ptv": "video_note",
    "ptt": "voice",
    "audio": "audio",
    "document": "document",
    "sticker": "sticker",
    "location": "location",
    "vcard": "contact",
    "multi_vcard": "contacts",
    "poll_creation": "poll",
    "event_creation": "event",
    "list": "list",
    "list_response": "list_response",
    "buttons": "buttons",
    "buttons_response": "buttons_response",
    "hsm": "template",
    "template": "template",
    "template_button_reply": "template_reply",
    "interactive": "interactive",
    "interactive_response": "interactive",
    "native_flow": "interactive",
    "groups_v4_invite": "group_invite",
    "order": "order",
    "product": "product",
    "album": "album",
    "call_log": "call",
    "revoked": "revoked",
    "ciphertext": "ciphertext",
    "gp2": "notification",
    "e2e_notification": "notification",
    "notification": "notification",
    "notification_template": "notification",
    "broadcast_notification": "notification",
    "protocol": "notification",
}
MEDIA_KINDS = frozenset(
    {"image", "video", "gif", "video_note", "audio", "voice", "document", "sticker"}
)


def text_of(value: object) -> str | None:
    """Return a string that is not empty, else None."""
    return value if isinstance(value, str) and value else None


def object_of(value: object) -> Json:
    """Return a JSON object, or an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def list_of(value: object) -> list[Any]:
    """Return a JSON array, or an empty one in place of anything else."""
    return value if isinstance(value, list) else []


def pick(item: Json, *names: str) -> Any:
    """Return the first of several spellings of a field that is there and not null."""
    for name in names:
        value = item.get(name)
        if value is not None:
            return value
    return None


def integer(value: object) -> int | None:
    """Return a 64-bit integer from a number, a numeric string or Baileys' `{low, high}`."""
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    if isinstance(value, dict):
        low, high = value.get("low"), value.get("high")
        if not isinstance(low, int) or not isinstance(high, int):
            return None
        value = (high << 32) | (low & 0xFFFFFFFF)
    number = real(value)
    if number is None:
        return None
    whole = value if isinstance(value, int) else int(number)
    return whole if -(2**63) <= whole < 2**63 else None


def real(value: object) -> float | None:
    """Return a finite number from a JSON number or a numeric string, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def seconds_of(milliseconds: object) -> int | None:
    """Return seconds from a time in milliseconds; None when it cannot be one.

    NOWEB drops the high word of some 64-bit values: 1790000000123 became 3294104864, which is
    neither seconds nor milliseconds of anything.
    """
    number = integer(milliseconds)
    return number // 1000 if number is not None and 10**11 < number < 10**14 else None


def address_of(value: object) -> str | None:
    """Return a normalised address from a string or WEBJS' `{server, user, _serialized, $1}`."""
    if isinstance(value, dict):
        text = text_of(value.get("_serialized")) or text_of(value.get("$1"))
        if text is None and text_of(value.get("user")) and text_of(value.get("server")):
            text = f"{value['user']}@{value['server']}"
        value = text
    return normalise(value) if isinstance(value, str) and value else None


def stanza_of(value: object) -> str | None:
    """Return the bare stanza id from a bare or serialized id, or from a message key object."""
    if isinstance(value, dict):
        value = pick(value, "id", "ID", "_serialized", "$1")
    return parse_message_id(value).stanza if isinstance(value, str) and value else None


def bytes_text(value: object) -> str | None:
    """Return binary data as base64 text: a base64 string (GOWS, WEBJS) or NOWEB's Buffer."""
    if isinstance(value, dict):
        value = value.get("data")
    return text_of(value)


def json_text(value: Json) -> str | None:
    """Return an object as JSON text without what is null or empty; None when nothing is left."""
    kept = {k: v for k, v in value.items() if v is not None and v != "" and v != []}
    return msgspec.json.encode(kept).decode() if kept else None


def unwrap(message: Json) -> tuple[str | None, Any, list[str]]:
    """Walk through the wrappers of a NOWEB or GOWS message.

    Returns:
        The content key (None if there is no content), the content, and the wrappers on the way.
    """
    wrappers: list[str] = []
    while len(wrappers) < 16 and not WRAPPERS.isdisjoint(message):
        wrapper = next((key for key in message if key in WRAPPERS), None)
        inner = object_of(message.get(wrapper)).get("message") if wrapper else None
        if wrapper is None or (not isinstance(inner, dict) and wrapper.startswith("pollCreation")):
            break
        wrappers.append(wrapper)
        message = object_of(inner)
    for key, value in message.items():
        if key not in _NO_CONTENT and value is not None:
            return key, value, wrappers
    return None, None, wrappers


def kind_of_content(key: str | None, content: Json, wrappers: Iterable[str]) -> str:
    """Name the kind of a NOWEB or GOWS message after unwrapping."""
    if key is None:
        return "view_once_empty" if _VIEW_ONCE.intersection(wrappers) else "unknown:empty"
    if key.startswith("pollCreationMessage"):
        return "poll"
    kind = KIND_BY_CONTENT.get(key)
    if kind == "video" and content.get("gifPlayback") is True:
        return "gif"
    if kind == "audio" and pick(content, "ptt", "PTT"):
        return "voice"
    if kind == "protocol" and content.get("type") in (0, "REVOKE", None):
        return "revoked" if content.get("key") else "protocol"
    return kind or f"unknown:{key}"


def kind_of_type(data: Json) -> str | None:
    """Name the kind of a WEBJS or WPP message; None when the row does not say."""
    name = text_of(data.get("type"))
    if name is None:
        return None
    kind = KIND_BY_TYPE.get(name)
    if kind == "video" and data.get("isGif") is True:
        return "gif"
    if kind == "location" and (data.get("isLive") is True or data.get("shareDuration")):
        return "live_location"
    return kind or f"unknown:{name}"


_BLOB = re.compile(r"[A-Za-z0-9+/_-]{200,}={0,2}")


def looks_like_blob(text: str) -> bool:
    """Say whether a body is base64 data: WEBJS puts thumbnails where the text should be."""
    return text.startswith(("/9j/", "iVBORw0KGgo", "UklGR")) or bool(_BLOB.fullmatch(text))


def ad_of(context: Json, data: Json) -> str | None:
    """Return what is known of the advertisement a message answers, as JSON text.

    Args:
        context: `contextInfo` of NOWEB or GOWS.
        data: `_data`, where WEBJS keeps `ctwaContext`.
    """
    reply = object_of(pick(context, "externalAdReply"))
    click = object_of(data.get("ctwaContext"))
    if not reply and not click:
        return None
    names = {
        "source_type": ("sourceType",),
        "source_id": ("sourceId", "sourceID"),
        "source_url": ("sourceUrl", "sourceURL"),
        "source_app": ("sourceApp",),
        "ctwa_clid": ("ctwaClid", "ctwaClickId"),
        "title": ("title",),
        "body": ("body", "description"),
        "media_url": ("mediaUrl", "mediaURL"),
    }
    found: Json = {name: text_of(pick({**click, **reply}, *keys)) for name, keys in names.items()}
    for name, key in (
        ("conversion_source", "conversionSource"),
        ("conversion_data", "conversionData"),
        ("conversion_delay_seconds", "conversionDelaySeconds"),
        ("entry_point_conversion_source", "entryPointConversionSource"),
        ("entry_point_conversion_app", "entryPointConversionApp"),
        ("entry_point_conversion_external_source", "entryPointConversionExternalSource"),
        ("entry_point_conversion_external_medium", "entryPointConversionExternalMedium"),
    ):
        value = pick(context, key) or click.get(key)
        found[name] = bytes_text(value) or integer(value)
    return json_text(found)


def reactions_of(data: Json) -> list[Json]:
    """Return NOWEB's reactions as `{sender, from_me, text, at}`, `at` in seconds.

    `sender` is None for our own reaction and where WAHA does not say; an empty text is a reaction
    taken back and is left out.
    """
    found: list[Json] = []
    for reaction in map(object_of, list_of(data.get("reactions"))):
        key = object_of(reaction.get("key"))
        own = key.get("fromMe") is True
        sender = address_of(key.get("participant")) or (
            None if own else address_of(key.get("remoteJid"))
        )
        if text := text_of(reaction.get("text")):
            at = seconds_of(reaction.get("senderTimestampMs"))
            found.append({"sender": sender, "from_me": own, "text": text, "at": at})
    return found


def _poll(c: Json) -> Json:
    options = list_of(pick(c, "options", "pollOptions"))
    names = [text_of(pick(object_of(o), "optionName", "name")) for o in options]
    return {
        "name": pick(c, "name", "pollName"),
        "options": [n for n in names if n],
        "selectable": integer(pick(c, "selectableOptionsCount", "pollSelectableOptionsCount")),
    }


def _event(c: Json) -> Json:
    return {
        "name": pick(c, "name", "eventName"),
        "description": pick(c, "description", "eventDescription"),
        "start": integer(pick(c, "startTime", "eventStartTime")),
        "end": integer(pick(c, "endTime", "eventEndTime")),
        "link": pick(c, "joinLink", "eventJoinLink"),
        "canceled": pick(c, "isCanceled", "isEventCanceled") or None,
        "place": text_of(object_of(pick(c, "location", "eventLocation")).get("name")),
    }


def _list(c: Json) -> Json:
    c = {**c, **object_of(c.get("list"))}
    return {
        "title": c.get("title"),
        "description": c.get("description"),
        "button": c.get("buttonText"),
        "footer": c.get("footerText"),
        "sections": [
            {
                "title": text_of(section.get("title")),
                "rows": [
                    {
                        "id": text_of(pick(row, "rowId", "rowID")),
                        "title": text_of(row.get("title")),
                        "description": text_of(row.get("description")),
                    }
                    for row in map(object_of, list_of(section.get("rows")))
                ],
            }
            for section in map(object_of, list_of(c.get("sections")))
        ],
    }


def _list_response(c: Json) -> Json:
    c = {**c, **object_of(c.get("listResponse"))}
    reply = object_of(c.get("singleSelectReply"))
    return {
        "id": pick(reply, "selectedRowId", "selectedRowID") or pick(c, "selectedRowId"),
        "text": c.get("title"),
        "description": c.get("description"),
    }


def _buttons(c: Json) -> Json:
    buttons = [object_of(b) for b in list_of(pick(c, "buttons", "dynamicReplyButtons"))]
    return {
        "text": pick(c, "contentText"),
        "footer": pick(c, "footerText"),
        "buttons": [
            {
                "id": text_of(pick(b, "buttonId", "buttonID")),
                "text": text_of(object_of(b.get("buttonText")).get("displayText")),
            }
            for b in buttons
        ],
    }


def _answer(c: Json) -> Json:
    names_id = ("selectedButtonId", "selectedButtonID", "selectedId", "selectedID")
    return {
        "id": pick(c, *names_id),
        "text": pick(c, "selectedDisplayText"),
        "index": integer(pick(c, "selectedIndex")),
    }


def _group_invite(c: Json) -> Json:
    return {
        "group": address_of(pick(c, "groupJid", "groupJID", "inviteGrp")),
        "name": pick(c, "groupName", "inviteGrpName"),
        "code": pick(c, "inviteCode"),
        "expires_at": integer(pick(c, "inviteExpiration", "inviteCodeExp")),
        "text": pick(c, "caption"),
    }


def _order(c: Json) -> Json:
    return {
        "order": pick(c, "orderId", "orderID"),
        "title": pick(c, "orderTitle"),
        "items": integer(pick(c, "itemCount")),
        "total_1000": integer(pick(c, "totalAmount1000")),
        "currency": pick(c, "totalCurrencyCode"),
        "text": pick(c, "message"),
    }


def _product(c: Json) -> Json:
    product = object_of(c.get("product")) or c
    return {
        "product": pick(product, "productId", "productID"),
        "title": pick(product, "title"),
        "description": pick(product, "description"),
        "price_1000": integer(pick(product, "priceAmount1000")),
        "currency": pick(product, "currencyCode"),
        "url": pick(product, "url"),
        "text": pick(c, "body"),
    }


def _interactive(c: Json) -> Json:
    flow = object_of(c.get("nativeFlowMessage"))
    answer = object_of(c.get("nativeFlowResponseMessage"))
    return {
        "title": text_of(object_of(c.get("header")).get("title")),
        "text": text_of(object_of(c.get("body")).get("text")),
        "footer": text_of(object_of(c.get("footer")).get("text")),
        "buttons": [
            {"name": text_of(b.get("name")), "params": _params(b)}
            for b in map(object_of, list_of(flow.get("buttons")))
        ],
        "answer": pick(answer, "name"),
        "answer_params": _params(answer),
    }


def _params(button: Json) -> str | None:
    return text_of(pick(button, "buttonParamsJson", "buttonParamsJSON", "paramsJson", "paramsJSON"))


def _contact(c: Json) -> Json:
    return {"name": pick(c, "displayName", "vcardFormattedName")}


def _live(c: Json) -> Json:
    return {
        "text": pick(c, "caption", "comment"),
        "accuracy_m": real(pick(c, "accuracyInMeters")),
        "sequence": integer(pick(c, "sequenceNumber")),
    }


def _document(c: Json) -> Json:
    return {"pages": integer(pick(c, "pageCount"))}


def _call(c: Json) -> Json:
    return {
        "outcome": pick(c, "callOutcome", "subtype"),
        "video": pick(c, "isVideoCall", "isVideo"),
        "seconds": integer(pick(c, "callDuration", "durationSecs")),
    }


def _notification(c: Json) -> Json:
    people = [address_of(r) for r in list_of(c.get("recipients"))]
    return {
        "type": c.get("type"),
        "subtype": c.get("subtype"),
        "author": address_of(c.get("author")),
        "recipients": [p for p in people if p],
    }


def _album(c: Json) -> Json:
    return {
        "images": integer(pick(c, "expectedImageCount")),
        "videos": integer(pick(c, "expectedVideoCount")),
    }


def _revoked(c: Json) -> Json:
    return {"subtype": c.get("subtype"), "at": integer(c.get("revokeTimestamp"))}


_DETAILS: dict[str, Callable[[Json], Json]] = {
    "poll": _poll,
    "event": _event,
    "list": _list,
    "list_response": _list_response,
    "buttons": _buttons,
    "buttons_response": _answer,
    "template_reply": _answer,
    "group_invite": _group_invite,
    "order": _order,
    "product": _product,
    "interactive": _interactive,
    "contact": _contact,
    "contacts": _contact,
    "live_location": _live,
    "document": _document,
    "call": _call,
    "notification": _notification,
    "album": _album,
    "revoked": _revoked,
}


def details_of(kind: str, content: Json, reactions: list[Json]) -> str | None:
    """Return what only this kind has, and the reactions, as JSON text; None when there is nothing.

    Args:
        kind: the engine-neutral kind.
        content: the unwrapped content (NOWEB, GOWS) or `_data` (WEBJS, WPP).
        reactions: from `reactions_of`.
    """
    build = _DETAILS.get(kind)
    if build is None and not reactions:
        return None
    found = {k: _plain(k, v) for k, v in build(content).items()} if build else {}
    if reactions:
        found["reactions"] = reactions
    return json_text(found)


# The lists that the builders above make themselves; a list anywhere else is a broken field.
_LISTS = frozenset({"options", "sections", "buttons", "recipients"})


def _plain(name: str, value: Any) -> Any:
    """Keep a value that its field may have; a row may hold an object where a text belongs."""
    if isinstance(value, int) and not isinstance(value, bool):
        return integer(value)
    if isinstance(value, str | bool | float) or (isinstance(value, list) and name in _LISTS):
        return value
    return None
