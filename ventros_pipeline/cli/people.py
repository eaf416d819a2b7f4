"""`ventros people`: which addresses are one person, from a terminal.

What belongs here: arguments, and which function each command calls. What does not: the rules, which
are `crm/merging.py`'s and `transform/scoring.py`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ventros_pipeline import console
from ventros_pipeline.cli.shared import ChannelKey, Json, open_database, read_settings

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from ventros_pipeline.crm.channels import Channel
    from ventros_pipeline.crm.merging import Settled
    from ventros_pipeline.transform.scoring import Score

people_app = typer.Typer(no_args_is_help=True, help="Which addresses are one person.")


@people_app.command("score")
def people_score(as_json: Json = False) -> None:
    """Say how the rules of who is who do on labelled pairs of addresses; no database is asked."""
    from dataclasses import asdict

    from ventros_pipeline.transform.scoring import score

    found = score()
    console.result(
        {**asdict(found), "wrong": found.wrong}, as_json=as_json, show=lambda: _show_score(found)
    )


@people_app.command("merges")
def people_merges(
    channel: ChannelKey,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """List which contacts were joined, why, and what moved."""
    from ventros_pipeline.crm.channels import get_channel
    from ventros_pipeline.crm.merging import list_merges

    with open_database(migrated=True) as engine:
        found = list_merges(engine, get_channel(engine, channel), limit=limit)
    rows = [
        (m.merge_id, m.kept, m.absorbed, ", ".join(m.sources), m.at, "undone" if m.undone else "")
        for m in found
    ]
    console.result(
        {"merges": [m.as_json() for m in found]},
        as_json=as_json,
        show=lambda: console.table(
            "Merges", ("merge", "contact", "absorbed", "because of", "at", ""), rows
        ),
    )


@people_app.command("merge")
def people_merge(
    channel: ChannelKey,
    one: Annotated[str, typer.Argument(help="Id of a contact (never its number).")],
    other: Annotated[str, typer.Argument(help="Id of another contact.")],
    as_json: Json = False,
) -> None:
    """Make two contacts one; `ventros people unmerge` takes them apart again."""
    from uuid import uuid4

    from ventros_pipeline.crm.merging import join_contacts

    with open_database(migrated=True) as engine:
        settled = join_contacts(engine, _named_channel(engine, channel), one, other, str(uuid4()))
    _tell_settled(settled, as_json=as_json)


@people_app.command("unmerge")
def people_unmerge(
    channel: ChannelKey,
    merge: Annotated[str, typer.Argument(help="Id of a merge (`ventros people merges`).")],
    as_json: Json = False,
) -> None:
    """Take apart what a merge joined, for good: no evidence joins these addresses again."""
    from uuid import uuid4

    from ventros_pipeline.crm.merging import undo_merge

    with open_database(migrated=True) as engine:
        settled = undo_merge(engine, _named_channel(engine, channel), merge, str(uuid4()))
    _tell_settled(settled, as_json=as_json)


def _show_score(score: Score) -> None:
    console.table(
        f"precision {score.precision:.3f}, recall {score.recall:.3f} on {score.pairs:,} pairs",
        ("kind of pair", "pairs", "right", "missed", "wrongly joined"),
        [(c.case, c.pairs, c.right, c.missed, c.wrongly_joined) for c in score.cases],
    )


def _named_channel(engine: Engine, key: str) -> Channel:
    """Return a channel with the settings' policy for the names of its contacts."""
    from dataclasses import replace

    from ventros_pipeline.crm.channels import get_channel

    return replace(get_channel(engine, key), contact_names=read_settings().contact_names)


def _tell_settled(settled: Settled, *, as_json: bool) -> None:
    console.result(
        {"merged": settled.merged, "split": settled.split},
        as_json=as_json,
        show=lambda: console.say(
            f"{settled.merged} contacts joined, {settled.split} taken apart"
            if settled.merged or settled.split
            else "they are one already; nothing changed"
        ),
    )
