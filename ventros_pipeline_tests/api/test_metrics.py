"""`GET /metrics`: who may read it, what it says, and that it says it from the database alone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ventros_pipeline.crm import ledger, plans
from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.limits import DayRange, Wish
from ventros_pipeline.crm.measuring import measure
from ventros_pipeline.metrics import BY_NAME, METRICS
from ventros_pipeline_tests.api.conftest import Office, problem

TOKEN = "a token of the tests"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
DAYS = [date(2026, 6, 1), date(2026, 6, 2), date(2026, 6, 3)]
COVERAGE = """
    INSERT INTO history_sync.coverage (channel_id, day, state, rows_known) VALUES
    (:id, '2026-06-01', 'settled', 2), (:id, '2026-06-02', 'settling', 2),
    (:id, '2026-06-03', 'reading', 1)
"""
QUARANTINE = """
    INSERT INTO history_sync.quarantine
        (channel_id, row_hash, day, reason, payload, first_run, last_run, resolved_at)
    SELECT :id, n::text, '2026-06-01', reason, 'o segredo da Ana', gen_random_uuid(),
        gen_random_uuid(), CASE WHEN n = 4 THEN now() END
    FROM (VALUES (1, 'no_id'), (2, 'no_id'), (3, 'of a later version'), (4, 'no_id'))
        AS rows (n, reason)
"""
HINT = """
    INSERT INTO history_sync.hints (channel_id, event_id, event, done_at)
    VALUES (:id, '1', 'message.any', NULL), (:id, '2', 'message.any', now())
"""


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Return each sample by its name and its labels' values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def live(office: Office, channel: Channel) -> None:
    """Let a channel go through a bit of everything."""
    engine, run, failed = office.engine, str(uuid4()), str(uuid4())
    import_id = plans.request(
        engine, channel, Wish(), [DayRange(DAYS[2], DAYS[2]), DayRange(DAYS[0], DAYS[1])]
    )
    for run_id in (run, failed):
        ledger.start_run(engine, channel, run_id, DAYS[0], DAYS[-1])
        office.execute(
            "UPDATE history_sync.runs SET import_id = :import_id, "
            "started_at = now() - interval '1 minute' WHERE run_id = :run_id",
            import_id=import_id,
            run_id=run_id,
        )
    ledger.add_progress(engine, channel, run, requests=7, retries=2, messages_read=50)
    ledger.add_progress(engine, channel, run, requests=3)
    office.execute(
        "INSERT INTO history_sync.balance (run_id, channel_id, day, seen, inserted) "
        "VALUES (:run, :id, '2026-06-03', 5, 5)",
        run=run,
        id=channel.id,
    )
    ledger.end_run(engine, channel, failed, error="no", failure="transient")
    ledger.end_run(engine, channel, failed, error="no, again", failure="transient")
    for statement in (COVERAGE, QUARANTINE, HINT):
        office.execute(statement, id=channel.id)
    ledger.note_problem(engine, channel, "the key is wrong")
    ledger.open_breaker(engine, channel, timedelta(seconds=30))


def test_metrics_are_served_to_the_token_alone_and_to_nobody_without_one(
    office: Office, channel: Channel
) -> None:
    with office.client() as closed:
        for headers in ({}, HEADERS, {"Authorization": "Bearer key of owner"}):
            problem(closed.get("/metrics", headers=headers), 404, "not-found")
    twice = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer x")]
    with office.client(metrics_token=TOKEN) as client:
        for headers in (
            {},
            {"Authorization": "Bearer key of owner"},
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": f"Bearer {TOKEN[:-1]}"},
            {"X-API-Key": TOKEN},
            twice,
        ):
            said = client.get("/metrics", headers=headers)
            problem(said, 401, "unauthenticated")
            assert channel.key not in said.text
        assert client.get("/metrics", headers=HEADERS).status_code == 200
        assert "/metrics" not in client.get("/openapi.json").json()["paths"]


def test_the_figures_are_those_of_the_database_in_every_process(
    office: Office, channel: Channel
) -> None:
    live(office, channel)
    quiet = office.channel("theirs", session="quiet")
    answers = []
    for _ in range(2):
        with office.client(metrics_token=TOKEN) as client:
            answers.append(client.get("/metrics", headers=HEADERS))
    assert answers[0].headers["content-type"].startswith("text/plain; version=")
    found, again = (samples(answer.text) for answer in answers)
    assert found.keys() == again.keys()
    key = channel.key
    expected = {
        ("ventros_requests_total", key): 10,
        ("ventros_retries_total", key): 2,
        ("ventros_runs_total", key, "failed"): 1,
        ("ventros_runs_total", key, "completed"): 0,
        ("ventros_runs_running", key): 1,
        ("ventros_runs_running", quiet.key): 0,
        ("ventros_problem", key): 1,
        ("ventros_problem", quiet.key): 0,
        ("ventros_breaker_open", key): 1,
        ("ventros_breaker_openings_total", key): 1,
        ("ventros_coverage_days", key, "settled"): 1,
        ("ventros_coverage_days", key, "settling"): 1,
        ("ventros_coverage_days", key, "reading"): 1,
        ("ventros_coverage_days", key, "exhausted"): 0,
        ("ventros_quarantine_rows", key, "no_id"): 2,
        ("ventros_quarantine_rows", key, "not_json"): 0,
        ("ventros_quarantine_rows", key, "other"): 1,
        ("ventros_hints_waiting", key): 1,
        ("ventros_import_ranges", key, "waiting"): 2,
        ("ventros_import_ranges", key, "done"): 0,
        ("ventros_import_days_left", key): 2,
    }
    assert {place: found.get(place) for place in expected} == expected
    age = datetime.now(UTC) - datetime(2026, 6, 2, tzinfo=UTC)
    assert found["ventros_oldest_open_day_age_seconds", key] == pytest.approx(
        age.total_seconds(), abs=600
    )
    # 50 messages in two runs of about a minute; two of three days are left.
    assert 0 < found["ventros_import_messages_per_second", key] <= 50 / 120
    assert found["ventros_import_seconds_left", key] >= 240
    assert ("ventros_lag_seconds", key) not in found
    assert "segredo" not in answers[0].text
    assert "the key is wrong" not in answers[0].text


def test_the_lag_ends_with_a_pass_and_with_a_look_that_shows_nothing_new(
    office: Office, channel: Channel
) -> None:
    office.execute(
        "INSERT INTO history_sync.sync_state (channel_id, shown, shown_at, synced, synced_at) "
        "VALUES (:id, 'a', now() - interval '1 hour', 'a', now() - interval '3 hours')",
        id=channel.id,
    )

    def lag() -> float:
        [value] = [s.value for s in measure(office.engine) if s.metric == "ventros_lag_seconds"]
        return value

    assert lag() == pytest.approx(3600, abs=300)
    office.execute("UPDATE history_sync.sync_state SET shown = 'b', shown_at = now()")
    assert lag() == pytest.approx(3 * 3600, abs=300)
    office.execute("UPDATE channels SET last_import_date = now() AT TIME ZONE 'UTC'")
    assert lag() < 600


def test_labels_are_bounded_and_every_metric_has_a_sample_somewhere(
    office: Office, channel: Channel
) -> None:
    live(office, channel)
    office.execute(
        "UPDATE history_sync.channel_totals SET inserted = 1 WHERE channel_id = :id", id=channel.id
    )
    office.execute("UPDATE channels SET last_import_date = now() AT TIME ZONE 'UTC'")
    found = measure(office.engine)
    assert {sample.metric for sample in found} == {metric.name for metric in METRICS}
    for sample in found:
        assert re.fullmatch(r"default-[0-9a-f]{8}", sample.channel)
        values = BY_NAME[sample.metric].values
        assert sample.label in values if values else sample.label is None
    assert len(found) == len({sample[:3] for sample in found})
