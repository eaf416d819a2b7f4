"""The job `incremental_sync`: a pass over each of some channels, and what the UI is told of it.

What belongs here: channel after channel, and metadata. What does not: what a pass reads
(`syncing.py`), and which channels are worth one (`probing.py`).
"""

from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from ventros_pipeline.crm import sync
from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.checks import PROOFS, TIMES_KEPT, Finding, Proof, prove
from ventros_pipeline.crm.ledger import COUNTS
from ventros_pipeline.metadata import row_count, sample_table
from ventros_pipeline.partitions import partition_key
from ventros_pipeline.proving import prove_times_kept
from ventros_pipeline.resources import Pipeline
from ventros_pipeline.syncing import Synced
from ventros_pipeline.syncing import sync as sync_channel

INCREMENTAL_SYNC = "incremental_sync"
SKIPPED = "skipped: another run reads or loads it just now"


class SyncConfig(dg.Config):
    """Which channels are brought up to date, and how thoroughly."""

    channels: list[str] = Field(
        default=[], description="Keys of channels; all that were ever imported if empty."
    )
    reread_days: int = Field(
        default=0,
        ge=0,
        le=366,
        description="Last days that are read again for acks, edits and revokes.",
    )


@dg.op
def sync_channels(
    context: dg.OpExecutionContext, config: SyncConfig, pipeline: Pipeline
) -> Iterator[dg.AssetMaterialization | dg.Output[None]]:
    """Read what is new and what is due of each channel; one that fails keeps no other waiting."""
    now = pipeline.now()
    table: list[dict[str, Any]] = []
    failures: list[str] = []
    keys = config.channels or [one.channel.key for one in sync.candidates(pipeline.engine, now)]
    for key in keys:
        try:
            synced = _sync(context, pipeline, key, config.reread_days)
        except dg.Failure as failure:
            if failure.metadata["error"].value != "ChannelBusyError":
                failures.append(str(failure.description))
                continue
            synced = Synced(notes=(SKIPPED,))
        yield from _told(key, synced)
        problems = _prove(pipeline, pipeline.channel(key), synced, context.run_id)
        for problem in problems:
            pipeline.note_failure(key, context.run_id, problem)
        failures += [f"Channel {key}: {problem}" for problem in problems]
        table.append(_line(key, synced))
    metadata: dict[str, Any] = {"channels": sample_table(table), "failed": len(failures)}
    if failures:
        raise dg.Failure("\n".join(failures), metadata=metadata, allow_retries=False)
    yield dg.Output(None, metadata=metadata)


@dg.job(
    name=INCREMENTAL_SYNC,
    description="Brings channels up to date: new and late messages, acks, edits, revokes, and days "
    "that may still grow. What was never imported is left alone.",
)
def incremental_sync() -> None:
    """Run a pass over the channels."""
    sync_channels()


def _sync(context: dg.OpExecutionContext, pipeline: Pipeline, key: str, reread_days: int) -> Synced:
    today = [pipeline.now().date()]
    with pipeline.importing(key, context.run_id, today, last_step=True, wait=0) as importer:
        return sync_channel(importer, reread_days=reread_days)


def _told(key: str, synced: Synced) -> Iterator[dg.AssetMaterialization]:
    """Let the pages of both assets show the days of which rows have changed.

    To be yielded, for what is only logged is lost when the op fails.
    """
    for day, counts in synced.changed.items():
        partition = partition_key(key, day)
        loaded = counts["seen"] - sum(
            counts[name] for name in ("filtered", "duplicate", "quarantined")
        )
        said = {**row_count(loaded), **{name: counts[name] for name in COUNTS}}
        for asset, metadata in (
            ("raw_messages", row_count(counts["seen"])),
            ("crm_messages", said),
        ):
            yield dg.AssetMaterialization(asset, partition=partition, metadata=metadata)


def _prove(pipeline: Pipeline, channel: Channel, synced: Synced, run_id: str) -> list[str]:
    """Ask the checks of `crm_messages` where anything has changed; return what does not hold."""
    days = sorted(synced.changed)
    if not days:
        return []
    findings: Iterable[tuple[Proof, Finding]] = [
        *((proof, prove(pipeline.engine, channel, proof, run_id, days)) for proof in PROOFS),
        (TIMES_KEPT, prove_times_kept(pipeline.engine, pipeline.archive, channel, days)),
    ]
    return [proof.told(found) for proof, found in findings if found.found]


def _line(key: str, synced: Synced) -> dict[str, Any]:
    return {
        "channel": key,
        "inserted": synced.total("inserted"),
        "updated": synced.total("updated"),
        "days_read": synced.days_read,
        "days_quiet": synced.days_quiet,
        "requests": synced.requests,
        "note": " ".join(synced.notes),
    }
