"""Look for bytes that break a law: guided by which code they reach, and drawn by what they mean.

    python -m ventros_pipeline_tests.fuzz [LAW ...] [--seconds 600] [--by atheris hypothesis]

Needs `atheris` (`make fuzz` installs it). A corpus grows in `.fuzz/`; what breaks a law is written
to `seeds/LAW/` and from then on is a test. Each law is looked at with each for so many seconds, in
a process of its own. Exit 1 where something was found.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from itertools import count, product
from pathlib import Path
from time import monotonic

from ventros_pipeline_tests.fuzz.seeds import kept_in, samples

CORPUS = Path(".fuzz")
# Bytes of the longest input, and seconds that one may take.
LONGEST, SLOWEST = 65_536, 20
# Drawn between two looks at the clock.
ROUND = 500


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ventros_pipeline_tests.fuzz")
    parser.add_argument("laws", nargs="*")
    parser.add_argument("--seconds", type=int, default=600, help="for each law, by each")
    parser.add_argument("--by", nargs="+", choices=tuple(FINDERS), default=list(FINDERS))
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    asked, rest = parser.parse_known_args()
    if asked.in_process:
        _follow_code(asked.laws[0], rest)
        return 0
    from ventros_pipeline_tests.fuzz.laws import LAWS

    pairs = product(asked.laws or LAWS, asked.by)
    held = [FINDERS[finder](law, asked.seconds) for law, finder in pairs]
    return 0 if all(held) else 1


def with_atheris(law: str, seconds: int) -> bool:
    """Return whether the law held for what atheris made from its samples."""
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
    _tell(law, "atheris", held=not ended.returncode)
    return not ended.returncode


def with_hypothesis(law: str, seconds: int) -> bool:
    """Return whether the law held for what hypothesis drew."""
    from ventros_pipeline_tests.fuzz.laws import LAWS

    tried = 0
    last = b""

    def holds(data: bytes) -> None:
        nonlocal tried, last
        tried, last = tried + 1, data
        LAWS[law](data)

    try:
        _draw(holds, monotonic() + seconds)
    except Exception:  # noqa: BLE001 -- whatever a law raises: its smallest input is kept
        (kept_in(law) / f"drawn-{hashlib.sha256(last).hexdigest()[:16]}").write_bytes(last)
        _tell(law, f"hypothesis, {tried:,} drawn", held=False)
        return False
    _tell(law, f"hypothesis, {tried:,} drawn", held=True)
    return True


def _draw(holds: Callable[[bytes], None], until: float) -> None:
    from hypothesis import HealthCheck, given, seed, settings
    from hypothesis.errors import HypothesisWarning

    from ventros_pipeline_tests.fuzz.inputs import ANYTHING

    most = partial(settings, deadline=None, database=None)
    once = most(max_examples=ROUND, suppress_health_check=list(HealthCheck))(given(ANYTHING)(holds))
    for number in count():
        if monotonic() > until:
            return
        # Hypothesis asks a strategy for its name now and then, and ours has a long one.
        with warnings.catch_warnings(action="ignore", category=HypothesisWarning):
            seed(number)(once)()


FINDERS: dict[str, Callable[[str, int], bool]] = {
    "atheris": with_atheris,
    "hypothesis": with_hypothesis,
}


def _tell(law: str, finder: str, *, held: bool) -> None:
    print(f"{law}: {'held' if held else 'BROKEN, see its seeds'} ({finder})", flush=True)


def _follow_code(law: str, arguments: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=["ventros_pipeline"]):
        from ventros_pipeline_tests.fuzz.laws import LAWS

    atheris.Setup([sys.argv[0], *arguments], LAWS[law])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
