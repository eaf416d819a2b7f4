"""Disks that are really full: small ones in memory, filled until so much is left.

What belongs here: mounting and filling. What does not: which import meets it (`trials.py`). Only
whoever may mount can try it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OF_THE_SERVER, OF_THE_ARCHIVE = "server's disk really full", "archive's disk really full"
SERVER_MEGABYTES, ARCHIVE_MEGABYTES = 900, 8
_MEGABYTE = 1 << 20
_FILLER = "filler"


def can_mount() -> bool:
    """Say whether this process may mount; in most containers even root may not."""
    tried = ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"]
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a disk of its own at a folder, which is made; it is gone when the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={megabytes}m,mode=0755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def filled(folder: Path, megabytes_left: float) -> Iterator[None]:
    """Let so much be left on the disk of a folder until the block ends."""
    filler = folder / _FILLER
    left = shutil.disk_usage(folder).free - int(megabytes_left * _MEGABYTE)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(left, 1))
    try:
        yield
    finally:
        filler.unlink()
