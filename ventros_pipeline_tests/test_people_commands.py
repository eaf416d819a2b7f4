"""`ventros people`: what is said of who is who."""

from __future__ import annotations

import json
import re

import pytest

from ventros_pipeline import cli
from ventros_pipeline.transform.scoring import score


def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that succeeds and says nothing on standard error; return what it printed."""
    monkeypatch.setattr("sys.argv", ["ventros", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capfd.readouterr()
    assert (ended.value.code or 0, err) == (0, "")
    return out


def test_the_score_is_one_json_object(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (line,) = run(monkeypatch, capfd, "people", "score", "--json").splitlines()
    said = json.loads(line)
    assert list(said) == ["pairs", "same", "precision", "recall", "cases", "wrong"]
    assert said["precision"] == 1.0
    assert said["recall"] == score().recall
    assert list(said["cases"][0]) == ["case", "pairs", "right", "missed", "wrongly_joined"]


def test_the_score_is_a_table_by_kind_that_shows_no_address(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    said = run(monkeypatch, capfd, "people", "score")
    assert said.startswith("precision 1.000, recall 0.98")
    assert all(case.case in said for case in score().cases)
    assert re.search(r"\d{5}|@", said) is None
