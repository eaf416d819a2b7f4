"""Alerts: what each service takes, whatever the words are, and that each is told once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import stamina
from sqlalchemy import Engine

from ventros_pipeline.alerting import (
    ATTEMPTS,
    Alert,
    AlertError,
    FailedRun,
    send,
    shape_of,
    tell_failed_run,
    tell_problems,
)
from ventros_pipeline.crm import ledger
from ventros_pipeline.crm.channels import Channel, add_channel
from ventros_pipeline.settings import Settings
from ventros_pipeline_tests.hook import Hook, hooked

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
DAYS = (date(2026, 6, 1), date(2026, 6, 2))
LINK = "https://dagster.example.com/runs/1a2b3c4d"
HOSTILE = (
    "<!channel> <https://evil.example.com|Open> & @everyone <@1234> **bold** [link](https://evil.exa"
    "mple.com) `code` ||spoiler||\r\n# head\u202e\u200b\x00\x1b[31m\ud83d 😀 "
) * 60
ALERT = Alert(HOSTILE, HOSTILE, LINK, "default-1a2b3c4d", DAYS, HOSTILE, HOSTILE)


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=ATTEMPTS, cap=True):
        yield


@pytest.fixture
def hook() -> Iterator[Hook]:
    with hooked() as hook:
        yield hook


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def seen(text: str, limit: int) -> str:
    """Assert what holds for any text that a person sees; return it."""
    assert 0 < units(text) <= limit
    assert not re.search(r"[\x00-\x1f\u202e\u200b\ud83d](?!\udc00)", text)
    return text


def check_slack(body: dict[str, Any]) -> None:
    # https://docs.slack.dev/reference/block-kit/blocks
    assert set(body) == {"text", "blocks"}
    assert "<" not in seen(body["text"], 4000)
    header, *sections, link = body["blocks"]
    assert header["type"] == "header"
    assert len(body["blocks"]) <= 50
    for block, limit in ((header, 150), *((section, 3000) for section in sections)):
        assert set(block) == {"type", "text"}
        assert block["text"]["type"] == "plain_text"
        assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", seen(block["text"]["text"], limit))
    assert link["text"] == {"type": "mrkdwn", "text": f"<{LINK}|Open in Dagster>"}


def check_teams(body: dict[str, Any]) -> None:
    # https://adaptivecards.io/explorer, in the envelope that a workflow's webhook takes; 28 KB.
    assert len(json.dumps(body).encode()) < 28 * 1024
    [attachment] = body["attachments"]
    assert body["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    for block in card["body"]:
        # A TextBlock or a fact would read Markdown.
        assert block["type"] == "RichTextBlock"
        for run in block["inlines"]:
            assert run["type"] == "TextRun"
            assert set(run) <= {"type", "text", "weight", "size"}
            seen(run["text"], 3000)
    [action] = card["actions"]
    assert action == {"type": "Action.OpenUrl", "title": "Open in Dagster", "url": LINK}


def check_discord(body: dict[str, Any]) -> None:
    # https://discord.com/developers/docs/resources/message#embed-object-embed-limits
    assert body["allowed_mentions"] == {"parse": []}
    [embed] = body["embeds"]
    texts = [seen(embed["title"], 256), seen(embed["description"], 4096)]
    assert len(embed["fields"]) <= 25
    for field in embed["fields"]:
        texts += [seen(field["name"], 256), seen(field["value"], 1024)]
    assert sum(units(text) for text in texts) <= 6000
    for text in texts:
        # Every sign of Markdown is escaped, and no escape is cut in half.
        assert not re.search(r"[*_~`|\[\]<>@]", re.sub(r"\\[^\w\s]", "", text))
    assert embed["url"] == LINK


def check_plain(body: dict[str, Any]) -> None:
    assert body["status"] == "firing"
    assert body["channel"] == "default-1a2b3c4d"
    assert (body["from"], body["to"], body["link"]) == ("2026-06-01", "2026-06-02", LINK)
    for name, limit in (("title", 300), ("what", 3000), ("kept", 1000), ("to_do", 1000)):
        seen(body[name], limit)


@pytest.mark.parametrize(
    ("shape", "check"),
    [
        ("slack", check_slack),
        ("teams", check_teams),
        ("discord", check_discord),
        ("plain", check_plain),
    ],
)
def test_each_service_is_sent_what_it_takes_whatever_the_words_are(
    hook: Hook, shape: str, check: Callable[[dict[str, Any]], None]
) -> None:
    send(hook.url, shape, ALERT)
    [body] = hook.posted
    check(body)
    assert "😀" in json.dumps(body, ensure_ascii=False)


@pytest.mark.parametrize(
    ("url", "shape"),
    [
        ("https://hooks.slack.com/services/T/B/x", "slack"),
        ("https://discord.com/api/webhooks/1/x", "discord"),
        ("https://prod-1.westus.logic.azure.com:443/workflows/x", "teams"),
        ("https://x.y.environment.api.powerplatform.com/powerautomate/x", "teams"),
        ("https://hooks.slack.com.example.com/x", "plain"),
        ("https://notdiscord.com/x", "plain"),
        ("http://127.0.0.1:9/x", "plain"),
    ],
)
def test_the_shape_follows_from_the_host(url: str, shape: str) -> None:
    assert shape_of(url) == shape


def test_what_may_pass_is_tried_again_and_what_may_not_is_not(hook: Hook) -> None:
    hook.answers = [(503, {}), (200, {})]
    send(hook.url, "plain", ALERT)
    assert len(hook.posted) == 2
    for status, tries in ((500, ATTEMPTS), (429, ATTEMPTS), (400, 1), (404, 1)):
        hook.posted.clear()
        hook.answers = [(status, {"Retry-After": "0"})] * 5
        with pytest.raises(AlertError, match=f"127.0.0.1 answered {status}") as refused:
            send(hook.url, "plain", ALERT)
        assert len(hook.posted) == tries
        assert "secret" not in str(refused.value)


def test_no_redirect_is_followed_and_a_dead_webhook_is_an_error(hook: Hook) -> None:
    with hooked() as other:
        hook.answers = [(307, {"Location": other.url})]
        with pytest.raises(AlertError, match="answered 307"):
            send(hook.url, "plain", ALERT)
        assert other.posted == []
    with pytest.raises(AlertError, match="did not answer") as dead:
        send("http://127.0.0.1:9/a-secret", "plain", ALERT)
    assert "secret" not in str(dead.value)


# -- told once -----------------------------------------------------------------------------------


@dataclass
class Desk:
    """A CRM with one channel, and a webhook."""

    engine: Engine
    channel: Channel
    hook: Hook
    settings: Settings

    def problems(self, minutes: int = 0) -> list[str]:
        return tell_problems(self.engine, self.settings, NOW + timedelta(minutes=minutes))

    def fail(self, failure: str | None, *, minutes: int = 0, **how: Any) -> list[str]:
        """Let a run fail, and tell it."""
        run_id = str(uuid4())
        ledger.start_run(self.engine, self.channel, run_id, *DAYS)
        ledger.add_progress(self.engine, self.channel, run_id, days_read=2, days_loaded=1)
        ledger.end_run(self.engine, self.channel, run_id, error="it broke", failure=failure)
        run = FailedRun(run_id, "history_import", "", **{"checks": {}, **how})
        return tell_failed_run(self.engine, self.settings, run, NOW + timedelta(minutes=minutes))


@pytest.fixture
def desk(engine: Engine, hook: Hook) -> Desk:
    channel = add_channel(engine, session="default", base_url="http://waha.test", api_key_env=None)
    settings = Settings(
        alert_url=hook.url,  # type: ignore[arg-type]
        ui_url="https://dagster.example.com/",
        _env_file=None,  # type: ignore[call-arg]
    )
    return Desk(engine, channel, hook, settings)


def test_a_problem_is_told_once_until_it_is_cleared_and_so_is_that(desk: Desk) -> None:
    key = desk.channel.key
    assert desk.problems() == []
    ledger.note_problem(desk.engine, desk.channel, "The API key is wrong.")
    desk.hook.answers = [(400, {})]
    with pytest.raises(AlertError):
        desk.problems()
    assert desk.problems() == [f"{key} needs a person"]
    assert desk.problems() == []
    # Runs that fail on it meanwhile say nothing new.
    assert desk.fail("configuration") == []
    ledger.clear_problem(desk.engine, desk.channel)
    assert desk.problems() == [f"{key} can be read again"]
    assert desk.problems() == []
    ledger.note_problem(desk.engine, desk.channel, "The API key is wrong.")
    assert desk.problems() == [f"{key} needs a person"]
    assert [body["status"] for body in desk.hook.posted[1:]] == ["firing", "resolved", "firing"]
    assert desk.hook.posted[1]["what"] == "The API key is wrong."
    assert desk.hook.posted[-1]["link"].startswith("https://dagster.example.com/runs/")


def test_a_failed_run_is_told_with_days_what_was_kept_and_what_to_do(desk: Desk) -> None:
    key = desk.channel.key
    assert desk.fail("poison") == [f"history_import failed on {key}"]
    [body] = desk.hook.posted
    assert (body["what"], body["channel"]) == ("it broke", key)
    assert (body["from"], body["to"]) == ("2026-06-01", "2026-06-02")
    assert body["kept"].startswith("2 days were read and 1 loaded")
    assert f"`ventros import {key} --since 2026-06-01 --until 2026-06-02`" in body["to_do"]
    # The same kind again is told an hour later, another kind at once.
    assert desk.fail("poison", minutes=59) == []
    assert desk.fail("transient", minutes=59) == [f"history_import failed on {key}"]
    assert desk.fail("poison", minutes=61) == [f"history_import failed on {key}"]


def test_a_failed_check_is_named(desk: Desk) -> None:
    said = "2 times this does not hold."
    told = desk.fail("poison", checks={"no_orphan_message": said})
    assert told == [f"Check failed on {desk.channel.key}: no_orphan_message"]
    assert desk.hook.posted[0]["what"] == f"no_orphan_message: {said}"


def test_what_is_tried_again_by_itself_is_told_when_it_is_given_up(desk: Desk) -> None:
    assert desk.fail("transient", attempt=1) == []
    assert desk.fail("transient", attempt=8) != []
    assert desk.fail("not_ready", attempt=8) == []
    assert desk.fail("not_ready", is_pass=True) == []
    with desk.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO history_sync.sync_state (channel_id, failures) VALUES (%(id)s, 3)",
            {"id": desk.channel.id},
        )
    assert desk.fail("not_ready", is_pass=True) != []


def test_a_run_that_no_ledger_knows_is_told_in_its_own_words(desk: Desk) -> None:
    run = FailedRun(str(uuid4()), "nightly_checks", "check x does not hold", {})
    assert tell_failed_run(desk.engine, desk.settings, run, NOW) == ["nightly_checks failed"]
    [body] = desk.hook.posted
    assert body["what"] == "check x does not hold"
    assert body["link"] == f"https://dagster.example.com/runs/{run.run_id}"
