"""Log lines: what happened, on which channel, in which run, on which days; never what was written.

What belongs here: how an event and its facts become a line, and where lines go. What does not: what
is worth a line, which is the business of the room where it happens.

A fact is a number, a date, an id, or a word of the code's own. Text from outside is not shown even
where somebody passes it by mistake, and of an exception only its class and place are: its text may
quote a row. Runs of Dagster take the same lines into their event log (`deploy/dagster.yaml`).
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal, TextIO
from uuid import UUID

ROOT = "ventros_pipeline"
Fact = str | int | float | date | UUID | None
# What other libraries write below this level quotes statements, addresses and errors.
_LEVELS_OF_OTHERS = {
    **dict.fromkeys(("sqlalchemy", "psycopg", "httpx", "httpcore", "alembic"), logging.WARNING),
    # Each retry is told by the client that makes it.
    "stamina": logging.ERROR,
}
_WORD = re.compile(r"[A-Za-z0-9_.:/{}+-]{1,120}")
_HIDDEN = "(hidden)"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True)
class Log:
    """Writes events of one part of the project, with what is known of all of them.

    Attributes:
        logger: of the standard library.
        known: facts that stand in each line.
    """

    logger: logging.Logger
    known: Mapping[str, Fact] = field(default_factory=dict)

    def about(self, **known: Fact) -> Log:
        """Return the same log with further facts in each line."""
        return Log(self.logger, {**self.known, **known})

    def info(self, event: str, **facts: Fact) -> None:
        """Write an event that needs nobody."""
        self._write(logging.INFO, event, facts)

    def warning(self, event: str, **facts: Fact) -> None:
        """Write an event that somebody may want to look at."""
        self._write(logging.WARNING, event, facts)

    def _write(self, level: int, event: str, facts: Mapping[str, Fact]) -> None:
        if not self.logger.isEnabledFor(level):
            return
        shown = {name: _shown(value) for name, value in {**self.known, **facts}.items()}
        told = {name: value for name, value in shown.items() if value is not None}
        line = " ".join([event, *(f"{name}={value}" for name, value in told.items())])
        # The line is an argument: a `%` in it would be a format.
        self.logger.log(level, "%s", line, extra={"ventros_event": event, "ventros_facts": told})


def log_of(part: str, **known: Fact) -> Log:
    """Return the log of one part of the project.

    Args:
        part: the last name of its logger, for example `waha`.
        known: facts that stand in each line.
    """
    return Log(logging.getLogger(f"{ROOT}.{part}"), known)


def configure(
    shape: Literal["human", "json"], level: str, stream: TextIO | None = None
) -> logging.Handler:
    """Let this process write lines, one way only; a second call takes the place of the first.

    Args:
        shape: for a person, or a JSON object each.
        level: from which level on.
        stream: standard error if omitted, as it is when a line is written.
    """
    handler = _Lines(stream)
    handler.setLevel(level)
    handler.setFormatter(_Json() if shape == "json" else _Human())
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Lines)]:
        root.removeHandler(old)
    root.addHandler(handler)
    # Runs of Dagster in this process may want more than the terminal does.
    logging.getLogger(ROOT).setLevel(min(handler.level, logging.INFO))
    for name, least in _LEVELS_OF_OTHERS.items():
        logging.getLogger(name).setLevel(least)
    return handler


def _shown(value: Fact) -> str | int | float | None:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, str):
        return value if _WORD.fullmatch(value) else _HIDDEN
    return str(value)


class _Lines(logging.Handler):
    def __init__(self, stream: TextIO | None) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), file=self._stream or sys.stderr, flush=True)
        except Exception:  # noqa: BLE001 - a line that cannot be written must not end the work
            self.handleError(record)


class _Human(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        # A line break from outside would begin a line of its own.
        said = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", record.getMessage())
        parts = [_moment(record), record.levelname, said]
        return " ".join([*parts, *(f"{n}={v}" for n, v in _error(record).items())])


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told = {
            "at": _moment(record),
            "level": record.levelname,
            "logger": record.name,
            "event": getattr(record, "ventros_event", None) or record.getMessage(),
            **getattr(record, "ventros_facts", {}),
            **_error(record),
        }
        return json.dumps(told, ensure_ascii=False)


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _error(record: logging.LogRecord) -> dict[str, str]:
    """Return the class and the place of an exception that a record carries."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return {}
    told = {"error": type(error).__name__}
    if frames := traceback.extract_tb(error.__traceback__):
        told["where"] = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
    return told
