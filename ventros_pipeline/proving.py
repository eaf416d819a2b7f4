"""All proofs of a channel at once, over everything that was ever imported.

What belongs here: putting the database's proofs and the archive's together. What does not: the
proofs (`crm/checks.py`), and who asks for them (`jobs/upkeep.py`; a run's own checks are in
`checks/`).
"""

from __future__ import annotations

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
from ventros_pipeline.importer import archived_times

# What the archive says of so many days is held in memory at once.
DAYS_AT_ONCE = 31


def prove_channel(
    engine: Engine, archive: Archive, channel: Channel
) -> list[tuple[Proof, Finding]]:
    """Ask every proof of one channel.

    Raises:
        ArchiveError: a day's file is damaged.
    """
    found = [(proof, prove(engine, channel, proof)) for proof in PROOFS]
    return [*found, (TIMES_KEPT, _prove_times(engine, archive, channel))]


def _prove_times(engine: Engine, archive: Archive, channel: Channel) -> Finding:
    days = archive.days(channel.key)
    findings = []
    for start in range(0, len(days), DAYS_AT_ONCE):
        some = days[start : start + DAYS_AT_ONCE]
        said = archived_times(archive, channel.key, some)
        findings.append(prove_times(engine, channel, some, said))
    return Finding.joined(findings or [Finding(channel.key, 0)])
