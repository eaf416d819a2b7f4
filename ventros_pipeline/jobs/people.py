"""Jobs that ask WAHA about the people of all channels: their numbers, their pictures."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import dagster as dg
from pydantic import Field

from ventros_pipeline.crm import avatars
from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.sweep import channels_to_sweep
from ventros_pipeline.importer import Importer
from ventros_pipeline.metadata import sample_table
from ventros_pipeline.resources import Pipeline

IDENTITY_SWEEP = "identity_sweep"
CONTACT_AVATARS = "contact_avatars"


class SweepConfig(dg.Config):
    """How much of a sweep is done at once."""

    max_lids: int = Field(
        default=200,
        ge=1,
        le=10_000,
        description="Most LIDs of each channel that WAHA is asked about in one run; the next run "
        "goes on.",
    )


@dg.op
def sweep_people(
    context: dg.OpExecutionContext, config: SweepConfig, pipeline: Pipeline
) -> dg.Output[None]:
    """Ask WAHA for the numbers of people who are known by a LID alone, channel by channel."""
    return _ask_each(
        pipeline,
        context.run_id,
        channels_to_sweep(pipeline.engine),
        lambda importer: asdict(importer.sweep_people(max_lids=config.max_lids)),
    )


@dg.job(
    name=IDENTITY_SWEEP,
    description="Asks WAHA, LID by LID, for numbers that its lists did not name, and merges the "
    "contacts that turn out to be one person.",
)
def identity_sweep() -> None:
    """Run the sweep over all channels."""
    sweep_people()


class AvatarConfig(dg.Config):
    """How many pictures are asked for at once."""

    max_contacts: int = Field(
        default=200,
        ge=1,
        le=10_000,
        description="Most contacts of each channel whose picture WAHA is asked for in one run, "
        "one request each; the next run goes on.",
    )


@dg.op
def ask_for_pictures(
    context: dg.OpExecutionContext, config: AvatarConfig, pipeline: Pipeline
) -> dg.Output[None]:
    """Ask WAHA where the profile pictures of contacts are, channel by channel."""
    return _ask_each(
        pipeline,
        context.run_id,
        avatars.channels_to_ask(pipeline.engine),
        lambda importer: {"found": importer.fetch_avatars(max_contacts=config.max_contacts)},
    )


@dg.job(
    name=CONTACT_AVATARS,
    description="Asks WAHA, contact by contact, where the profile pictures are that the CRM lacks, "
    "longest unasked first. Nothing starts it but a person: WhatsApp notices who looks at many "
    "pictures at once.",
)
def contact_avatars() -> None:
    """Run the questions over all channels."""
    ask_for_pictures()


def _ask_each(
    pipeline: Pipeline,
    run_id: str,
    channels: Sequence[Channel],
    ask: Callable[[Importer], dict[str, Any]],
) -> dg.Output[None]:
    """Ask something of each channel in turn and tell what came of it, and at last who failed."""
    today = [pipeline.now().date()]
    table, failures = [], []
    for channel in channels:
        try:
            # No day is read or loaded, so nobody has to wait for it.
            with pipeline.importing(
                channel.key, run_id, today, last_step=True, wait=None
            ) as importer:
                said = ask(importer)
        except dg.Failure as failure:  # One server that is down keeps no other from being asked.
            failures.append(str(failure.description))
            continue
        table.append({"channel": channel.key, **said, "note": " ".join(importer.notes)})
    metadata: dict[str, Any] = {"channels": sample_table(table), "failed": len(failures)}
    if failures:
        raise dg.Failure("\n".join(failures), metadata=metadata, allow_retries=False)
    return dg.Output(None, metadata=metadata)
