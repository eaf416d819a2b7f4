"""WAHA's webhooks: what is taken, what is kept of it, and what is refused."""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.waha.events import is_signed, signature_of
from ventros_pipeline_tests.api.conftest import (
    NOW,
    SESSION,
    WEBHOOK_KEY,
    Office,
    opened,
    problem,
)

PHONE, SECRET_TEXT = "5511987654321", "o segredo da Ana"
SENT = int(NOW.timestamp() * 1000)
# The vector of WAHA's documentation.
VECTOR = (
    b'{"event":"message","session":"default","engine":"WEBJS"}',
    "my-secret-key",
    "208f8a55dde9e05519e898b10b89bf0d0b3b0fdf11fdbf09b6b90476301b98d80"
    "97c462b2b17a6ce93b6b47a136cf2e78a33a63f6752c2c1631777076153fa89",
)


def envelope(event: str, payload: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return an envelope as WAHA 2026.7.1 sends it."""
    return {
        "id": f"evt_{uuid4().hex[:26]}",
        "timestamp": SENT,
        "event": event,
        "session": SESSION,
        "metadata": {},
        "me": {"id": "5511900000000@c.us", "pushName": "CRM"},
        "payload": payload or {},
        "environment": {"version": "2026.7.1", "engine": "GOWS", "tier": "CORE"},
        "engine": "GOWS",
    } | changes


TEXT_MESSAGE = {
    "id": f"false_{PHONE}@c.us_3EB0AAAAAAAAAAAAAAAA",
    "timestamp": int(NOW.timestamp()) - 5,
    "from": f"{PHONE}@c.us",
    "fromMe": False,
    "body": SECRET_TEXT,
    "hasMedia": False,
    "ack": 1,
    "_data": {"Info": {"PushName": "Ana"}},
}


@dataclass
class Webhook:
    """A request as WAHA sends it; each forgery changes one thing."""

    channel_id: object
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, channel: Channel, event: dict[str, Any], key: str = WEBHOOK_KEY) -> Webhook:
        body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {
            "content-type": "application/json",
            "x-webhook-request-id": "01kg0000000000000000000000",
            "x-webhook-timestamp": str(SENT),
            "x-webhook-hmac": signature_of(key, body),
            "x-webhook-hmac-algorithm": "sha512",
            "user-agent": "WAHA/2026.7.1",
        }
        return cls(channel.id, body, headers)

    def headed(self, **headers: str | None) -> Webhook:
        """Return it with other headers; None leaves one out."""
        changed = {n.replace("_", "-"): v for n, v in headers.items()}
        merged: dict[str, str | None] = {**self.headers, **changed}
        return replace(self, headers={n: v for n, v in merged.items() if v is not None})

    def signed(self, key: str = WEBHOOK_KEY) -> Webhook:
        return self.headed(x_webhook_hmac=signature_of(key, self.body))

    def saying(self, **changes: Any) -> Webhook:
        """Return it with another body, signed anew."""
        body = json.dumps({**json.loads(self.body), **changes}).encode()
        return replace(self, body=body).signed()

    def send(self, client: httpx.Client) -> httpx.Response:
        url = f"/api/v1/waha/channels/{self.channel_id}/events"
        return client.post(url, content=self.body, headers=self.headers)


@pytest.fixture(scope="module")
def crm(postgres_server: EmbeddedServer, migrated_template: str) -> Iterator[Office]:
    with opened(postgres_server.url, migrated_template) as office:
        for owner, project in (("owner", "ours"), ("stranger", "theirs")):
            office.user(owner)
            office.project(project, owner)
        yield office


@pytest.fixture(scope="module")
def ours(crm: Office) -> Channel:
    return crm.channel("ours")


@pytest.fixture(scope="module")
def theirs(crm: Office) -> Channel:
    return crm.channel("theirs", session="another")


@pytest.fixture(scope="module")
def serving(crm: Office) -> Iterator[httpx.Client]:
    with crm.client() as client:
        yield client


@pytest.fixture
def client(crm: Office, serving: httpx.Client) -> httpx.Client:
    crm.now = NOW
    crm.execute("DELETE FROM history_sync.hints")
    return serving


def hints(office: Office) -> list[dict[str, Any]]:
    return office.rows("SELECT * FROM history_sync.hints ORDER BY received_at, event_id")


def test_the_signature_is_that_of_wahas_documentation() -> None:
    body, key, signature = VECTOR
    assert signature_of(key, body) == signature
    assert is_signed(key, body, signature)
    for other in ("", signature[:-1], signature.upper(), signature + " ", "ã" * 128):
        assert not is_signed(key, body, other)
    assert not is_signed(key, body + b"\n", signature)


AT = datetime.fromtimestamp(int(NOW.timestamp()) - 5, UTC)
STANZA = "3EB0AAAAAAAAAAAAAAAA"
# What is kept of each event: which message, and its own time where the event tells it.
KEPT: dict[str, tuple[str, dict[str, Any], str | None, datetime | None]] = {
    "a message": ("message.any", TEXT_MESSAGE, STANZA, AT),
    "one of ours": (
        "message.any",
        {**TEXT_MESSAGE, "id": f"true_{PHONE}@c.us_{STANZA}", "fromMe": True},
        STANZA,
        AT,
    ),
    "a message with a bare id": ("message.any", {**TEXT_MESSAGE, "id": STANZA}, STANZA, AT),
    "a message without a time": ("message.any", {**TEXT_MESSAGE, "timestamp": None}, STANZA, None),
    "a message of no time": ("message.any", {**TEXT_MESSAGE, "timestamp": 0}, STANZA, None),
    "an ack": (
        "message.ack",
        {"id": f"true_{PHONE}@c.us_{STANZA}", "from": f"{PHONE}@c.us", "ack": 3},
        STANZA,
        None,
    ),
    "an edit": (
        "message.edited",
        {**TEXT_MESSAGE, "id": f"false_{PHONE}@c.us_BBBB", "editedMessageId": STANZA},
        STANZA,
        None,
    ),
    "a revoke without the message": (
        "message.revoked",
        {"after": {**TEXT_MESSAGE, "id": "BBBB"}, "revokedMessageId": STANZA, "before": None},
        STANZA,
        None,
    ),
    "a revoke with the message": (
        "message.revoked",
        {"after": {"id": "BBBB"}, "revokedMessageId": None, "before": TEXT_MESSAGE},
        STANZA,
        AT,
    ),
    "a reaction": (
        "message.reaction",
        {
            "id": f"false_{PHONE}@c.us_BBBB",
            "from": f"{PHONE}@c.us",
            "timestamp": 1710481111.853,
            "reaction": {"text": "🙏", "messageId": f"true_{PHONE}@c.us_{STANZA}"},
        },
        STANZA,
        None,
    ),
    "a session's status": ("session.status", {"status": "WORKING"}, None, None),
    "a message whose id is an address": (
        "message.any",
        {**TEXT_MESSAGE, "id": f"{PHONE}@c.us"},
        None,
        AT,
    ),
    "a payload that is none": ("message.any", [PHONE], None, None),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("what", KEPT)
def test_an_event_is_kept_as_a_hint_that_names_a_message_and_holds_none_of_it(
    what: str, crm: Office, client: httpx.Client, ours: Channel
) -> None:
    name, payload, stanza, at = KEPT[what]
    webhook = Webhook.of(ours, envelope(name, payload))
    answer = webhook.send(client)
    assert (answer.status_code, answer.json()) == (202, {"stored": True, "reason": None})
    [hint] = hints(crm)
    assert hint == {
        "channel_id": ours.id,
        "event_id": json.loads(webhook.body)["id"],
        "event": name,
        "stanza_id": stanza,
        "message_at": at,
        "received_at": NOW,
        "done_at": None,
    }
    assert PHONE not in str(hint)


def test_what_the_phone_wrote_is_repaired_before_it_is_read(
    crm: Office, client: httpx.Client, ours: Channel
) -> None:
    event = envelope("message.any", TEXT_MESSAGE)
    body = json.dumps(event).replace(SECRET_TEXT, "\\u0000 \\ud83d").encode()
    assert replace(Webhook.of(ours, event), body=body).signed().send(client).status_code == 202
    assert len(hints(crm)) == 1


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (envelope("presence.update"), "change nothing"),
        (envelope("message.waiting"), "change nothing"),
        (envelope("message"), "change nothing"),
        (envelope("a new kind of event"), "change nothing"),
        (
            envelope("message.any", {**TEXT_MESSAGE, "from": "x", "id": "false_1@newsletter_A"}),
            "kind",
        ),
        (
            envelope("message.any", {**TEXT_MESSAGE, "id": "false_status@broadcast_A_1@c.us"}),
            "kind",
        ),
        (envelope("message.ack", {"id": "true_12036300@g.us_A_1@lid"}), "no groups"),
    ],
)
def test_an_event_that_changes_nothing_is_answered_and_not_kept(
    event: dict[str, Any], reason: str, crm: Office, client: httpx.Client, ours: Channel
) -> None:
    answer = Webhook.of(ours, event).send(client)
    assert answer.status_code == 202
    assert answer.json()["stored"] is False
    assert reason in answer.json()["reason"]
    assert hints(crm) == []


def test_an_event_sent_again_changes_nothing(
    crm: Office, client: httpx.Client, ours: Channel
) -> None:
    webhook = Webhook.of(ours, envelope("message.any", TEXT_MESSAGE))
    assert webhook.send(client).status_code == 202
    before = hints(crm)
    crm.execute("UPDATE history_sync.hints SET done_at = :now", now=NOW)
    crm.now = NOW + timedelta(minutes=1)
    for _ in range(3):
        answer = webhook.send(client)
        assert answer.status_code == 200
        assert answer.json() == {"stored": False, "reason": "it is known already"}
    assert hints(crm) == [{**before[0], "done_at": NOW}]


Forge = Callable[[Webhook, Channel], Webhook]
LATE = timedelta(minutes=10, seconds=1)
MINUTES = 60_000


def moved(webhook: Webhook, minutes: int, *, header: bool = True, body: bool = True) -> Webhook:
    if body:
        webhook = webhook.saying(timestamp=SENT + minutes * MINUTES)
    return webhook.headed(x_webhook_timestamp=str(SENT + minutes * MINUTES)) if header else webhook


def altered(webhook: Webhook, old: bytes, new: bytes) -> Webhook:
    assert old in webhook.body
    return replace(webhook, body=webhook.body.replace(old, new, 1))


# One thing is wrong with each: (what is done to a good one, the answer).
FORGED: dict[str, tuple[Forge, int, str]] = {
    "no signature": (lambda w, _: w.headed(x_webhook_hmac=None), 401, "unauthenticated"),
    "an empty signature": (lambda w, _: w.headed(x_webhook_hmac=""), 401, "unauthenticated"),
    "another key": (lambda w, _: w.signed("another key of sixteen"), 401, "unauthenticated"),
    "an empty key": (lambda w, _: w.signed(""), 401, "unauthenticated"),
    "the key that a missing channel has": (
        lambda w, _: replace(w, channel_id=uuid4()).signed("no channel has this key"),
        401,
        "unauthenticated",
    ),
    "a signature of another body": (
        lambda w, _: w.headed(x_webhook_hmac=signature_of(WEBHOOK_KEY, b"{}")),
        401,
        "unauthenticated",
    ),
    "the first half of the signature": (
        lambda w, _: w.headed(x_webhook_hmac=w.headers["x-webhook-hmac"][:64]),
        401,
        "unauthenticated",
    ),
    "one digit of the signature changed": (
        lambda w, _: w.headed(
            x_webhook_hmac=("1" if w.headers["x-webhook-hmac"][0] == "0" else "0")
            + w.headers["x-webhook-hmac"][1:]
        ),
        401,
        "unauthenticated",
    ),
    "a signature in another alphabet": (
        lambda w, _: w.headed(x_webhook_hmac="z" * 128),
        401,
        "unauthenticated",
    ),
    "a signature by sha256": (
        lambda w, _: w.headed(
            x_webhook_hmac=hmac.new(WEBHOOK_KEY.encode(), w.body, "sha256").hexdigest(),
            x_webhook_hmac_algorithm="sha256",
        ),
        401,
        "unauthenticated",
    ),
    "a right signature called sha256": (
        lambda w, _: w.headed(x_webhook_hmac_algorithm="sha256"),
        401,
        "unauthenticated",
    ),
    "no algorithm": (
        lambda w, _: w.headed(x_webhook_hmac_algorithm=None),
        401,
        "unauthenticated",
    ),
    "the key itself as the signature": (
        lambda w, _: w.headed(x_webhook_hmac=WEBHOOK_KEY),
        401,
        "unauthenticated",
    ),
    "another event": (
        lambda w, _: altered(w, b"message.any", b"message.ack"),
        401,
        "unauthenticated",
    ),
    "another message": (lambda w, _: altered(w, b"3EB0A", b"3EB0B"), 401, "unauthenticated"),
    "another id of the envelope": (
        lambda w, _: altered(w, b"evt_", b"evs_"),
        401,
        "unauthenticated",
    ),
    "another session in the body": (
        lambda w, _: altered(w, b'"session":"default"', b'"session":"another"'),
        401,
        "unauthenticated",
    ),
    "a space at the end": (lambda w, _: replace(w, body=w.body + b" "), 401, "unauthenticated"),
    "no body": (lambda w, _: replace(w, body=b""), 401, "unauthenticated"),
    "the same JSON written otherwise": (
        lambda w, _: replace(w, body=json.dumps(json.loads(w.body), indent=1).encode()),
        401,
        "unauthenticated",
    ),
    "no timestamp": (lambda w, _: w.headed(x_webhook_timestamp=None), 401, "unauthenticated"),
    "a timestamp that is none": (
        lambda w, _: w.headed(x_webhook_timestamp="now"),
        401,
        "unauthenticated",
    ),
    "a timestamp in seconds": (
        lambda w, _: w.headed(x_webhook_timestamp=str(SENT // 1000)),
        401,
        "unauthenticated",
    ),
    "a timestamp of eleven minutes ago": (
        lambda w, _: moved(w, -11, body=False),
        401,
        "unauthenticated",
    ),
    "a timestamp in eleven minutes": (
        lambda w, _: moved(w, 11, body=False),
        401,
        "unauthenticated",
    ),
    "an old body under a new timestamp": (
        lambda w, _: moved(w, -11, header=False),
        401,
        "unauthenticated",
    ),
    "a body of the future under a new timestamp": (
        lambda w, _: moved(w, 11, header=False),
        401,
        "unauthenticated",
    ),
    "a good one of ours sent to another company's channel": (
        lambda w, theirs: replace(w, channel_id=theirs.id),
        403,
        "forbidden",
    ),
    "a good one sent to a channel that does not exist": (
        lambda w, _: replace(w, channel_id=uuid4()),
        401,
        "unauthenticated",
    ),
    "an envelope without an id": (lambda w, _: w.saying(id=None), 422, "invalid"),
    "an envelope whose id is a phone number": (
        lambda w, _: w.saying(id=f"+{PHONE}@c.us"),
        422,
        "invalid",
    ),
    "an envelope whose id is endless": (lambda w, _: w.saying(id="e" * 65), 422, "invalid"),
    "an envelope without a session": (lambda w, _: w.saying(session=None), 422, "invalid"),
    "an envelope without a time": (lambda w, _: w.saying(timestamp=None), 422, "invalid"),
    "an envelope in seconds": (
        lambda w, _: w.saying(timestamp=SENT // 1000),
        401,
        "unauthenticated",
    ),
    "a signed list": (lambda w, _: replace(w, body=b"[]").signed(), 422, "invalid"),
    "a signed text": (lambda w, _: replace(w, body=b"{\xff").signed(), 422, "invalid"),
    "a form": (
        lambda w, _: w.headed(content_type="application/x-www-form-urlencoded"),
        415,
        "unsupported-media-type",
    ),
}


@pytest.mark.parametrize("what", FORGED)
def test_what_is_forged_replayed_or_altered_is_refused(
    what: str, crm: Office, client: httpx.Client, ours: Channel, theirs: Channel
) -> None:
    forge, status, kind = FORGED[what]
    webhook = forge(Webhook.of(ours, envelope("message.any", deepcopy(TEXT_MESSAGE))), theirs)
    said = problem(webhook.send(client), status, kind)
    assert not {PHONE, SECRET_TEXT, WEBHOOK_KEY} & set(str(said).split())
    assert hints(crm) == []


def test_a_good_one_replayed_later_is_refused(
    crm: Office, client: httpx.Client, ours: Channel
) -> None:
    webhook = Webhook.of(ours, envelope("message.any", TEXT_MESSAGE))
    assert webhook.send(client).status_code == 202
    crm.now = NOW + LATE
    problem(webhook.send(client), 401, "unauthenticated")
    # Not even when its hint was forgotten and the header, which is not signed, is made new.
    crm.execute("DELETE FROM history_sync.hints")
    fresh = webhook.headed(x_webhook_timestamp=str(int(crm.now.timestamp() * 1000)))
    problem(fresh.send(client), 401, "unauthenticated")
    assert hints(crm) == []


def test_a_header_that_is_sent_twice_is_none(
    crm: Office, client: httpx.Client, ours: Channel
) -> None:
    webhook = Webhook.of(ours, envelope("message.any", TEXT_MESSAGE))
    twice = [*webhook.headers.items(), ("x-webhook-hmac", "0" * 128)]
    url = f"/api/v1/waha/channels/{ours.id}/events"
    problem(client.post(url, content=webhook.body, headers=twice), 401, "unauthenticated")
    assert hints(crm) == []


def test_without_a_key_nothing_is_taken(office: Office, channel: Channel) -> None:
    event = envelope("message.any", TEXT_MESSAGE)
    with office.client(webhook_hmac_key=None) as client:
        for webhook in (
            Webhook.of(channel, event),
            Webhook.of(channel, event, key=""),
            Webhook.of(channel, event).headed(x_webhook_hmac=None),
        ):
            said = problem(webhook.send(client), 503, "turned-off")
    assert "VENTROS_WEBHOOK_HMAC_KEY" in said["detail"]
    assert hints(office) == []


def test_a_channel_may_have_a_key_of_its_own(
    office: Office, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.execute(
        "UPDATE channels SET config = "
        """jsonb_set(config, '{auth}', '{"hmac_key_env": "OUR_WAHA_HOOK"}')"""
    )
    event = envelope("message.any", TEXT_MESSAGE)
    with office.client() as client:
        # Its variable is not set: then nothing is taken, not even under the common key.
        problem(Webhook.of(channel, event).send(client), 503, "turned-off")
        monkeypatch.setenv("OUR_WAHA_HOOK", "a key of our own")
        problem(Webhook.of(channel, event).send(client), 401, "unauthenticated")
        assert Webhook.of(channel, event, "a key of our own").send(client).status_code == 202
    assert len(hints(office)) == 1


def test_nothing_of_a_message_is_logged(
    crm: Office, client: httpx.Client, ours: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    Webhook.of(ours, envelope("message.any", TEXT_MESSAGE)).send(client)
    Webhook.of(ours, envelope("message.any", TEXT_MESSAGE), "wrong").send(client)
    lines = "\n".join(record.getMessage() for record in caplog.records)
    assert "/events: 202 in " in lines
    assert not [word for word in (PHONE, SECRET_TEXT, WEBHOOK_KEY, STANZA) if word in lines]


def test_what_waha_recorded_is_understood(client: httpx.Client, crm: Office, ours: Channel) -> None:
    """Two ids as engines write them: WEBJS in a group, and an ack of a group."""
    crm.execute("UPDATE channels SET allow_groups = true WHERE id = :id", id=ours.id)
    ids = {
        "message.any": "false_120363843238473358@g.us_3EB059BD27A43D873EA3C1_25248929634436@lid",
        "message.ack": "true_120363000000000001@g.us_4CC5EDD64BC22EBA6D63_100000000000001@lid",
    }
    for name, message_id in ids.items():
        assert Webhook.of(ours, envelope(name, {"id": message_id})).send(client).status_code == 202
    crm.execute("UPDATE channels SET allow_groups = false WHERE id = :id", id=ours.id)
    found = {hint["event"]: hint["stanza_id"] for hint in hints(crm)}
    assert found == {
        "message.any": "3EB059BD27A43D873EA3C1",
        "message.ack": "4CC5EDD64BC22EBA6D63",
    }
