"""A channel from pairing on, with nobody starting a run: what WhatsApp has is what the CRM has.

Everything goes by a clock of the test's own: the three sensors look when their time has come, the
daily schedule comes at its time, and what they request is run.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ventros_pipeline.crm import lifecycle, plans
from ventros_pipeline.crm.checks import PROOFS, prove
from ventros_pipeline.jobs.incremental import INCREMENTAL_SYNC
from ventros_pipeline.partitions import CHANNEL
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.replay.stored import Stored, digest
from ventros_pipeline.replay.truth import Fact
from ventros_pipeline.schedules import settle_daily
from ventros_pipeline.sensors.channels import channel_sensor
from ventros_pipeline.sensors.history import history_sensor
from ventros_pipeline.sensors.incremental import incremental_sensor
from ventros_pipeline_tests.dagster_.conftest import (
    ANA,
    BIA,
    House,
    ScriptedPipeline,
    execute_requests,
    pass_time,
    requests_of,
    tick,
)
from ventros_pipeline_tests.import_.world import KEY, message, write_account

PAIRED = datetime(2026, 6, 30, 12, tzinfo=UTC)
LID, LIDS_PHONE = "210000000000007@lid", "5511980000007@s.whatsapp.net"
CHATS = (ANA, BIA, LID)
DAILY = timedelta(hours=2, minutes=37)
ACKS = ("ERROR", "PENDING", "SERVER", "DEVICE", "READ", "PLAYED")
WORDS = {0: "queued", 1: "sent", 2: "delivered", 3: "read"}
# What was deleted before it was ever read stands as WhatsApp's mark, on the engines that leave one.
ROWS = """
    SELECT k.stanza_id, m.text, m.status, m.from_me, m.deleted_at IS NULL AS is_live
    FROM messages AS m JOIN history_sync.message_keys AS k ON k.message_id = m.id
    WHERE k.duplicate_of IS NULL AND m.metadata ->> 'kind' IS DISTINCT FROM 'revoked'
"""
COVERAGE = "SELECT day, state FROM history_sync.coverage ORDER BY day"


@dataclass
class Phone:
    """The account as its owner uses it."""

    server: ReplayServer
    rng: random.Random = field(default_factory=lambda: random.Random(11))  # noqa: S311
    sent: list[str] = field(default_factory=list)

    def write(self, moment: datetime, *, ack: int = 0) -> None:
        """Let a message be written, by one side or the other."""
        chat, row = a_message(self.rng, moment, ack)
        self.server.account.put_message(chat, row)
        self.sent.append(str(row["_data"]["key"]["id"]))

    def acknowledge(self) -> None:
        """Let everything that is on its way get one step further."""
        for row in self._rows():
            ack = row.message.get("ack")
            if row.from_me and isinstance(ack, int) and 0 <= ack < 3:
                further = row.message | {"ack": ack + 1, "ackName": ACKS[ack + 2]}
                further["_data"] = row.data | {"status": ack + 2}
                self.server.account.put_message(row.chat, further)

    def edit(self, moment: datetime) -> None:
        """Let one of the last messages be corrected; WhatsApp allows that for minutes."""
        row = self._one_of_the_last()
        engine = self.server.engine
        edited = engine.edited(row, f"corrigido {moment:%H:%M}", int(moment.timestamp()))
        self.server.account.put_message(row.chat, edited)

    def revoke(self, moment: datetime) -> None:
        """Let one of the last messages be deleted for everyone; that is allowed for two days."""
        row = self._one_of_the_last()
        self.server.account.revoke(row.stanza_id)
        self.sent.remove(row.stanza_id)
        stanza = f"3EB0{self.rng.getrandbits(64):016X}"
        mark = self.server.engine.revoked(row, stanza, int(moment.timestamp()))
        if mark is not None:
            self.server.account.put_message(row.chat, mark)

    def _rows(self) -> list[Stored]:
        found = (self.server.account.row(stanza) for stanza in self.sent)
        return [Stored.parse(text) for _, text in filter(None, found)]

    def _one_of_the_last(self) -> Stored:
        return self.rng.choice(self._rows()[-4:])


@dataclass
class Automation:
    """The daemon: what it would do between two moments."""

    house: House
    cursors: dict[str, str | None] = field(default_factory=dict)
    failed: int = 0

    def turn(self) -> None:
        """Let each sensor look once, and run what they want."""
        for sensor in (channel_sensor, history_sensor, incremental_sensor):
            result = tick(self.house, sensor, self.cursors.get(sensor.name))
            if isinstance(result, dg.SensorResult):
                self.cursors[sensor.name] = result.cursor
                for added in result.dynamic_partitions_requests or []:
                    keys = list(added.partition_keys)
                    self.house.instance.add_dynamic_partitions(CHANNEL, keys)
            job = INCREMENTAL_SYNC if sensor is incremental_sensor else None
            self._run(requests_of(result), job)

    def wait(self, **how: float) -> None:
        """Let time pass, and each sensor look; the daily schedule comes when its time has."""
        now = ScriptedPipeline.moment
        moment = now + timedelta(**how)
        daily = now.replace(hour=0, minute=0) + DAILY
        daily += timedelta(days=daily <= now)
        if daily <= moment:
            pass_time(seconds=(daily - now).total_seconds())
            request = settle_daily(dg.build_schedule_context())
            assert isinstance(request, dg.RunRequest)
            self._run([request], INCREMENTAL_SYNC)
        pass_time(seconds=(moment - ScriptedPipeline.moment).total_seconds())
        self.turn()

    def _run(self, requests: list[dg.RunRequest], job: str | None) -> None:
        results = execute_requests(self.house, requests, **({"job": job} if job else {}))
        self.failed += sum(not result.success for result in results)


def a_message(rng: random.Random, moment: datetime, ack: int) -> tuple[str, dict[str, Any]]:
    from_me = rng.random() < 0.5
    stanza = f"3EB0{rng.getrandbits(64):016X}"
    second = int(moment.timestamp())
    row = message(
        chat := rng.choice(CHATS),
        stanza,
        second,
        f"mensagem {stanza[-4:]}",
        from_me=from_me,
        ack=ack if from_me else None,
    )
    if from_me:
        row["_data"]["status"] = ack + 1
    return chat, row


@pytest.fixture(params=["noweb", "webjs"])
def phone(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Phone]:
    """Ten days of history, as a phone hands over first."""
    rng = random.Random(7)  # noqa: S311
    rows = [
        a_message(rng, PAIRED - timedelta(hours=5 + 7 * number, minutes=rng.randrange(60)), 3)
        for number in range(36)
    ]
    folder = write_account(
        tmp_path / "account", rows, lids={LID: LIDS_PHONE}, contacts=[{"id": "5511980000001@c.us"}]
    )
    with ReplayServer(folder, api_key=KEY, engine=request.param) as server:
        server.control.wait_scale = 0
        yield Phone(server, sent=[str(row["_data"]["key"]["id"]) for _, row in rows])


@pytest.fixture
def accounts(phone: Phone) -> list[ReplayServer]:
    return [phone.server]


@pytest.fixture
def automation(scripted: House, monkeypatch: pytest.MonkeyPatch) -> Automation:
    """A channel that somebody has just enabled, in an instance that does not know it yet."""
    monkeypatch.setattr(ScriptedPipeline, "moment", PAIRED)
    [channel] = scripted.channels
    lifecycle.enable(scripted.engine, channel)
    scripted.instance.delete_dynamic_partition(CHANNEL, channel.key)
    return Automation(scripted)


def test_the_crm_equals_whatsapp_without_a_run_started_by_hand(
    phone: Phone, automation: Automation
) -> None:
    let_history_arrive(phone, automation)
    plan = plans.plan_of(automation.house.engine, automation.house.channels[0])
    assert plan is not None
    assert plan.status == "completed"

    let_people_write(phone, automation)
    assert not automation.failed

    let_the_server_be_down(phone, automation)
    for _ in range(4):
        automation.wait(days=1)

    house = automation.house
    assert_equal(house, phone)
    today = ScriptedPipeline.moment.date()
    days = {row["day"]: row["state"] for row in house.rows(COVERAGE) if row["day"] < today}
    assert set(days.values()) <= {"settled", "exhausted"}, days
    run_id = str(house.rows("SELECT run_id FROM history_sync.runs LIMIT 1")[0]["run_id"])
    for proof in PROOFS:
        assert prove(house.engine, house.channels[0], proof, run_id).found == 0, proof.name


def let_history_arrive(phone: Phone, automation: Automation) -> None:
    """Hand over history for an hour, some of it older than any before."""
    automation.turn()
    for _ in range(6):
        for _ in range(4):
            minutes = phone.rng.randrange(60, 60 * 24 * 27)
            phone.write(PAIRED - timedelta(minutes=minutes), ack=3)
        automation.wait(minutes=10)


def let_people_write(phone: Phone, automation: Automation) -> None:
    """Let people write, read, correct and delete for two hours."""
    for number in range(8):
        phone.write(ScriptedPipeline.moment)
        phone.write(ScriptedPipeline.moment + timedelta(minutes=3))
        phone.acknowledge()
        if number % 3 == 1:
            phone.edit(ScriptedPipeline.moment)
            phone.revoke(ScriptedPipeline.moment)
        automation.wait(minutes=15)


def let_the_server_be_down(phone: Phone, automation: Automation) -> None:
    """Take the server away for two hours, while life goes on; then wait for two more."""
    phone.server.control.status = "STOPPED"
    for _ in range(4):
        phone.write(ScriptedPipeline.moment)
        automation.wait(minutes=30)
    phone.acknowledge()
    phone.server.control.status = "WORKING"
    for _ in range(4):
        automation.wait(minutes=30)


def assert_equal(house: House, phone: Phone) -> None:
    """Compare the CRM's rows with the server's own list of what there is."""
    truth = phone.server.truth
    wanted = {fact.stanza_id: fact for fact in truth.now.values() if fact.kind != "revoked"}
    gone = {stanza for _, stanza in truth.vanished} - wanted.keys()
    rows = {row["stanza_id"]: row for row in house.rows(ROWS)}
    live = {stanza for stanza, row in rows.items() if row["is_live"]}
    assert (live - wanted.keys(), wanted.keys() - live) == (set(), set())
    assert rows.keys() - live <= gone
    wrong = [
        (rows[stanza], fact) for stanza, fact in wanted.items() if not agree(rows[stanza], fact)
    ]
    assert not wrong


def agree(row: dict[str, Any], fact: Fact) -> bool:
    is_text = digest(row["text"]) == fact.body_hash
    is_status = not row["from_me"] or row["status"] == WORDS[fact.ack or 0]
    return is_text and row["from_me"] == fact.from_me and is_status
