"""Addresses in the forms WAHA's NOWEB engine converts between.

Belongs here: `@c.us` against `@s.whatsapp.net` and what the engine does to anything else. Written
for the replay server alone, so that it checks the importer's own id code instead of sharing it.
"""

_KEPT = ("@g.us", "@lid", "@newsletter", "@broadcast")
_RAW = "@s.whatsapp.net"
_SHOWN = "@c.us"


def to_jid(chat_id: str) -> str:
    """Convert any chat id to the raw form, as the engine does: everything else is a number."""
    if chat_id.endswith(_KEPT):
        return chat_id
    return chat_id.split("@")[0] + _RAW


def to_shown(jid: str) -> str:
    """Convert a raw id to the form of message, overview and contact ids."""
    return jid.removesuffix(_RAW) + _SHOWN if jid.endswith(_RAW) else jid
