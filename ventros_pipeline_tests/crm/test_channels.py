"""Channels: where the keys of WAHA servers may come from."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from ventros_pipeline.crm.channels import Channel, ChannelError, add_channel, get_channel

DATABASE = "VENTROS_DATABASE_URL"


def edited(engine: Engine, field: str, variable: str) -> Channel:
    """Return a channel whose config somebody has edited in the CRM."""
    added = add_channel(
        engine, session="default", base_url="http://127.0.0.1:9", api_key_env="WAHA_KEY"
    )
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE channels SET config = jsonb_set(config, ARRAY['auth', %(field)s],"
            " to_jsonb(%(variable)s::text))",
            {"field": field, "variable": variable},
        )
    return get_channel(engine, added.key)


@pytest.mark.parametrize("field", ["api_key_env", "hmac_key_env"])
def test_an_edited_channel_sends_no_other_secret_of_this_process_to_its_server(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    monkeypatch.setenv(DATABASE, "postgresql://u:p@db/crm")
    channel = edited(engine, field, DATABASE)
    with pytest.raises(ChannelError, match="whose name holds WAHA"):
        channel.api_key() if field == "api_key_env" else channel.webhook_key()


def test_a_channel_is_not_added_with_another_secret(engine: Engine) -> None:
    with pytest.raises(ChannelError, match="whose name holds WAHA"):
        add_channel(engine, session="default", base_url="http://127.0.0.1:9", api_key_env=DATABASE)


def test_an_address_that_is_none_is_not_repeated_for_it_may_hold_a_password(engine: Engine) -> None:
    with pytest.raises(ChannelError, match="is not one like") as refused:
        add_channel(engine, session="default", base_url="me:s3cr3t@waha", api_key_env=None)
    assert "s3cr3t" not in str(refused.value)


def test_a_variable_of_wahas_gives_the_key(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIENT_3_WAHA_KEY", "secret")
    assert edited(engine, "api_key_env", "CLIENT_3_WAHA_KEY").api_key() == "secret"
