"""Payloads at rest: sealed when `VENTROS_QUARANTINE_KEY` is set, as they are when it is not.

What belongs here: sealing a text and opening it again. What does not: which texts are kept
(`load.py`), and who may read them.

Several keys may be set, for rotation: the first one seals, any of them opens. What was kept before
a key was set passes through as it is.
"""

from __future__ import annotations

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from ventros_pipeline.settings import get_settings

SEALED, PLAIN = "sealed:1:", "plain:1:"


class SealError(Exception):
    """A payload cannot be opened; the message says what to do."""


def seal(text: str) -> str:
    """Return a text as it is to be kept."""
    if keys := _keys():
        return SEALED + keys.encrypt(text.encode("utf-8", "surrogatepass")).decode("ascii")
    # A row of WAHA may hold anything, and must not be taken for sealed.
    return PLAIN + text if text.startswith((SEALED, PLAIN)) else text


def open(text: str) -> str:  # noqa: A001 -- the opposite of `seal`, and never imported by itself
    """Return a kept text as it was.

    Raises:
        SealError: none of the keys opens it.
    """
    if text.startswith(PLAIN):
        return text.removeprefix(PLAIN)
    if not text.startswith(SEALED):
        return text
    keys = _keys()
    if keys is None:
        raise SealError(
            "this payload is sealed and VENTROS_QUARANTINE_KEY is not set; set the key that it was "
            "sealed with"
        )
    try:
        return keys.decrypt(text.removeprefix(SEALED)).decode("utf-8", "surrogatepass")
    except InvalidToken:
        raise SealError(
            "none of the keys in VENTROS_QUARANTINE_KEY opens this payload; append the key that it "
            "was sealed with, after a comma"
        ) from None


def _keys() -> MultiFernet | None:
    return _fernet(tuple(get_settings().quarantine_keys))


@lru_cache(maxsize=4)
def _fernet(keys: tuple[bytes, ...]) -> MultiFernet | None:
    fernets = [Fernet(base64.urlsafe_b64encode(key)) for key in keys]
    return MultiFernet(fernets) if fernets else None
