"""README and `.env.example` say what the code does: settings, and the promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from ventros_pipeline.settings import Settings

ROOT = Path(__file__).parents[1]
PROMISE = (
    "At-least-once reading, effectively-once rows: each WhatsApp message of a channel is one "
    "row in the CRM, whatever was retried, overlapped, re-addressed or killed; and what could "
    "not be imported is counted, kept and named."
)


def test_env_example_names_every_setting_once_and_sets_none() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    named = [line[2:].partition("=")[0] for line in lines if line.startswith("# VENTROS_")]
    assert named == [f"VENTROS_{name.upper()}" for name in Settings.model_fields]
    assert all(line.startswith("#") or not line for line in lines)


@pytest.mark.parametrize("page", ["README.md", "docs/explanation/promise.md"])
def test_the_promise_stands_word_for_word(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert PROMISE in " ".join(text.replace("\n> ", " ").split())
