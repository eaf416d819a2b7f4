"""Where the pages point is there, and every command that they name exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from ventros_pipeline.cli import app
from ventros_pipeline_tests.docs.pages import ROOT, Block, Page, all_pages
from ventros_pipeline_tests.docs.shell import NOT_TYPED, is_syntax

PAGES = all_pages()
BLOCKS = [block for page in PAGES for block in page.commands]
LINES = [line for block in BLOCKS for line in block.lines]
# A command within a line: after settings of its own, in `$(…)`, or alone.
COMMAND = re.compile(r"(?:^|\$\(|\s)(ventros (?!--help)[^|)>;]+)")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
def test_every_link_leads_somewhere(page: Page) -> None:
    astray = [link for link in page.links if not leads_somewhere(page, link)]
    assert astray == []


@each_page
def test_every_picture_is_there_and_described(page: Page) -> None:
    for said, file in page.pictures:
        assert said
        assert (page.path.parent / file).is_file()


@each_page
def test_no_page_names_a_machine_or_a_registry(page: Page) -> None:
    assert re.findall(r"(?:/home/|/Users/|/root/|/work/|/tmp/)\S*", page.text) == []
    assert re.findall(r"\S*(?:pypi\.|registry|proxy\.golang|index-url)\S*", page.text) == []


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.text[:40])
def test_every_block_is_shell(block: Block) -> None:
    assert is_syntax(block)


@pytest.mark.parametrize("line", sorted({c for line in LINES for c in COMMAND.findall(line)}))
def test_every_command_in_a_block_parses(line: str) -> None:
    command, arguments = found(shlex.split(line.rstrip('"'))[1:])
    command.make_context(command.name, arguments)


@pytest.mark.parametrize("text", sorted({m for page in PAGES for m in page.mentions}))
def test_every_command_in_the_text_exists(text: str) -> None:
    words = re.sub(r"[\[\]\\]", " ", text).split()
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        assert words[1] in targets
    elif words[1] not in ("--help", "--install-completion"):
        command, rest = found(words[1:])
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= options | {"--help"}


def test_what_is_not_typed_is_there_to_be_typed() -> None:
    """A line that no page has any more is no exception any more."""
    assert [begin for begin in NOT_TYPED if not any(x.startswith(begin) for x in LINES)] == []


def test_every_page_is_in_the_index() -> None:
    index = Page(ROOT / "docs/README.md")
    listed = {(index.path.parent / link).resolve() for link in index.links}
    pages = {page.path for page in PAGES if page.path.is_relative_to(ROOT / "docs")}
    assert pages - {index.path} <= listed


def test_both_readmes_say_the_same() -> None:
    """The levels of headings, commands, pictures and links; words are for people to judge."""
    english, portuguese = Page(ROOT / "README.md"), Page(ROOT / "README.pt-BR.md")
    assert [level for level, _ in portuguese.headings] == [level for level, _ in english.headings]
    assert [b.lines for b in portuguese.commands] == [b.lines for b in english.commands]
    assert [file for _, file in portuguese.pictures] == [file for _, file in english.pictures]
    others = {"README.md", "README.pt-BR.md"}
    assert {*portuguese.links} - others == {*english.links} - others


def leads_somewhere(page: Page, link: str) -> bool:
    if link.startswith(("https://", "http://")):
        return True
    file, _, anchor = link.partition("#")
    path = (page.path.parent / file).resolve() if file else page.path
    return path.is_file() and (not anchor or anchor in Page(Path(path)).anchors)


def found(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that words name, and the words behind its name."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *words = words
        if "|" in name:  # `ventros people merges|merge CHANNEL`
            name = name.split("|")[0]
        assert name in command.commands, f"no command {name}"
        command = command.commands[name]
    return command, words
