"""The channel sensor: keys are added for channels whose import is on, and never taken away."""

from __future__ import annotations

import dagster as dg
import pytest
from sqlalchemy.exc import DBAPIError

from ventros_pipeline.crm import lifecycle
from ventros_pipeline.partitions import CHANNEL
from ventros_pipeline.sensors.channels import channel_sensor
from ventros_pipeline_tests.dagster_.conftest import House, tick


@pytest.fixture(autouse=True)
def unknown(scripted: House) -> None:
    """No channel is a partition key yet."""
    for key in known(scripted):
        scripted.instance.delete_dynamic_partition(CHANNEL, key)


def known(house: House) -> list[str]:
    return sorted(house.instance.get_dynamic_partitions(CHANNEL))


def look(house: House) -> None:
    """Let the sensor look, and do what it asks for as the daemon does."""
    result = tick(house, channel_sensor)
    for request in (
        result.dynamic_partitions_requests or [] if isinstance(result, dg.SensorResult) else []
    ):
        assert isinstance(request, dg.AddDynamicPartitionsRequest)
        house.instance.add_dynamic_partitions(
            request.partitions_def_name, list(request.partition_keys)
        )


def test_channels_whose_import_is_on_become_partition_keys(scripted: House) -> None:
    look(scripted)
    assert known(scripted) == []
    lifecycle.enable(scripted.engine, scripted.channels[0])
    look(scripted)
    assert known(scripted) == [scripted.channels[0].key]
    lifecycle.enable(scripted.engine, scripted.channels[1])
    look(scripted)
    assert known(scripted) == sorted(channel.key for channel in scripted.channels)


def test_a_tick_without_news_says_so(scripted: House) -> None:
    lifecycle.enable(scripted.engine, scripted.channels[0])
    look(scripted)
    skipped = tick(scripted, channel_sensor)
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == "all 1 channels are known"


def test_a_disabled_or_deleted_channel_keeps_its_key(scripted: House) -> None:
    for channel in scripted.channels:
        lifecycle.enable(scripted.engine, channel)
    look(scripted)
    before = known(scripted)
    lifecycle.disable(scripted.engine, scripted.channels[0])
    scripted.execute(
        "UPDATE channels SET deleted_at = now() WHERE id = :id", id=scripted.channels[1].id
    )
    look(scripted)
    assert known(scripted) == before


def test_only_whatsapp_channels_become_keys(scripted: House) -> None:
    for channel in scripted.channels:
        lifecycle.enable(scripted.engine, channel)
    scripted.execute(
        "UPDATE channels SET type = 'whatsapp_business' WHERE id = :id", id=scripted.channels[0].id
    )
    scripted.execute(
        "UPDATE channels SET type = 'telegram' WHERE id = :id", id=scripted.channels[1].id
    )
    look(scripted)
    assert known(scripted) == [scripted.channels[0].key]


def test_a_read_that_fails_removes_nothing(scripted: House) -> None:
    lifecycle.enable(scripted.engine, scripted.channels[0])
    look(scripted)
    scripted.execute("ALTER TABLE channels RENAME TO away")
    with pytest.raises(DBAPIError):
        look(scripted)
    assert known(scripted) == [scripted.channels[0].key]
