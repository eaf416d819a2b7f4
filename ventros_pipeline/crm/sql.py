"""Finds and reads the project's SQL: numbered migrations, and the loader's statements.

What belongs here: where the files are, their text, their checksums. What does not: running them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_NUMBERED = re.compile(r"(\d{4})_\w+\.sql")


@dataclass(frozen=True)
class SqlFile:
    """One numbered migration."""

    name: str
    revision: str
    sha256: str


def sql_dir() -> Path:
    """Return the folder of the SQL files: in a wheel inside the package, in a checkout beside it.

    The package comes first: beside an installed package lies `site-packages`, where a folder called
    `sql` would be somebody else's.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    for folder in (_PACKAGE / "sql", _PACKAGE.parent / "sql"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f"No SQL files beside or inside {_PACKAGE}: the installation is incomplete, install it anew"
    )


def read_sql(name: str) -> str:
    """Return the text of one file, for example `0002_history_sync.sql` or `load/stage.sql`."""
    return _read(sql_dir() / name)


def migrations() -> tuple[SqlFile, ...]:
    """Return the numbered files in the order in which they are applied."""
    return tuple(
        SqlFile(path.name, match[1], sha256(_read(path)))
        for path in sorted(sql_dir().iterdir())
        if (match := _NUMBERED.fullmatch(path.name))
    )


def sha256(sql: str) -> str:
    """Return the checksum of a file's text, the same whatever line ends the checkout has."""
    return hashlib.sha256(sql.encode()).hexdigest()


@cache
def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
