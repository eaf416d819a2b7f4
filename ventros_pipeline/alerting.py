"""Alerts: what a person is told when something fails, in the shape that their webhook takes.

What belongs here: the words, the shapes of Slack, Teams, Discord and plain JSON, and sending. What
does not: what was told already (`crm/telling.py`), and noticing that a run failed
(`sensors/alerts.py`).

An alert names channels, days, checks and runs, and holds no content: its words are those of the
ledger, which has none. They are treated as a stranger's all the same: no shape lets them format,
link or mention anybody, and each is cut to what the service takes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import httpx
import stamina
from sqlalchemy.engine import Engine

from ventros_pipeline.crm import telling
from ventros_pipeline.crm.plans import CONFIGURATION, NOT_READY, POISON, TRANSIENT, tries_again
from ventros_pipeline.crm.telling import Failure, Mended, Problem
from ventros_pipeline.logs import log_of
from ventros_pipeline.settings import Settings
from ventros_pipeline.waha.errors import WahaError
from ventros_pipeline.waha.guard import guarded_client, origin_of
from ventros_pipeline.waha.sockets import within

ATTEMPTS = 2
# For one try, and the longest wait before the next: a tick has 60 s for at most five failed runs.
TRY_SECONDS, LONGEST_WAIT = 4.0, 2.0
# A pass that failed once or twice is tried again within minutes.
PASSES_IN_A_ROW = 3
_HOSTS = {
    "slack": ("hooks.slack.com", "hooks.slack-gov.com"),
    "discord": ("discord.com", "discordapp.com"),
    "teams": ("webhook.office.com", "logic.azure.com", "api.powerplatform.com"),
}
_LOG = log_of("alerts")
_TO_DO = {
    CONFIGURATION: "Mend what is said above; the import goes on when you start it again.",
    NOT_READY: "See whether the WAHA session is WORKING, and pair the number again if it is not.",
    TRANSIENT: "It mostly passes by itself. If it does not, see whether WAHA and the database are "
    "well.",
    POISON: "These days fail the same way again until it is mended: follow the link.",
}


class AlertError(Exception):
    """An alert was not taken; the message names the host and no more of the address."""


@dataclass(frozen=True)
class Alert:
    """What a person is told.

    Attributes:
        what: what failed, or is well again.
        kept: what of the work is kept.
        to_do: what to do now.
        link: the page of the Dagster UI that shows it.
        resolved: whether it says that something is well again.
    """

    title: str
    what: str
    link: str
    channel: str | None = None
    days: tuple[date, date] | None = None
    kept: str | None = None
    to_do: str | None = None
    resolved: bool = False

    @property
    def facts(self) -> dict[str, str]:
        """What stands under the sentence, in order."""
        days = self.days and (
            f"{self.days[0]}" if self.days[0] == self.days[1] else "{} to {}".format(*self.days)
        )
        facts = {
            "Channel": self.channel,
            "Days": days,
            "Kept": self.kept,
            "To do": self.to_do,
        }
        return {name: value for name, value in facts.items() if value}


@dataclass(frozen=True)
class FailedRun:
    """A run that failed, as its orchestrator tells of it.

    Attributes:
        said: what its steps said, for a run that no ledger knows; without content.
        checks: what each check says that does not hold, by name.
        attempt: how often its range of a plan was tried; null for a run of no plan.
        is_pass: whether it is a pass, which is tried again soon.
    """

    run_id: str
    job: str
    said: str
    checks: Mapping[str, str]
    attempt: int | None = None
    is_pass: bool = False


# -- what is told --------------------------------------------------------------------------------


def tell_problems(engine: Engine, settings: Settings, now: datetime) -> list[str]:
    """Tell what a person has to mend, once, and once that it is mended; return what was told.

    Raises:
        AlertError: the webhook did not take it; it is told at the next look.
    """
    told = []
    for problem in telling.problems(engine):
        alert = _of_problem(problem, settings.ui_address)
        if telling.tell(
            engine, problem.channel, telling.PROBLEM, problem.problem, now, _sender(settings, alert)
        ):
            told.append(alert.title)
    for known in telling.mended(engine):
        alert = _of_mended(known, settings.ui_address)
        if telling.tell_mended(engine, known, _sender(settings, alert)):
            told.append(alert.title)
    return told


def tell_failed_run(engine: Engine, settings: Settings, run: FailedRun, now: datetime) -> list[str]:
    """Tell that a run failed, of each channel that it failed on; return what was told.

    Not told is what is tried again by itself, what waits for a person who is told of that, and what
    was told of the channel within the last hour.

    Raises:
        AlertError: the webhook did not take it.
    """
    told = tell_problems(engine, settings, now)
    found = telling.failures(engine, run.run_id)
    if not found:
        alert = Alert(
            f"{run.job} failed", _of_checks(run.checks) or run.said, _run_url(settings, run.run_id)
        )
        _sender(settings, alert)()
        return [*told, alert.title]
    for failure in found:
        if _is_for_nobody(failure, run):
            continue
        alert = _of_failure(failure, run, _run_url(settings, run.run_id))
        topic = failure.failure or POISON
        send = _sender(settings, alert)
        if telling.tell(engine, failure.channel, topic, alert.what, now, send):
            told.append(alert.title)
    return told


def _is_for_nobody(failure: Failure, run: FailedRun) -> bool:
    if failure.failure == CONFIGURATION and failure.has_problem:
        return True
    if failure.failure not in (NOT_READY, TRANSIENT):
        return False
    if run.attempt is not None:
        return tries_again(failure.failure, run.attempt)
    return run.is_pass and failure.failures_in_a_row < PASSES_IN_A_ROW


def _of_failure(failure: Failure, run: FailedRun, link: str) -> Alert:
    key = failure.channel.key
    first, last = failure.from_day, failure.to_day
    checks = ", ".join(run.checks)
    again = f"`ventros import {key} --since {first} --until {last}`"
    return Alert(
        title=f"Check failed on {key}: {checks}" if checks else f"{run.job} failed on {key}",
        what=_of_checks(run.checks) or failure.error or run.said,
        link=link,
        channel=key,
        days=(first, last),
        kept=f"{failure.days_read} days were read and {failure.days_loaded} loaded by this run; "
        "all of that is kept.",
        to_do=f"{_TO_DO[failure.failure or POISON]} The same days again: {again}. Further failures "
        "of this kind of this channel are not told for an hour.",
    )


def _of_problem(problem: Problem, ui: str) -> Alert:
    key = problem.channel.key
    return Alert(
        title=f"{key} needs a person",
        what=problem.problem,
        link=f"{ui}/runs/{problem.run_id}" if problem.run_id else f"{ui}/runs",
        channel=key,
        kept="What was read or loaded before is kept.",
        to_do=f"Mend it, see with `ventros doctor {key}` that it is well, and start the import "
        f"again. Since {problem.since:%Y-%m-%d %H:%M} UTC; you are told once.",
    )


def _of_mended(known: Mended, ui: str) -> Alert:
    key = known.channel.key
    return Alert(
        title=f"{key} can be read again",
        what=f"What was told on {known.told_at:%Y-%m-%d %H:%M} UTC is mended: {known.problem}",
        link=f"{ui}/runs",
        channel=key,
        resolved=True,
    )


def _of_checks(checks: Mapping[str, str]) -> str:
    return " ".join(f"{name}: {said}" for name, said in checks.items())


def _run_url(settings: Settings, run_id: str) -> str:
    return f"{settings.ui_address}/runs/{run_id}"


# -- how it is sent ------------------------------------------------------------------------------


def _sender(settings: Settings, alert: Alert) -> Callable[[], None]:
    if settings.alert_url is None:
        raise AlertError("nobody can be told: set VENTROS_ALERT_URL")
    url = settings.alert_url.get_secret_value()
    return lambda: send(url, settings.alert_shape or shape_of(url), alert)


def shape_of(url: str) -> str:
    """Return what the webhook of an address takes, by its host; `plain` for one that is not known.

    Raises:
        AlertError: the address cannot be read.
    """
    try:
        host = origin_of(url).host
    except WahaError:
        raise AlertError("VENTROS_ALERT_URL is not an address that can be posted to") from None
    for shape, names in _HOSTS.items():
        if any(host == name or host.endswith(f".{name}") for name in names):
            return shape
    return "plain"


def send(url: str, shape: str, alert: Alert) -> None:
    """Post an alert; a failure that may pass is tried again, a few times within seconds.

    No redirect is followed and no proxy asked: the address is a secret.

    Raises:
        AlertError: it was not taken.
    """
    body = payload(shape, alert)
    host = origin_of(url).host
    with guarded_client([url], timeout=TRY_SECONDS, connect_timeout=TRY_SECONDS) as client:
        for attempt in stamina.retry_context(
            on=_may_pass, attempts=ATTEMPTS, timeout=None, wait_initial=0.5, wait_max=LONGEST_WAIT
        ):
            with attempt:
                _post(client, url, body, host)
    _LOG.info("alert sent", shape=shape, channel=alert.channel, attempts=attempt.num)


def _post(client: httpx.Client, url: str, body: Mapping[str, Any], host: str) -> None:
    try:
        # The answer is read only as far as its status: nothing else of it is of use.
        with within(TRY_SECONDS), client.stream("POST", url, json=body) as response:
            status = response.status_code
            wait = response.headers.get("Retry-After", "")
    except httpx.HTTPError as error:
        raise _NotTakenError(f"{host} did not answer ({type(error).__name__})", True) from None
    if not 200 <= status < 300:
        passing = status in (408, 425, 429) or status >= 500
        seconds = float(wait) if re.fullmatch(r"\d{1,4}(\.\d+)?", wait) else None
        raise _NotTakenError(f"{host} answered {status}", passing, seconds)


class _NotTakenError(AlertError):
    def __init__(self, why: str, passing: bool, wait: float | None = None) -> None:
        super().__init__(f"the alert was not taken: {why}; see VENTROS_ALERT_URL")
        self.passing, self.wait = passing, wait


def _may_pass(error: Exception) -> bool | float:
    if not isinstance(error, _NotTakenError) or not error.passing:
        return False
    return True if error.wait is None else min(error.wait, LONGEST_WAIT)


# -- shapes --------------------------------------------------------------------------------------


def payload(shape: str, alert: Alert) -> dict[str, Any]:
    """Return the body that a webhook of a shape takes."""
    return {"slack": _slack, "teams": _teams, "discord": _discord, "plain": _plain}[shape](alert)


def _slack(alert: Alert) -> dict[str, Any]:
    """Return a message of blocks; `text` is what notifications show.

    Only plain text, but for the link: a button would ask for an app that answers it.
    """
    sections = [alert.what, *(f"{name}: {value}" for name, value in alert.facts.items())]
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _slack_text(alert.title, 150)},
        *({"type": "section", "text": _slack_text(text, 2900)} for text in sections),
    ]
    link = {"type": "mrkdwn", "text": f"<{_slack_escaped(alert.link, 2000)}|Open in Dagster>"}
    return {
        "text": _slack_escaped(alert.title, 300),
        "blocks": [*blocks, {"type": "section", "text": link}],
    }


def _slack_text(text: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": _slack_escaped(text, limit), "emoji": False}


def _slack_escaped(text: str, limit: int) -> str:
    return _escaped(text, limit, {"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def _teams(alert: Alert) -> dict[str, Any]:
    """Return an Adaptive Card as a workflow takes it; text runs know no Markdown."""

    def block(*runs: dict[str, Any]) -> dict[str, Any]:
        return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", **run} for run in runs]}

    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            block({"text": _clean(alert.title, 300), "weight": "Bolder", "size": "Large"}),
            block({"text": _clean(alert.what, 2900)}),
            *(
                block({"text": f"{name}: ", "weight": "Bolder"}, {"text": _clean(value, 1000)})
                for name, value in alert.facts.items()
            ),
        ],
        "actions": [{"type": "Action.OpenUrl", "title": "Open in Dagster", "url": alert.link}],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None}
    return {"type": "message", "attachments": [{**attachment, "content": card}]}


def _discord(alert: Alert) -> dict[str, Any]:
    """Return one embed, within 6,000 characters, that mentions nobody."""
    embed = {
        "title": _discord_escaped(alert.title, 256),
        "url": alert.link,
        "description": _discord_escaped(alert.what, 3000),
        "color": 0x2E7D32 if alert.resolved else 0xC62828,
        "fields": [
            {"name": name, "value": _discord_escaped(value, 600), "inline": False}
            for name, value in alert.facts.items()
        ],
    }
    return {"embeds": [embed], "allowed_mentions": {"parse": []}}


def _discord_escaped(text: str, limit: int) -> str:
    return _escaped(text, limit, {sign: f"\\{sign}" for sign in "\\*_~`|[]()<>#@:"})


def _plain(alert: Alert) -> dict[str, Any]:
    first, last = alert.days or (None, None)
    return {
        "status": "resolved" if alert.resolved else "firing",
        "title": _clean(alert.title, 300),
        "what": _clean(alert.what, 2900),
        "channel": alert.channel,
        "from": first and first.isoformat(),
        "to": last and last.isoformat(),
        "kept": alert.kept and _clean(alert.kept, 1000),
        "to_do": alert.to_do and _clean(alert.to_do, 1000),
        "link": alert.link,
    }


def _clean(text: str, limit: int) -> str:
    """Return a text on one line, without characters that are not seen, within a limit."""
    return _cut(_seen(text), limit)


def _escaped(text: str, limit: int, signs: Mapping[str, str]) -> str:
    """Return the same with signs replaced; what is cut off is never half of a replacement."""
    return _cut([signs.get(each, each) for each in _seen(text)], limit)


def _seen(text: str) -> str:
    # Control and format characters: line ends, and what turns the direction of writing around.
    shown = (" " if unicodedata.category(each) in _UNSEEN else each for each in text)
    return " ".join("".join(shown).split())


_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _cut(pieces: Iterable[str], limit: int) -> str:
    kept, length = [], 0
    for piece in pieces:
        # Services count in UTF-16.
        length += len(piece.encode("utf-16-le")) // 2
        if length > limit - 1:
            return "".join(kept) + "…"
        kept.append(piece)
    return "".join(kept)
