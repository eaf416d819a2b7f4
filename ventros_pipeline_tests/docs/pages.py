"""The documentation's pages as a reader meets them: headings, code blocks, links, mentions.

What belongs here: reading Markdown. What does not: running it (`shell.py`), and what must hold of
it (the tests).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)```([^\n]*)\n(.*?)^\1```$", flags=re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block; `info` is what stands behind its language."""

    language: str
    info: str
    text: str

    @property
    def elsewhere(self) -> bool:
        """Whether the page tells to type it in a second terminal, where it goes on running."""
        return self.info == "second terminal"

    @property
    def lines(self) -> list[str]:
        """Its commands, without comments; a line that ends with a backslash goes on."""
        joined = self.text.replace("\\\n", " ")
        found = (line.partition("  #")[0].strip() for line in joined.splitlines())
        return [line for line in found if line and not line.startswith("#")]


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return FENCE.sub("", self.text)

    @cached_property
    def blocks(self) -> list[Block]:
        found = []
        for indent, info, text in FENCE.findall(self.text):
            language, _, rest = info.partition(" ")
            unindented = re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)
            found.append(Block(language, rest, unindented))
        return found

    @property
    def commands(self) -> list[Block]:
        return [block for block in self.blocks if block.language == "sh"]

    @property
    def headings(self) -> list[tuple[int, str]]:
        """Level and text of each heading."""
        found = re.findall(r"^(#+) (.+)$", self.prose, flags=re.MULTILINE)
        return [(len(marks), title) for marks, title in found]

    @property
    def anchors(self) -> set[str]:
        """What may stand behind `#` in a link to this page, by GitHub's rule."""
        plain = (re.sub(r"[^\w\- ]", "", title.lower()) for _, title in self.headings)
        return {title.replace(" ", "-") for title in plain}

    @property
    def links(self) -> list[str]:
        return [target for picture, _, target in LINK.findall(self.prose) if not picture]

    @property
    def pictures(self) -> list[tuple[str, str]]:
        """The description and the file of each picture."""
        return [(said, file) for picture, said, file in LINK.findall(self.prose) if picture]

    @property
    def mentions(self) -> list[str]:
        """Each command that is named within a sentence or a table."""
        return re.findall(r"`((?:ventros|make) [^`]+)`", self.prose.replace("\n", " "))


def all_pages() -> list[Page]:
    """Return every page that is written for people, README first."""
    top = [ROOT / name for name in ("README.md", "README.pt-BR.md", "CONTRIBUTING.md")]
    return [Page(path) for path in [*top, *sorted((ROOT / "docs").rglob("*.md"))]]
