"""What a failed step says: what failed, on which channel and days, what was kept, what to do.

What belongs here: the words, the kinds of failure, and whether trying again can help. What does
not: how an error is recognised, which is the business of the room that raises it, and how often a
plan tries again (`crm/plans.py`).
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import dagster as dg
import psycopg
from sqlalchemy.exc import OperationalError

from ventros_pipeline.crm.channels import ChannelError
from ventros_pipeline.crm.database import DatabaseError, DatabaseTimeoutError
from ventros_pipeline.crm.lifecycle import AlreadyImportingError, LifecycleError
from ventros_pipeline.crm.load import ConcurrentWriteError
from ventros_pipeline.crm.plans import CONFIGURATION, NOT_READY, POISON, TRANSIENT
from ventros_pipeline.crm.turns import ChannelBusyError
from ventros_pipeline.dayfiles import NewerArchiveError
from ventros_pipeline.settings import SettingsError
from ventros_pipeline.stores import ArchiveRefusedError, ArchiveUnreachableError
from ventros_pipeline.variables import SecretFileError
from ventros_pipeline.waha.errors import (
    WahaConfigurationError,
    WahaGarbledError,
    WahaNotReadyError,
    WahaTransientError,
    WahaUnsupportedError,
)

# The first line that fits an error is its kind. What fits none fails the same way again: the days
# themselves cannot be read or loaded.
KINDS: tuple[tuple[type[Exception], str], ...] = (
    (WahaNotReadyError, NOT_READY),
    (WahaConfigurationError, CONFIGURATION),
    (WahaUnsupportedError, CONFIGURATION),
    (WahaTransientError, TRANSIENT),
    (WahaGarbledError, TRANSIENT),
    (AlreadyImportingError, TRANSIENT),
    (ChannelBusyError, TRANSIENT),
    (ConcurrentWriteError, TRANSIENT),
    (OperationalError, TRANSIENT),
    (ArchiveUnreachableError, TRANSIENT),
    (ArchiveRefusedError, CONFIGURATION),
    (NewerArchiveError, CONFIGURATION),
    (LifecycleError, CONFIGURATION),
    (ChannelError, CONFIGURATION),
    (DatabaseTimeoutError, TRANSIENT),
    (DatabaseError, CONFIGURATION),
    (SettingsError, CONFIGURATION),
    (SecretFileError, CONFIGURATION),
)


def kind_of(error: BaseException) -> str:
    """Return what kind of failure an error is: configuration, not_ready, transient or poison."""
    return next((kind for known, kind in KINDS if isinstance(error, known)), POISON)


def explained(
    error: Exception, channel: str, days: Sequence[date], *, page: bool = False
) -> dg.Failure:
    """Return the failure of a step, in words that hold no message text, phone number or key.

    An unexpected error is named by its class and place alone: its text may quote a row. Raise the
    failure `from None`, or Dagster writes the original's text into its event log.
    """
    span = f"{days[0]}" if len(days) == 1 else f"{days[0]} to {days[-1]}"
    known = error.__class__.__module__.startswith("ventros_pipeline")
    said = str(error) if known else f"unexpected {_named(error)}."
    said = said.removeprefix(f"channel {channel}: ")  # It is named already.
    passing = kind_of(error) in (NOT_READY, TRANSIENT)
    advice = (
        "This mostly passes by itself: run the same days again later."
        if passing
        else "Run the same days again once that is mended."
    )
    return dg.Failure(
        description=f"Channel {channel}, {span}: {said.rstrip('.')}. "
        f"What was read or loaded before is kept. {advice}",
        metadata={
            "channel": channel,
            "days": span,
            "error": type(error).__name__,
            "page": page,
            "where": dg.MetadataValue.md(_where(error)),
        },
        allow_retries=passing,
    )


def _named(error: Exception) -> str:
    """Return an error's class, and for the database's own its code and constraint."""
    original = getattr(error, "orig", error)
    if not isinstance(original, psycopg.Error):
        return type(error).__name__
    diagnosis = original.diag
    parts = (original.sqlstate, diagnosis.table_name, diagnosis.constraint_name)
    return " ".join([type(original).__name__, *(part for part in parts if part)])


def _where(error: Exception) -> str:
    """Return the last calls of an error's traceback, without its text."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return "\n".join(f"- `{Path(f.filename).name}:{f.lineno}` {f.name}" for f in frames)
