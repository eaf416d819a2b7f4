"""Start, watch and cancel an import over HTTP."""

from __future__ import annotations

import threading
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest

from ventros_pipeline.crm import ledger, lifecycle, plans
from ventros_pipeline.crm.channels import Channel, get_channel
from ventros_pipeline.crm.limits import Wish
from ventros_pipeline.planning import DayRange
from ventros_pipeline_tests.api.conftest import NOW, START, Office, import_url, problem

TODAY = NOW.date()


def stored(office: Office) -> list[dict[str, Any]]:
    return office.rows("SELECT * FROM history_sync.imports")


def test_a_start_answers_with_the_plan_that_the_sensor_will_run(
    office: Office, channel: Channel
) -> None:
    with office.client("owner") as client:
        answer = client.post(import_url(channel, "import-history"), json={"limit": 500})
    assert answer.status_code == 202
    said = answer.json()
    [plan] = plans.open_plans(office.engine)
    assert said == {"channel": channel.key, **plan.as_json()}
    assert (plan.driver, plan.strategy, plan.max_per_chat) == ("sensor", "full", 500)
    # The newest days first, at most 31 of them in a run, back to the calendar's first day.
    assert [(days["from"], days["to"], days["state"]) for days in said["ranges"]] == [
        ("2026-05-31", "2026-06-30", "waiting"),
        ("2026-04-30", "2026-05-30", "waiting"),
        ("2026-04-01", "2026-04-29", "waiting"),
    ]
    assert said["days_total"] == (TODAY - START).days + 1
    assert answer.headers["cache-control"] == "no-store"
    status = office.value("SELECT history_import_status FROM channels WHERE id = :i", i=channel.id)
    assert status == "importing"


@pytest.mark.parametrize("body", [None, {}, {"strategy": "all"}, {"strategy": "full", "limit": 0}])
def test_everything_is_asked_for_where_nothing_is_said(
    body: dict[str, Any] | None, office: Office, channel: Channel
) -> None:
    with office.client("owner") as client:
        answer = client.post(import_url(channel, "import-history"), json=body)
    assert answer.status_code == 202
    plan = plans.plan_of(office.engine, channel)
    assert plan is not None
    assert (plan.ranges[-1].from_day, plan.ranges[0].to_day) == (START, TODAY)
    assert plan.max_per_chat is None


def test_a_range_of_time_reads_the_last_days_within_the_channels_limit(
    office: Office, channel: Channel
) -> None:
    with office.client("owner") as client:
        dry = {"strategy": "time_range", "dry_run": True}
        url = import_url(channel, "import-history")
        week = client.post(url, json={**dry, "time_range_days": 7})
        office.execute("UPDATE channels SET history_import_max_days = 3")
        three = client.post(url, json={**dry, "time_range_days": 7})
    assert week.json() == {
        "channel": channel.key,
        "dry_run": True,
        "strategy": "time_range",
        "days_total": 7,
        "ranges": [{"from": "2026-06-24", "to": "2026-06-30", "days": 7}],
    }
    assert three.json()["ranges"] == [{"from": "2026-06-28", "to": "2026-06-30", "days": 3}]


def test_a_dry_run_says_the_days_and_stores_nothing(office: Office, channel: Channel) -> None:
    before = lifecycle.state_of(office.engine, channel)
    with office.client("owner") as client:
        answer = client.post(import_url(channel, "import-history"), json={"dry_run": True})
    assert answer.status_code == 200
    assert [days["days"] for days in answer.json()["ranges"]] == [31, 31, 29]
    assert stored(office) == []
    assert office.value("SELECT count(*) FROM history_sync.plan_ranges") == 0
    assert lifecycle.state_of(office.engine, channel).status == before.status == "idle"


def test_a_second_start_is_refused_whoever_runs_the_first(office: Office, channel: Channel) -> None:
    with office.client("owner") as client:
        url = import_url(channel, "import-history")
        assert client.post(url).status_code == 202
        said = problem(client.post(url, json={"strategy": "recent"}), 409, "busy")
        assert channel.key in said["detail"]
        assert "being imported already" in said["detail"]
        assert client.post(import_url(channel, "cancel")).status_code == 202
        # One that a command began, in another process.
        with lifecycle.taking_part(office.engine, channel, "a command", Wish()):
            problem(client.post(url), 409, "busy")
        assert client.post(url).status_code == 202
    assert len(stored(office)) == 3


def test_of_many_starts_at_once_one_is_taken(office: Office, channel: Channel) -> None:
    answers: list[int] = []
    with office.client("owner") as client:

        def start() -> None:
            answers.append(client.post(import_url(channel, "import-history")).status_code)

        threads = [threading.Thread(target=start) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answers) == [202, *[409] * 11]
    assert len(stored(office)) == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("history_import_enabled = false", "turned off; turn it on with `ventros channel enable"),
        ("status = 'disconnected'", "only an active channel is imported; activate it in the CRM"),
        ("config = '{}', external_id = ''", "names no WAHA server or session"),
    ],
)
def test_a_channel_that_cannot_be_imported_is_refused_in_words(
    change: str, says: str, office: Office, channel: Channel
) -> None:
    office.execute(f"UPDATE channels SET {change}")
    with office.client("owner") as client:
        said = problem(client.post(import_url(channel, "import-history")), 422, "refused")
    assert says in said["detail"]
    assert stored(office) == []


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({"strategy": "everything"}, "body.strategy"),
        ({"strategy": "time_range"}, "body"),
        ({"strategy": "time_range", "time_range_days": 0}, "body"),
        ({"time_range_days": 30}, "body"),
        ({"time_range_days": -1}, "body.time_range_days"),
        ({"strategy": "time_range", "time_range_days": "7"}, "body.time_range_days"),
        ({"strategy": "time_range", "time_range_days": 36_501}, "body.time_range_days"),
        ({"limit": -1}, "body.limit"),
        ({"limit": 1_000_001}, "body.limit"),
        ({"limit": True}, "body.limit"),
        ({"dry_run": "yes"}, "body.dry_run"),
        ({"a secret 5511980000001": 1}, "body"),
        ([], "body"),
        ("full", "body"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong_and_not_what_it_said(
    body: Any, at: str, office: Office, channel: Channel
) -> None:
    with office.client("owner") as client:
        said = problem(
            client.post(import_url(channel, "import-history"), json=body), 422, "invalid"
        )
    assert [fault["at"] for fault in said["errors"]] == [at]
    assert "5511980000001" not in str(said)
    assert stored(office) == []


def test_what_is_not_json_is_refused(office: Office, channel: Channel) -> None:
    url = import_url(channel, "import-history")
    with office.client("owner") as client:
        json = {"content-type": "application/json"}
        problem(client.post(url, content=b"{", headers=json), 422, "invalid")
        problem(client.post(url, content=b"\xff\xfe", headers=json), 422, "invalid")
        problem(client.post(url, data={"strategy": "all"}), 415, "unsupported-media-type")
        problem(client.post(url, content=b"{}"), 415, "unsupported-media-type")
    assert stored(office) == []


def test_the_status_says_where_everything_stands(office: Office, channel: Channel) -> None:
    with office.client("owner") as client:
        url = import_url(channel, "import-status")
        fresh = client.get(url).json()
        assert (fresh["state"], fresh["progress"], fresh["coverage"]) == ("idle", None, [])
        assert fresh["balance"] == dict.fromkeys(ledger.COUNTS, 0) | {"closes": True}
        assert (fresh["channel"], fresh["id"]) == (channel.key, str(channel.id))

        client.post(import_url(channel, "import-history"))
        run(office, channel, seen=10, inserted=7, filtered=3)
        ledger.note_problem(office.engine, channel, "WAHA refuses its key")
        said = client.get(url).json()
    assert said["state"] == "importing"
    progress = said["progress"]
    assert (progress["days_done"], progress["days_total"]) == (1, 91)
    assert (progress["messages"], progress["ranges"][0]["state"]) == (10, "done")
    assert progress["rate"] > 0
    assert progress["seconds_left"] is not None
    assert said["balance"]["closes"] is True
    assert (said["balance"]["seen"], said["balance"]["filtered"]) == (10, 3)
    assert said["coverage"] == [
        {
            "state": "settling",
            "days": 1,
            "from_day": "2026-06-29",
            "to_day": "2026-06-29",
            "rows": 10,
        }
    ]
    assert said["problem"] == "WAHA refuses its key"
    assert said["problem_since"] is not None


def run(office: Office, channel: Channel, **counts: int) -> None:
    """Run the newest range of the channel's plan, with these figures for one of its days."""
    [plan] = plans.open_plans(office.engine)
    run_id = uuid4()
    taken = plans.take_range(
        office.engine, channel, plan.import_id, date(2026, 5, 31), NOW, str(run_id)
    )
    assert taken is not None
    ledger.start_run(office.engine, channel, str(run_id), taken.from_day, taken.to_day)
    lifecycle.attach_run(office.engine, channel, plan.import_id, str(run_id))
    ledger.add_progress(
        office.engine, channel, str(run_id), days_read=31, days_loaded=31, messages_read=10
    )
    office.execute(
        "UPDATE history_sync.runs SET started_at = now() - interval '20 seconds' "
        "WHERE run_id = :run_id",
        run_id=run_id,
    )
    zero = dict.fromkeys(ledger.COUNTS, 0)
    office.insert(
        "history_sync.balance",
        run_id=run_id,
        channel_id=channel.id,
        day=date(2026, 6, 29),
        reasons="{}",
        **{**zero, **counts},
    )
    office.execute(
        "INSERT INTO history_sync.coverage (channel_id, day, state, rows_known) "
        "VALUES (:id, '2026-06-29', 'settling', 10)",
        id=channel.id,
    )
    ledger.end_run(office.engine, channel, str(run_id))
    plans.end_range(office.engine, channel, plan.import_id, taken, NOW)


def test_a_balance_that_does_not_close_is_said(office: Office, channel: Channel) -> None:
    with office.client("owner") as client:
        client.post(import_url(channel, "import-history"))
        run(office, channel, seen=10, inserted=6, filtered=3)
        said = client.get(import_url(channel, "import-status")).json()
    assert said["balance"]["closes"] is False


def test_a_cancelled_import_ends_and_says_why(office: Office, channel: Channel) -> None:
    with office.client("owner") as client:
        problem(client.post(import_url(channel, "cancel")), 409, "busy")
        client.post(import_url(channel, "import-history"))
        answer = client.post(import_url(channel, "cancel"))
        assert (answer.status_code, answer.json()["status"]) == (202, "failed")
        said = client.get(import_url(channel, "import-status")).json()
        assert said["state"] == "failed"
        assert said["last_error"] == plans.CANCELLED
        problem(client.post(import_url(channel, "cancel")), 409, "busy")
    assert plans.open_plans(office.engine) == []


def test_what_is_new_is_read_from_a_day_before_the_last_complete_import(
    office: Office, channel: Channel
) -> None:
    office.now = lifecycle.state_of(office.engine, channel).now
    today = office.now.date()
    import_id = plans.request(office.engine, channel, Wish(), [DayRange(today, today)])
    taken = plans.take_range(office.engine, channel, import_id, today, office.now)
    assert taken is not None
    plans.end_range(office.engine, channel, import_id, taken, office.now)
    channel = get_channel(office.engine, channel.key)
    with office.client("owner") as client:
        url = import_url(channel, "import-history")
        answer = client.post(url, json={"strategy": "recent", "dry_run": True})
        status = client.get(import_url(channel, "import-status")).json()
    yesterday = today - timedelta(days=1)
    assert answer.json()["ranges"] == [{"from": str(yesterday), "to": str(today), "days": 2}]
    assert (status["state"], status["last_error"]) == ("completed", None)
    assert status["last_import_at"] is not None


def test_ids_that_are_none_and_addresses_that_are_none_are_problems(office: Office) -> None:
    with office.client("owner") as client:
        said = problem(
            client.get("/api/v1/crm/channels/5511980000001/import-status"), 422, "invalid"
        )
        assert said["errors"] == [{"at": "path.channel_id", "says": "it is not a UUID"}]
        problem(client.get("/api/v1/crm/channels"), 404, "not-found")
        problem(client.get("/docs"), 404, "not-found")
        wrong = client.delete(import_url(uuid4(), "import-status"))
        problem(wrong, 405, "method-not-allowed")
        assert wrong.headers["allow"] == "GET"


def test_the_process_lives_without_a_database_and_is_ready_only_with_one(office: Office) -> None:
    with office.client() as client:
        assert client.get("/health").json() == {"status": "ok"}
        ready = client.get("/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        newest = "(SELECT max(name) FROM history_sync.applied_sql)"
        office.execute(f"DELETE FROM history_sync.applied_sql WHERE name = {newest}")
        said = problem(client.get("/ready"), 503, "unavailable")
        assert "ventros db migrate" in said["detail"]
        office.execute("ALTER SCHEMA history_sync RENAME TO gone")
        problem(client.get("/ready"), 503, "unavailable")
        assert client.get("/health").status_code == 200
