"""Media files of an account, which holds none: made up, the same ones each time.

Belongs here: the `media` object of a message and the bytes behind its link. Does not belong here:
when an engine shows them (`engine`) and how they are sent (`server`).
"""

import hashlib
from typing import Any

from ventros_pipeline.replay.stored import Json, Stored

BASE_URL = "http://localhost:3000"
"""What WAHA thinks its own address is, until somebody tells it."""
LARGEST = 64 * 1024
_DEFAULT_SIZE = 4096
_EXTENSIONS = {
    "image/jpeg": "jpeg",
    "image/webp": "webp",
    "video/mp4": "mp4",
    "audio/ogg": "oga",
    "audio/mpeg": "mp3",
    "application/pdf": "pdf",
}


def is_expired(stanza_id: str) -> bool:
    """Tell whether WhatsApp has the file no more; every tenth is gone."""
    return int.from_bytes(hashlib.sha256(stanza_id.encode()).digest()[:8]) % 10 == 0


def media(row: Stored, session: str) -> Json:
    """Return what WAHA makes of a download, whether it went well or not."""
    filename = row.node.get("fileName") if row.kind == "document" else None
    found: Json = {"url": None, "filename": filename, "mimetype": _mimetype(row)}
    if is_expired(row.stanza_id):
        gone = {"statusCode": 410, "error": "Gone", "message": "Failed to fetch stream"}
        output = {"statusCode": 410, "payload": gone, "headers": {}}
        return found | {"error": {"isBoom": True, "isServer": False, "output": output}}
    return found | {"url": f"{BASE_URL}/api/files/{session}/{name(row)}"}


def name(row: Stored) -> str:
    """Return the name of a message's file."""
    mimetype = _mimetype(row).partition(";")[0]
    return f"{row.stanza_id}.{_EXTENSIONS.get(mimetype, 'bin')}"


def content(row: Stored) -> tuple[bytes, str]:
    """Return a file's bytes, as many as the message declares up to `LARGEST`, and its type."""
    size = min(_size(row.node.get("fileLength")), LARGEST)
    return hashlib.shake_256(row.stanza_id.encode()).digest(size), _mimetype(row)


def _mimetype(row: Stored) -> str:
    return str(row.node.get("mimetype") or "application/octet-stream")


def _size(value: Any) -> int:
    text = str(value)
    return int(text) if text.isdecimal() else _DEFAULT_SIZE
