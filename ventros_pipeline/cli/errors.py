"""How a command ends: exit 0 done, 1 failed, 2 misused, and a sentence for what is wrong.

What belongs here: turning exceptions into sentences. What does not: the sentences themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from ventros_pipeline import console
from ventros_pipeline.catalogue import PAGE, entry_of


@contextmanager
def errors_in_words() -> Iterator[None]:
    """Turn the project's own errors into a sentence and exit code 1; a bug keeps its traceback."""
    _tell_retries()
    try:
        yield
    except ValidationError as error:
        # Only the settings are validated so, and the value that is wrong may be a password.
        for problem in error.errors(include_input=False, include_url=False):
            names = "".join(f"VENTROS_{str(name).upper()}: " for name in problem["loc"])
            console.fail(names + problem["msg"].removeprefix("Value error, "))
        sys.exit(1)
    except Exception as error:
        ours = _ours(error)
        if ours is None:
            raise
        from ventros_pipeline.planning import PlanError

        entry = entry_of(ours)
        console.fail(str(ours), see=f"{entry.code} in {PAGE}" if entry else "")
        sys.exit(2 if isinstance(ours, PlanError) else 1)


def _ours(error: Exception) -> Exception | None:
    """Return an error that has a sentence; None for a bug, which keeps its traceback."""
    if type(error).__module__.startswith("ventros_pipeline"):
        return error
    from ventros_pipeline.crm.database import timed_out

    return timed_out(error)


def _tell_retries() -> None:
    """Say each retry in a sentence; stamina itself writes to standard output."""
    from stamina.instrumentation import RetryDetails, set_on_retry_hooks

    def say(details: RetryDetails) -> None:
        console.say(f"[dim]WAHA did not answer; trying again in {details.wait_for:.0f} s[/]")

    set_on_retry_hooks([say])
