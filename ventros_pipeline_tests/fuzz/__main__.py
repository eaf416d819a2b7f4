"""Look for bytes that break a law, guided by which code they reach.

    python -m ventros_pipeline_tests.fuzz [--seconds 600] [LAW ...]

Needs `atheris` (`make fuzz` installs it). A corpus grows in `.fuzz/`; what breaks a law is written
to `seeds/LAW/` and from then on is a test. Exit 1 where something was found.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from pathlib import Path

from ventros_pipeline_tests.fuzz.seeds import kept_in, samples

CORPUS = Path(".fuzz")
# Bytes of the longest input, and seconds that one may take.
LONGEST, SLOWEST = 65_536, 20


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ventros_pipeline_tests.fuzz")
    parser.add_argument("laws", nargs="*")
    parser.add_argument("--seconds", type=int, default=600, help="for each law")
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    asked, rest = parser.parse_known_args()
    if asked.in_process:
        _fuzz(asked.laws[0], rest)
        return 0
    from ventros_pipeline_tests.fuzz.laws import LAWS

    return max(_look(law, asked.seconds) for law in asked.laws or LAWS)


def _look(law: str, seconds: int) -> int:
    corpus, found = CORPUS / law, CORPUS / f"{law}-found"
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    for data in samples(law):
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    command = [sys.executable, "-m", "ventros_pipeline_tests.fuzz", "--in-process", law]
    limits = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-timeout={SLOWEST}"]
    ended = subprocess.run(
        [*command, *limits, "-rss_limit_mb=4096", f"-artifact_prefix={found}/", str(corpus)],
        check=False,
    )
    for path in found.iterdir():
        path.rename(kept_in(law) / path.name)
    print(f"{law}: {'held' if not ended.returncode else 'BROKEN, see its seeds'}", flush=True)
    return 1 if ended.returncode else 0


def _fuzz(law: str, arguments: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=["ventros_pipeline"]):
        from ventros_pipeline_tests.fuzz.laws import LAWS

    atheris.Setup([sys.argv[0], *arguments], LAWS[law])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
