"""JSON and answers the way WAHA's Node server writes them.

Belongs here: the JSON dialect of `JSON.stringify`, ETags, error bodies. Does not belong here:
what an endpoint answers (`noweb`), how it is sent (`server`).
"""

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

_SURROGATE = re.compile("[\ud800-\udfff]")


def js_dumps(value: Any) -> bytes:
    r"""Encode as `JSON.stringify` does: no spaces, raw UTF-8, lone surrogates as ``\udXXX``."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return _SURROGATE.sub(lambda hit: f"\\u{ord(hit[0]):04x}", text).encode()


def join_array(elements: list[bytes]) -> bytes:
    """Build a JSON array out of elements that are JSON text already."""
    return b"[" + b",".join(elements) + b"]"


def etag(body: bytes) -> str:
    """Return the weak ETag Express computes for a body."""
    digest = base64.b64encode(hashlib.sha1(body, usedforsecurity=False).digest())
    return f'W/"{len(body):x}-{digest[:27].decode()}"'


@dataclass(frozen=True)
class Answer:
    """One HTTP answer before it is sent."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Any, status: int = 200) -> "Answer":
        """Answer with a value as JSON."""
        return cls(js_dumps(value), status)


class RefusalError(Exception):
    """An answer of WAHA that is not 200 and carries a body of its own."""

    def __init__(self, status: int, payload: dict[str, Any]) -> None:
        super().__init__(f"{status} {payload.get('message') or payload.get('error')}")
        self.status = status
        self.payload = payload


class CrashError(Exception):
    """An exception inside WAHA: answered as a 500 that echoes it."""

    def __init__(self, message: str, name: str = "Error", **details: Any) -> None:
        super().__init__(message)
        self.exception = {
            "message": message,
            **details,
            "name": name,
            "stack": f"{name}: {message}",
        }


_REASONS = {
    400: "Bad Request",
    404: "Not Found",
    422: "Unprocessable Entity",
    501: "Not Implemented",
}


def refuse(status: int, message: str | list[str]) -> RefusalError:
    """Build the usual error of NestJS; validation errors carry a list of messages."""
    return RefusalError(
        status, {"message": message, "error": _REASONS[status], "statusCode": status}
    )


def unauthorized() -> RefusalError:
    """Build the 401 of WAHA, which has no `error` field."""
    return RefusalError(401, {"message": "Unauthorized", "statusCode": 401})


def sql_error(sql: str, code: str, errno: int, detail: str) -> CrashError:
    """Build the 500 that leaks a failed SQL statement."""
    return CrashError(f"{sql} - {code}: {detail}", errno=errno, code=code)
