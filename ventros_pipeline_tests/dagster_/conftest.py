"""Two small channels on replayed WAHA servers, and runs of the import job over them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster import DagsterInstance
from sqlalchemy import Engine

from ventros_pipeline.build import build_defs
from ventros_pipeline.crm.channels import Channel, add_channel
from ventros_pipeline.crm.database import libpq_url
from ventros_pipeline.instance import register_channels
from ventros_pipeline.jobs.imports import CHANNEL_REPORT, HISTORY_IMPORT
from ventros_pipeline.partitions import RANGE_END, RANGE_START, partition_key
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.resources import ATTENDED, Pipeline
from ventros_pipeline.settings import Settings, get_settings
from ventros_pipeline_tests.import_.world import KEY, KEY_VARIABLE, at, message, write_account

START = date(2026, 6, 1)
ANA, BIA = "5511980000001@s.whatsapp.net", "5511980000002@s.whatsapp.net"
SECRET_TEXT = "o segredo da Ana"


@pytest.fixture(scope="session")
def defs() -> dg.Definitions:
    """The code location with a calendar from June 2026."""
    return build_defs(
        settings=Settings(history_start=START, _env_file=None)  # type: ignore[call-arg]
    )


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ReplayServer]]:
    """Two WAHA servers: three days with Ana and one of them twice, and two days with Bia."""
    first = [
        (ANA, message(ANA, "3EB0000A", at("2026-06-02 10:00"), SECRET_TEXT)),
        (ANA, message(ANA, "3EB0000B", at("2026-06-03 10:00"), "dois")),
        (ANA, message(ANA, "3EB0000C", at("2026-06-03 10:05"), "três")),
        (ANA, message(ANA, "3EB0000D", at("2026-06-05 10:00"), "quatro")),
    ]
    second = [
        (BIA, message(BIA, "3EB0000E", at("2026-06-03 12:00"), "cinco")),
        (BIA, message(BIA, "3EB0000F", at("2026-06-04 12:00"), "seis")),
    ]
    named = [{"id": "5511980000001@c.us", "name": "Ana Souza"}]
    folder = tmp_path_factory.mktemp("accounts")
    servers = [
        ReplayServer(write_account(folder / name, rows, contacts=named), api_key=KEY).start()
        for name, rows in (("first", first), ("second", second))
    ]
    yield servers
    for server in servers:
        server.stop()


@dataclass
class House:
    """A Dagster instance, the CRM behind it and the channels in it."""

    defs: dg.Definitions
    instance: DagsterInstance
    engine: Engine
    channels: list[Channel]

    def materialize(
        self,
        first: tuple[int, str],
        last: tuple[int, str] | None = None,
        *,
        tags: dict[str, str] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Run the import job for the rectangle between two (channel number, day)."""
        tags = {ATTENDED: "true", **(tags or {})}
        if last is None:
            return self._run(HISTORY_IMPORT, tags=tags, partition_key=self.key(*first))
        ends = {RANGE_START: self.key(*first), RANGE_END: self.key(*last)}
        return self._run(HISTORY_IMPORT, tags=tags | ends)

    def report(self, channel: int) -> dg.ExecuteInProcessResult:
        return self._run(CHANNEL_REPORT, partition_key=self.channels[channel].key)

    def key(self, channel: int, day: str) -> str:
        return partition_key(self.channels[channel].key, date.fromisoformat(day))

    def stanzas(self) -> list[str]:
        """Return the stanza ids of the messages in the CRM."""
        return [row["stanza_id"] for row in self.rows(STANZAS)]

    def rows(self, statement: str, **values: object) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(sa.text(statement), values).mappings()]

    def execute(self, statement: str, **values: object) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), values)

    def row_counts(self, result: dg.ExecuteInProcessResult, asset: str) -> dict[str, int]:
        """Return the row count that each partition of an asset was given."""
        return {
            str(found.partition): found.metadata["dagster/partition_row_count"].value  # type: ignore[misc]
            for found in result.asset_materializations_for_node(asset)
            if found.asset_key == dg.AssetKey(asset)
        }

    def event_log(self, result: dg.ExecuteInProcessResult) -> str:
        """Return everything that Dagster keeps of a run, as text."""
        return "\n".join(str(record) for record in self.instance.all_logs(result.run_id))

    def _run(self, job: str, **how: Any) -> dg.ExecuteInProcessResult:
        return self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance, raise_on_error=False, **how
        )


STANZAS = """
    SELECT k.stanza_id FROM messages AS m
    JOIN history_sync.message_keys AS k ON k.message_id = m.id ORDER BY 1
"""


@pytest.fixture
def house(
    defs: dg.Definitions,
    engine: Engine,
    accounts: list[ReplayServer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[House]:
    settings = {
        "VENTROS_HOME": str(tmp_path / "home"),
        "VENTROS_DATABASE_URL": libpq_url(engine.url.render_as_string(hide_password=False)),
        "VENTROS_HISTORY_START": START.isoformat(),
        "VENTROS_REQUEST_ATTEMPTS": "1",
        KEY_VARIABLE: KEY,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    channels = [
        add_channel(engine, session="default", base_url=server.url, api_key_env=KEY_VARIABLE)
        for server in accounts
    ]
    get_settings.cache_clear()
    with DagsterInstance.ephemeral() as instance:
        register_channels(instance, channels)
        yield House(defs, instance, engine, channels)
    get_settings.cache_clear()


# -- sensors -------------------------------------------------------------------------------------


class ScriptedPipeline(Pipeline):
    """A pipeline whose clock the test sets."""

    moment: ClassVar[datetime] = datetime(2026, 6, 30, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return type(self).moment


def tick(
    house: House, sensor: dg.SensorDefinition, cursor: str | None = None
) -> dg.SensorResult | dg.SkipReason:
    """Let a sensor look once, in a context of its own, as after a restart of the daemon."""
    with dg.build_sensor_context(
        instance=house.instance, resources={"pipeline": ScriptedPipeline()}, cursor=cursor
    ) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def requests_of(result: dg.SensorResult | dg.SkipReason) -> list[dg.RunRequest]:
    return list(result.run_requests or []) if isinstance(result, dg.SensorResult) else []


def execute_requests(
    house: House, requests: Iterable[dg.RunRequest], *, job: str = HISTORY_IMPORT
) -> list[dg.ExecuteInProcessResult]:
    """Run what a sensor has requested, one after the other, as the daemon would."""
    return [
        house.defs.resolve_job_def(request.job_name or job).execute_in_process(
            instance=house.instance,
            tags=dict(request.tags),
            run_config=request.run_config,
            partition_key=request.partition_key,
            raise_on_error=False,
        )
        for request in requests
    ]


@pytest.fixture(scope="session")
def scripted_defs() -> dg.Definitions:
    """The code location with a calendar from June 2026 and a clock that tests set."""
    return build_defs(
        settings=Settings(history_start=START, _env_file=None),  # type: ignore[call-arg]
        resource_overrides={"pipeline": ScriptedPipeline()},
    )


@pytest.fixture
def scripted(house: House, scripted_defs: dg.Definitions, monkeypatch: pytest.MonkeyPatch) -> House:
    """The house on 30 June 2026, noon, with runs of ten days."""
    monkeypatch.setenv("VENTROS_RUN_DAYS", "10")
    monkeypatch.setattr(ScriptedPipeline, "moment", datetime(2026, 6, 30, 12, tzinfo=UTC))
    get_settings.cache_clear()
    return replace(house, defs=scripted_defs)


def pass_time(**how: float) -> datetime:
    """Set the clock forward."""
    ScriptedPipeline.moment += timedelta(**how)
    return ScriptedPipeline.moment
