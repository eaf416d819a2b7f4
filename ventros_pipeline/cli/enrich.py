"""`ventros enrich`: requests to the CRM to enrich imported media, from a terminal.

What belongs here: arguments, and how an estimate is shown. What does not: which media, to whom and
at what price (`transform/enrichment.py`), and the request itself (`crm/enrichment.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ventros_pipeline import console
from ventros_pipeline.cli.shared import ChannelKey, Json, open_database, read_settings
from ventros_pipeline.transform.enrichment import CONTEXTS, DEFAULT_CONTEXT, KINDS

if TYPE_CHECKING:
    from ventros_pipeline.crm.enrichment import Estimate

NOTHING_ASKED = "nothing was asked for; --yes asks the CRM for these"


def enrich(
    channel: ChannelKey,
    max_messages: Annotated[int, typer.Option(min=1, help="Most messages, newest first.")] = 100,
    max_usd: Annotated[
        float, typer.Option(min=0, help="Most USD; what has no known price is left out.")
    ] = 1.0,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            callback=lambda given: _known(given, KINDS),
            help=f"Content type, of {', '.join(KINDS)}; may be given several times. Those that the "
            "channel has on if omitted, and where it says nothing all but video.",
        ),
    ] = None,
    context: Annotated[
        str,
        typer.Option(
            callback=lambda given: _known([given], CONTEXTS)[0],
            help=f"What images are read for: {', '.join(CONTEXTS)}.",
        ),
    ] = DEFAULT_CONTEXT,
    outgoing: Annotated[
        bool, typer.Option("--outgoing", help="Media that we sent ourselves, too.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ask for it; else only say the cost.")] = False,
    as_json: Json = False,
) -> None:
    """Say what enriching a channel's imported media costs; with --yes, ask the CRM for it."""
    from uuid import uuid4

    from ventros_pipeline.crm import enrichment
    from ventros_pipeline.crm.channels import get_channel

    settings = read_settings()
    order = enrichment.Order(
        prices=settings.enrichment_prices,
        media_url=settings.media_url,
        kinds=kinds or (),
        context=context,
        outgoing=outgoing,
        max_messages=max_messages,
        max_usd=max_usd,
    )
    with open_database(migrated=True) as engine:
        found = get_channel(engine, channel)
        if yes:
            said = enrichment.enrich(engine, found, order, str(uuid4()))
        else:
            said = enrichment.estimate(engine, found, order)
    console.result(
        {"channel": found.key, "asked": yes, **said.as_json()},
        as_json=as_json,
        show=lambda: _show(said, asked=yes),
    )


def _known(given: Sequence[str] | None, words: Sequence[str]) -> Sequence[str]:
    for word in given or ():
        if word not in words:
            raise typer.BadParameter(f"{word!r} is none of {', '.join(words)}")
    return given or ()


def _show(said: Estimate, *, asked: bool) -> None:
    verb = "asked for" if asked else "fit the budget"
    console.table(
        f"{said.messages:,} of {said.possible_messages:,} messages {verb}: {said.usd:,.2f} of "
        f"{said.possible_usd:,.2f} USD",
        ("kind", "by", "outcome", "messages", "USD"),
        [
            (line["kind"], line["provider"] or "-", line["outcome"], line["messages"], line["usd"])
            for line in said.lines
        ],
    )
    for note in said.notes:
        console.say(note)
    if not asked and said.messages:
        console.say(NOTHING_ASKED)
