"""Asks whether a locked package is known to be unsafe, and says so plainly where nobody answers.

    make audit

Exit 0: every package was looked up, and nothing is known. 1: something is known, or some could not
be looked up while others could. 2: no source of advisories can be reached, and nothing was audited.

`pip-audit` alone calls a package that its source does not know "skipped", and ends well: behind a
mirror that serves packages without advisories, all of them are.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# Whatever `make` installs by.
LOCKS = [
    Path(folder) / "requirements.lock"
    for folder in (".", "benchmarks", "supply", "ventros_pipeline_tests/fuzz")
]
SOURCES = ("pypi", "osv")
SECONDS = 10


def main() -> int:
    """Audit every lock file; return the exit code."""
    return max(audit(lock) for lock in LOCKS)


def audit(lock: Path) -> int:
    """Ask each source in turn until one answers."""
    for source in SOURCES:
        code, said = judged(asked(lock, source))
        if code != 2:
            break
    print(f"{lock}: {said}")
    return code


def asked(lock: Path, source: str) -> Sequence[Mapping[str, Any]]:
    """Return what a source says of each package; nothing where it cannot be reached."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--require-hashes"]
    options = ["--disable-pip", "--progress-spinner", "off", "--format", "json"]
    source_of = ["--vulnerability-service", source, "--timeout", str(SECONDS)]
    done = subprocess.run(  # noqa: S603 -- nothing of it comes from outside
        [*command, *options, *source_of], cwd=ROOT, capture_output=True, check=False, text=True
    )
    try:
        found: Sequence[Mapping[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return []
    return found


def judged(packages: Sequence[Mapping[str, Any]]) -> tuple[int, str]:
    """Return the exit code, and what a person is told."""
    known = [package for package in packages if "vulns" in package]
    if not known:
        return 2, "NOT AUDITED: no source of advisories can be reached from here"
    lines = [
        f"{package['name']} {package['version']}: {flaw['id']}, mended in "
        f"{', '.join(flaw['fix_versions']) or 'no version yet'}"
        for package in known
        for flaw in package["vulns"]
    ]
    lines += [f"{package['name']}: not looked up" for package in packages if package not in known]
    if lines:
        return 1, "\n  ".join([f"{len(lines)} to look at", *lines])
    return 0, f"nothing is known against {len(known)} packages"


if __name__ == "__main__":
    sys.exit(main())
