"""`ventros quarantine` from a terminal: list, show, retry."""

from __future__ import annotations

import json

import pytest

from ventros_pipeline.waha import wire
from ventros_pipeline_tests.test_cli import Ventros, channel, settings, ventros, waha

__all__ = ["channel", "settings", "ventros", "waha"]


def test_a_row_that_could_not_be_read_is_seen_and_comes_in_when_it_can_be(
    ventros: Ventros, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = wire._parse
    with monkeypatch.context() as patch:
        patch.setattr(wire, "_parse", lambda row: "too_deep" if b"3EB0000A" in row else parse(row))
        days = ("--since", "2026-06-02", "--until", "2026-06-03")
        assert ventros("import", channel, *days, "--json").json["quarantined"] == 1
        retried = ventros("quarantine", "retry", channel, "--json").json
        assert (retried["tried"], retried["resolved"], retried["waiting"]) == (1, 0, 1)

    listed = ventros("quarantine", "list", channel, "--rows", "--json").json
    assert listed["reasons"][0] | {"first_seen_at": "", "last_seen_at": ""} == {
        "reason": "too_deep",
        "day": "2026-06-02",
        "rows": 1,
        "first_seen_at": "",
        "last_seen_at": "",
    }
    [row] = listed["rows"]
    assert ventros("coverage", channel, "--json").json["quarantined"] == {"2026-06-02": 1}
    assert "1 rows of 1 days wait in quarantine" in ventros("status", channel).err
    [complaint] = ventros("doctor", channel, "--json").json["complaints"]
    assert complaint["name"] == "rows_in_quarantine"

    shown = ventros("quarantine", "show", channel, row["id"])
    assert "3EB0000A" not in shown.out + shown.err
    assert "<text, " in shown.out
    raw = ventros("quarantine", "show", channel, row["id"], "--payload")
    assert json.loads(raw.out)["body"] == "um"
    wrong = ventros("quarantine", "show", channel, "nothing")
    assert (wrong.code, "names them" in wrong.sentence) == (1, True)
    assert ventros("quarantine", "retry", channel, "--day", "soon").code == 2

    elsewhere = ventros("quarantine", "retry", channel, "--day", "2026-06-03", "--json").json
    assert elsewhere["tried"] == 0
    retried = ventros("quarantine", "retry", channel, "--json").json
    assert (retried["tried"], retried["resolved"], retried["waiting"]) == (1, 1, 0)
    assert [r["became"] for r in retried["rows"]] == ["inserted"]
    status = ventros("status", channel, "--json").json
    assert (status["messages"], status["balance_closes"], status["quarantined_days"]) == (
        2,
        True,
        {},
    )
    assert "0 rows wait" in ventros("quarantine", "list", channel).out
