"""Secrets from outside: the value of a variable, or the text of the file that `NAME_FILE` names.

What belongs here: the one way in which a secret gets into a process. What does not: which secrets
there are (`settings.py` for ours, the channels for WAHA's), and that nobody shows them.

A file is how containers hand over secrets, and it stays out of the environment, which children
inherit and `docker inspect` shows. It is read again whenever it is asked for, so that a key can be
changed under a process that goes on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

SUFFIX = "_FILE"
# No key is longer; a file that is was named by mistake, and is not read whole.
LARGEST = 64 * 1024


class SecretFileError(Exception):
    """A file with a secret cannot be used; the message names the variable, never what is in it."""


def secret_of(name: str, variables: Mapping[str, str] = os.environ) -> str | None:
    """Return a secret; None where neither the variable nor its file is set.

    Args:
        name: of the variable; `NAME_FILE` names the file.
        variables: where both are looked up.

    Raises:
        SecretFileError: both are set, or the file cannot be read, is empty or is no text.
    """
    value, file = variables.get(name), variables.get(name + SUFFIX)
    if not file:
        return value or None
    if value:
        raise SecretFileError(f"{name} and {name}{SUFFIX} are both set: unset one of them")
    try:
        with Path(file).open("rb") as opened:
            text = opened.read(LARGEST + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise SecretFileError(
            f"the file that {name}{SUFFIX} names cannot be read ({why}): name a file that this "
            "user may read and that holds the secret alone"
        ) from None
    # An editor ends a file with a line break, which no secret has.
    text = text.rstrip("\r\n")
    if not text or len(text) > LARGEST:
        raise SecretFileError(
            f"the file that {name}{SUFFIX} names is {'empty' if not text else 'too large'}: it has "
            "to hold the secret alone"
        )
    return text
