"""`ventros sync` and `ventros coverage`: one pass by hand, and how far each day is known.

What belongs here: their arguments and what they print. What does not: what a pass reads
(`syncing.py`), and what the states of days mean (`crm/coverage.py`).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ventros_pipeline import console
from ventros_pipeline.cli.completion import channel_keys
from ventros_pipeline.cli.quarantine import tell_waiting
from ventros_pipeline.cli.shared import ChannelKey, Json, open_database, read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.engine import Engine

FIGURES = ("inserted", "updated", "days_read", "days_quiet", "requests")


def sync(
    channels: Annotated[
        list[str] | None,
        typer.Argument(
            help="Keys or ids of channels; all that were ever imported if omitted.",
            autocompletion=channel_keys,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring channels up to date: new and late messages, acks, edits and days that may grow."""
    with open_database(migrated=True) as engine:
        lines = _sync(engine, channels or [])
    console.result(
        {"channels": lines},
        as_json=as_json,
        show=lambda: console.table(
            "Channels",
            ("channel", *(name.replace("_", " ") for name in FIGURES), ""),
            [(line["channel"], *(line[name] for name in FIGURES), line["note"]) for line in lines],
        ),
    )


def coverage(
    channel: ChannelKey,
    days: Annotated[bool, typer.Option("--days", help="One line for each day.")] = False,
    as_json: Json = False,
) -> None:
    """Say how far each day of a channel is known, and what of it is still being looked at."""
    from ventros_pipeline.crm.channels import get_channel
    from ventros_pipeline.crm.coverage import list_days
    from ventros_pipeline.crm.ledger import coverage as by_state
    from ventros_pipeline.crm.quarantine import waiting_days

    with open_database(migrated=True) as engine:
        found = get_channel(engine, channel)
        states, known = by_state(engine, found), list_days(engine, found) if days else []
        waiting = waiting_days(engine, found)
    known = [{**day, "quarantined": waiting.get(day["day"], 0)} for day in known]
    value: dict[str, Any] = {
        "channel": found.key,
        "states": [_plain(state) for state in states],
        "quarantined": {str(day): rows for day, rows in waiting.items()},
    }
    if days:
        value["days"] = [_plain(day) for day in known]

    def show() -> None:
        _show_days(found.key, known) if days else _show_states(found.key, states)
        tell_waiting(found.key, waiting)

    console.result(value, as_json=as_json, show=show)


def _sync(engine: Engine, channels: Sequence[str]) -> list[dict[str, Any]]:
    from ventros_pipeline.build import build_defs
    from ventros_pipeline.crm.channels import get_channel
    from ventros_pipeline.instance import open_instance
    from ventros_pipeline.runs import sync_channels

    keys = [get_channel(engine, name).key for name in channels]
    # Dagster repeats on every load that parts of it are in beta; the lock file pins what we use.
    warnings.simplefilter("ignore")
    with open_instance(read_settings()) as instance:
        return sync_channels(build_defs(), instance, keys)


def _show_states(channel: str, states: list[dict[str, Any]]) -> None:
    console.table(
        channel,
        ("state", "days", "first", "last", "rows"),
        [(s["state"], s["days"], s["from_day"], s["to_day"], s["rows"]) for s in states],
    )


def _show_days(channel: str, days: list[dict[str, Any]]) -> None:
    console.table(
        channel,
        ("day", "state", "rows", "in quarantine", "read", "checked", "quiet checks"),
        [
            (
                day["day"],
                day["state"],
                int(day["rows"]),
                day["quarantined"],
                _shown(day["read_at"]),
                _shown(day["checked_at"]),
                day["quiet_checks"],
            )
            for day in days
        ],
    )


def _shown(moment: datetime | None) -> str:
    from datetime import UTC

    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment else "-"


def _plain(line: dict[str, Any]) -> dict[str, Any]:
    """Return a line as JSON has it: numbers stay, days and moments are ISO text."""
    return {
        name: int(value)
        if name in ("rows", "days", "quiet_checks", "quarantined")
        else value.isoformat()
        if hasattr(value, "isoformat")
        else value
        for name, value in line.items()
    }
