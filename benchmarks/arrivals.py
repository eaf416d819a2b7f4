"""A message that arrives in a replayed WAHA: what NOWEB answers for a plain text."""

from __future__ import annotations

from typing import Any


def text_message(chat: str, stanza: str, second: int) -> dict[str, Any]:
    """Return a text that somebody wrote to the account.

    Args:
        chat: `5511…@s.whatsapp.net`.
        stanza: the message's own id.
        second: when, epoch.
    """
    address = chat.replace("@s.whatsapp.net", "@c.us")
    return {
        "id": f"false_{address}_{stanza}",
        "timestamp": second,
        "from": address,
        "fromMe": False,
        "source": "app",
        "body": "one more",
        "hasMedia": False,
        "_data": {
            "key": {"remoteJid": chat, "fromMe": False, "id": stanza},
            "message": {"conversation": "one more"},
            "messageTimestamp": second,
        },
    }
