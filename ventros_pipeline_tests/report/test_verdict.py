"""The verdict: complete or not, why not, and a command that exists."""

from __future__ import annotations

import json
import shlex
from datetime import date
from typing import Any

import pytest
import typer.main

from ventros_pipeline.cli.app import app
from ventros_pipeline.crm.checks import PROOFS, TIMES_KEPT, Finding
from ventros_pipeline.report.verdict import Verdict, verdict_of
from ventros_pipeline.report.words import LANGUAGES, Words
from ventros_pipeline_tests.report.made import CHANNEL, day, every_state, hostile, made, plan

QUARANTINED: dict[str, Any] = {
    "balance": {"seen": 9, "inserted": 8, "quarantined": 1},
    "quarantine_days": [date(2026, 6, 29)],
}
REASONS: list[tuple[str, dict[str, Any], str, str]] = [
    ("never_imported", {"days": [], "plan": None}, "incomplete", "import {}"),
    ("importing", {"plan": plan("running")}, "incomplete", "status {} --watch"),
    ("problem", {"problem": "the key is refused"}, "incomplete", "doctor {}"),
    (
        "balance_open",
        {"open_days": [date(2026, 6, 2), date(2026, 6, 3)]},
        "incomplete",
        "import {} --since 2026-06-02 --until 2026-06-03 --force",
    ),
    (
        "missing",
        {"missing": [date(2026, 6, 2)]},
        "incomplete",
        "import {} --since 2026-06-02 --until 2026-06-02",
    ),
    (
        "import_failed",
        {"missing": [date(2026, 6, 2)], "plan": plan("failed", "it was away")},
        "incomplete",
        "import {} --since 2026-06-02 --until 2026-06-02",
    ),
    ("quarantined", QUARANTINED, "incomplete", "quarantine list {}"),
    ("unfinished", {"days": [day("2026-06-30", "reading")]}, "incomplete", "sync {}"),
    ("settling", {"days": [day("2026-06-30", "settling")]}, "settling", "sync {}"),
]


def assert_exists(command: str) -> None:
    """Parse a command as the shell and `ventros` would, without running it."""
    program, *words = shlex.split(command)
    assert program == "ventros"
    found: Any = typer.main.get_command(app)
    while hasattr(found, "commands"):
        found = found.commands[words.pop(0)]
    found.make_context(found.name, words)


def names(verdict: Verdict) -> list[str]:
    return [reason.name for reason in verdict.reasons]


def test_a_channel_of_which_every_day_has_stopped_growing_is_complete() -> None:
    verdict = verdict_of(made())
    assert (verdict.state, names(verdict), verdict.next_command) == ("complete", [], None)
    assert verdict.sentence(Words()) == (
        "Complete: everything that WhatsApp has shown is in the CRM, 8 messages."
    )
    assert verdict.sentence(Words("pt-BR")).startswith("Completo: ")


def test_the_day_that_is_not_over_keeps_no_channel_from_being_complete() -> None:
    assert verdict_of(made([day("2026-06-30"), day("2026-07-01", "settling")])).state == "complete"
    assert verdict_of(made([day("2026-06-30"), day("2026-07-01", "unknown")])).state == "complete"


@pytest.mark.parametrize(
    ("name", "changes", "state", "command"), REASONS, ids=[name for name, *_ in REASONS]
)
def test_each_reason_says_why_and_what_to_type(
    name: str, changes: dict[str, Any], state: str, command: str
) -> None:
    verdict = verdict_of(made(**changes))

    assert (verdict.state, names(verdict)) == (state, [name])
    assert verdict.next_command == f"ventros {command.format(CHANNEL)}"
    assert_exists(verdict.next_command)
    for language in LANGUAGES:
        [says] = verdict.why(Words(language))
        assert "{" not in says


def test_what_is_missing_weighs_more_than_what_may_still_grow() -> None:
    verdict = verdict_of(every_state())
    assert verdict.state == "incomplete"
    assert names(verdict) == ["missing", "unfinished", "settling"]


def test_what_was_said_to_be_left_out_is_told_and_keeps_nothing_from_being_complete() -> None:
    verdict = verdict_of(made(max_days=30, max_per_chat=1))
    assert verdict.state == "complete"
    assert verdict.left_out(Words()) == [
        "The channel is imported for its last 30 days only.",
        "Of each chat, only the newest 1 message is imported.",
        "2 rows were left out for what they are, such as broadcasts; the table below says why.",
    ]


def test_a_failed_import_says_what_the_pipeline_said() -> None:
    failed = plan("failed", "the session is away")
    said = verdict_of(made(missing=[date(2026, 6, 2)], plan=failed)).as_json(Words())
    assert said["reasons"][0]["detail"] == "the session is away"
    assert json.loads(json.dumps(said)) == said


def test_a_hostile_key_stays_one_word_of_a_shell() -> None:
    report = hostile()
    for reason in verdict_of(report).reasons:
        assert report.channel in shlex.split(reason.command)


def test_the_repair_of_every_proof_is_a_command_that_exists() -> None:
    finding = Finding(CHANNEL, 2, (), date(2026, 6, 2), date(2026, 6, 4))
    for proof in (*PROOFS, TIMES_KEPT):
        assert_exists(proof.repair(finding))
        assert proof.told(finding).startswith(
            f"2 times on channel {CHANNEL}, 2026-06-02 to 2026-06-04: {proof.wrong}"
        )
    one_day = Finding(CHANNEL, 1, (), date(2026, 6, 2), date(2026, 6, 2))
    assert one_day.where == f"channel {CHANNEL}, 2026-06-02"
