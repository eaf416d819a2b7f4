"""Who may do what over HTTP: role × endpoint × tenant, and which keys are keys."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from ventros_pipeline.crm import access, plans
from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.crm.limits import Wish
from ventros_pipeline.planning import DayRange
from ventros_pipeline_tests.api.conftest import (
    NOW,
    START,
    Office,
    import_url,
    opened,
    problem,
)

# What each endpoint answers, on a channel of `ours`. On a channel of `theirs`, on one that was
# deleted and on an id that nobody has, it is 404 for all of these who have a valid key, else 401.
#                                          status  start  cancel
ANSWERS: dict[str, tuple[int, int, int]] = {
    "owner":                               (200,   202,   202),
    "admin":                               (200,   202,   202),
    "supervisor":                          (200,   202,   202),
    "agent":                               (200,   403,   403),
    "viewer":                              (200,   403,   403),
    "viewer and supervisor":               (200,   202,   202),
    "admin who may only read":             (200,   403,   403),
    "manager who is a viewer":             (200,   403,   403),
    "user with an unknown project role":   (404,   404,   404),
    "administrator of the CRM only":       (404,   404,   404),
    "admin who was removed":               (404,   404,   404),
    "admin whose agent was deleted":       (404,   404,   404),
    "admin whose agent is off":            (404,   404,   404),
    "user of no project":                  (404,   404,   404),
    "maker of the channel":                (404,   404,   404),
    "expired key":                         (401,   401,   401),
    "key that expires now":                (401,   401,   401),
    "inactive key":                        (401,   401,   401),
    "deleted key":                         (401,   401,   401),
    "suspended owner":                     (401,   401,   401),
    "deleted owner":                       (401,   401,   401),
    "key that nobody has":                 (401,   401,   401),
    "key that expires in a moment":        (200,   202,   202),
}  # fmt: skip
ENDPOINTS = (("GET", "import-status"), ("POST", "import-history"), ("POST", "cancel"))


@pytest.fixture(scope="module")
def full(postgres_server: EmbeddedServer, migrated_template: str) -> Iterator[Office]:
    with opened(postgres_server.url, migrated_template) as office:
        people(office)
        yield office


def people(office: Office) -> None:
    for owner, project in (("owner", "ours"), ("stranger", "theirs")):
        office.user(owner)
        office.project(project, owner)
    for role in ("admin", "supervisor", "agent", "viewer"):
        office.user(role)
        office.member(role, "ours", role)
    office.user("viewer and supervisor")
    office.member("viewer and supervisor", "ours", "viewer")
    office.member("viewer and supervisor", "ours", "supervisor")
    office.user("admin who may only read", role="readonly")
    office.member("admin who may only read", "ours", "admin")
    office.user("manager who is a viewer", role="manager")
    office.member("manager who is a viewer", "ours", "viewer")
    office.user("user with an unknown project role")
    office.member("user with an unknown project role", "ours", "Admin")
    office.user("administrator of the CRM only", role="admin")
    office.user("admin who was removed")
    office.member("admin who was removed", "ours", "admin", deleted_at=NOW)
    office.user("admin whose agent was deleted")
    office.member("admin whose agent was deleted", "ours", "admin", agent_deleted_at=NOW)
    office.user("admin whose agent is off")
    office.member("admin whose agent is off", "ours", "admin", agent_active=False)
    office.user("user of no project")
    office.user("maker of the channel")
    keys: dict[str, dict[str, object]] = {
        "expired key": {"key_expires_at": NOW - timedelta(seconds=1)},
        "key that expires now": {"key_expires_at": NOW},
        "key that expires in a moment": {"key_expires_at": NOW + timedelta(seconds=1)},
        "inactive key": {"key_active": False},
        "deleted key": {"key_deleted_at": NOW},
        "suspended owner": {"status": "suspended"},
        "deleted owner": {"deleted_at": NOW},
    }
    for name, columns in keys.items():
        office.user(name, **columns)
        office.member(name, "ours", "admin")


@pytest.fixture(scope="module")
def channels(full: Office) -> dict[str, UUID]:
    """Channels by whose they are."""
    ours, theirs = full.channel("ours"), full.channel("theirs")
    gone = full.channel("ours", session="gone")
    full.execute("UPDATE channels SET deleted_at = now() WHERE id = :id", id=gone.id)
    full.execute(
        "UPDATE channels SET user_id = :user WHERE id = :id",
        user=full.users["maker of the channel"],
        id=ours.id,
    )
    return {"ours": ours.id, "theirs": theirs.id, "gone": gone.id, "nobody's": uuid4()}


@pytest.fixture(scope="module")
def client(full: Office) -> Iterator[Any]:
    with full.client() as client:
        yield client


def asked(client: Any, who: str, method: str, what: str, channel_id: UUID) -> Any:
    headers = {"Authorization": f"Bearer key of {who}"}
    return client.request(method, import_url(channel_id, what), headers=headers)


@pytest.mark.parametrize("who", ANSWERS)
@pytest.mark.parametrize("number", range(len(ENDPOINTS)), ids=[what for _, what in ENDPOINTS])
def test_each_role_may_do_what_the_table_says(
    who: str, number: int, full: Office, client: Any, channels: dict[str, UUID]
) -> None:
    method, what = ENDPOINTS[number]
    channel = _channel(full, channels["ours"])
    full.cancel(channel)
    if what == "cancel":
        plans.request(full.engine, channel, Wish(), [DayRange(START, START)])
    before = plans.plan_of(full.engine, channel)
    answer = asked(client, who, method, what, channels["ours"])
    assert answer.status_code == ANSWERS[who][number], answer.text
    if answer.status_code != 202:
        assert plans.plan_of(full.engine, channel) == before


@pytest.mark.parametrize("who", ANSWERS)
@pytest.mark.parametrize(("method", "what"), ENDPOINTS, ids=[what for _, what in ENDPOINTS])
def test_a_channel_that_is_not_ours_is_not_there(
    who: str, method: str, what: str, client: Any, channels: dict[str, UUID]
) -> None:
    answers = [
        asked(client, who, method, what, channels[whose])
        for whose in ("theirs", "gone", "nobody's")
    ]
    expected = 401 if 401 in ANSWERS[who] else 404
    assert [answer.status_code for answer in answers] == [expected] * 3
    # Nothing tells them apart.
    said = [{**answer.json(), "instance": ""} for answer in answers]
    assert said[0] == said[1] == said[2]


def test_nobody_has_read_or_changed_their_channel(full: Office, channels: dict[str, UUID]) -> None:
    assert not full.value(
        "SELECT count(*) FROM history_sync.imports WHERE channel_id = :id", id=channels["theirs"]
    )


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "Bearer")],
        [("Authorization", "key of owner")],
        [("Authorization", "Basic a2V5IG9mIG93bmVy")],
        [("X-API-Key", "")],
        [("X-API-Key", "KEY OF OWNER")],
        [("X-API-Key", "key of owner' OR true --")],
        [("X-API-Key", "key of owner"), ("Authorization", "Bearer key of viewer")],
        [("Authorization", "Bearer key of owner"), ("Authorization", "Bearer key of viewer")],
        [("X-API-Key", "key of owner"), ("Authorization", "Basic a2V5IG9mIG93bmVy")],
        [("X-API-Key", "k" * 5000)],
        [("X-API-Key", "ch\xe1ve")],
        [("Cookie", "key=key of owner")],
    ],
    ids=lambda headers: " ".join(f"{n}={v[:24]}" for n, v in headers) or "nothing",
)
def test_without_one_valid_key_there_is_no_answer(
    headers: list[tuple[str, str]], client: Any, channels: dict[str, UUID]
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    for method, what in ENDPOINTS:
        answer = client.request(method, import_url(channels["ours"], what), headers=raw)
        problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_the_stored_hash_is_no_key(client: Any, channels: dict[str, UUID]) -> None:
    headers = {"X-API-Key": access.hash_of("key of owner")}
    answer = client.get(import_url(channels["ours"], "import-status"), headers=headers)
    problem(answer, 401, "unauthenticated")


def test_either_header_will_do_and_both_if_they_agree(
    client: Any, channels: dict[str, UUID]
) -> None:
    url = import_url(channels["ours"], "import-status")
    bearer, plain = {"Authorization": "bearer key of owner"}, {"X-API-Key": "key of owner"}
    for headers in (bearer, plain, bearer | plain):
        assert client.get(url, headers=headers).status_code == 200


def test_a_stranger_is_told_nothing_of_a_wrong_request(
    client: Any, channels: dict[str, UUID]
) -> None:
    url = import_url(channels["ours"], "import-history")
    for content in (b"{", b'{"strategy": 1}', b""):
        problem(client.post(url, content=content), 401, "unauthenticated")
    problem(client.get("/api/v1/crm/channels/x/import-status"), 401, "unauthenticated")


def test_no_development_setting_opens_a_door(
    full: Office, channels: dict[str, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DEBUG", "VENTROS_ENV", "ENV", "VENTROS_API_DEV", "DEV_MODE"):
        monkeypatch.setenv(name, "development")
    with full.client() as client:
        client.headers.update({"X-Dev-User-ID": str(full.users["owner"]), "X-Dev-Role": "admin"})
        for method, what in ENDPOINTS:
            problem(
                client.request(method, import_url(channels["ours"], what)), 401, "unauthenticated"
            )


def test_the_use_of_a_key_is_noted_at_most_once_a_minute(office: Office, channel: Channel) -> None:
    noted = []
    with office.client("owner") as client:
        for seconds in (0, 30, 59, 61, 62):
            office.now = NOW + timedelta(seconds=seconds)
            assert client.get(import_url(channel, "import-status")).status_code == 200
            used = office.value(
                "SELECT last_used FROM user_api_keys WHERE user_id = :id", id=office.users["owner"]
            )
            noted.append((used - NOW).total_seconds())
    assert noted == [0, 0, 0, 61, 61]


def test_no_key_is_logged(
    office: Office, channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with office.client("owner") as client:
        url = import_url(channel, "import-status")
        assert client.get(f"{url}?api_key=key%20of%20owner").status_code == 200
        client.get(url, headers={"X-API-Key": "another secret"})
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("ventros")]
    assert any("/import-status: 200 in " in line for line in ours)
    assert not [line for line in ours if "key of owner" in line or "another secret" in line]
    assert not [line for line in ours if access.hash_of("key of owner") in line]


def _channel(office: Office, channel_id: UUID) -> Channel:
    from ventros_pipeline.crm.channels import get_channel

    return get_channel(office.engine, str(channel_id))
