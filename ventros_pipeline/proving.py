"""All proofs of a channel at once, over everything that was ever imported.

What belongs here: putting the database's proofs and the archive's together. What does not: the
proofs (`crm/checks.py`), and who asks for them (`jobs/upkeep.py`; a run's own checks are in
`checks/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy.engine import Engine

from ventros_pipeline.archive import Archive
from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.checks import (
    PROOFS,
    TIMES_KEPT,
    Finding,
    Proof,
    prove,
    prove_times,
)
from ventros_pipeline.importer import archived_times, windows_of


def prove_channel(
    engine: Engine, archive: Archive, channel: Channel
) -> list[tuple[Proof, Finding]]:
    """Ask every proof of one channel.

    Raises:
        ArchiveError: a day's file is damaged.
    """
    found = [(proof, prove(engine, channel, proof)) for proof in PROOFS]
    times = prove_times_kept(engine, archive, channel, archive.days(channel.key))
    return [*found, (TIMES_KEPT, times)]


def prove_times_kept(
    engine: Engine, archive: Archive, channel: Channel, days: Sequence[date]
) -> Finding:
    """Compare the CRM's times with the archive's, window by window: memory holds one.

    Raises:
        ArchiveError: a day was never read, or its file is damaged.
    """
    findings = []
    for window in windows_of(archive, channel.key, days):
        said = archived_times(archive, channel.key, window)
        findings.append(prove_times(engine, channel, window, said))
    return Finding.joined(findings or [Finding(channel.key, 0)])
