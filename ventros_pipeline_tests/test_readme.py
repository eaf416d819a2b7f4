"""README and `.env.example` say what the code does: commands, targets, the promise."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from ventros_pipeline.cli import app
from ventros_pipeline.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL_LINES = [
    line.partition("  #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
INLINE = re.findall(r"`((?:ventros|make) [^`]+)`", README)


def test_env_example_names_every_setting_once_and_sets_none() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    named = [line[2:].partition("=")[0] for line in lines if line.startswith("# VENTROS_")]
    assert named == [f"VENTROS_{name.upper()}" for name in Settings.model_fields]
    assert all(line.startswith("#") or not line for line in lines)


@pytest.mark.parametrize("line", [line for line in SHELL_LINES if line.startswith("ventros ")])
def test_every_command_in_a_code_block_parses(line: str) -> None:
    command, arguments = _found(shlex.split(line)[1:])
    command.make_context(command.name, arguments)


@pytest.mark.parametrize("text", [text for text in INLINE if text.startswith("ventros ")])
def test_every_command_in_the_text_exists(text: str) -> None:
    words = re.sub(r"[\[\]\\]", " ", text).split()
    command, rest = _found(words[1:])
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= options | {"--help"}


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {line.split()[1] for line in [*SHELL_LINES, *INLINE] if line.startswith("make ")}
    assert named
    assert named <= targets


def test_every_picture_is_there() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert len(pictures) >= 2
    assert [p for p in pictures if not (ROOT / p).is_file()] == []


def test_the_promise_stands_word_for_word() -> None:
    promise = (
        "At-least-once reading, effectively-once rows: each WhatsApp message of a channel is one "
        "row in the CRM, whatever was retried, overlapped, re-addressed or killed; and what could "
        "not be imported is counted, kept and named."
    )
    assert promise in " ".join(README.replace("\n> ", " ").split())


def _found(words: list[str]) -> tuple[Any, list[str]]:
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and not words[0].startswith("--"):
        name, *words = words
        assert name in command.commands, f"no command {name}"
        command = command.commands[name]
    return command, words
