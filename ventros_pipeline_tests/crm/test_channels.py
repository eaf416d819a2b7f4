"""Channels: where the keys of WAHA servers may come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine

from ventros_pipeline.crm.channels import (
    Channel,
    ChannelError,
    add_channel,
    get_channel,
    list_channels,
)
from ventros_pipeline.settings import get_settings

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


def two_tenants(engine: Engine, variable: str) -> tuple[Channel, Channel]:
    """Return the channels of two projects; an owner has edited the second one's."""
    ours = add_channel(
        engine, session="default", base_url="http://127.0.0.1:9", api_key_env="WAHA_ACME_KEY"
    )
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO projects (user_id, billing_account_id, tenant_id, name)"
            " SELECT user_id, billing_account_id, 'beta', 'Beta' FROM projects WHERE id = %s",
            (ours.project_id,),
        )
        # As an API of the CRM would write it: nothing of ours is asked.
        theirs = connection.exec_driver_sql(
            "INSERT INTO channels (user_id, project_id, tenant_id, name, type, config)"
            " SELECT c.user_id, p.id, p.tenant_id, 'Theirs', 'waha', jsonb_set(c.config,"
            " '{auth,api_key_env}', to_jsonb(%s::text)) FROM channels AS c, projects AS p"
            " WHERE c.id = %s AND p.tenant_id = 'beta' RETURNING id",
            (variable, ours.id),
        ).scalar_one()
    return get_channel(engine, str(ours.id)), get_channel(engine, str(theirs))


@pytest.fixture
def say_whose(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def say(value: str) -> None:
        monkeypatch.setenv("VENTROS_KEY_VARIABLES", value)
        get_settings.cache_clear()

    yield say
    monkeypatch.undo()
    get_settings.cache_clear()


def test_no_tenant_gets_the_key_of_another_one_to_its_server(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, say_whose: Callable[[str], None]
) -> None:
    monkeypatch.setenv("WAHA_ACME_KEY", "secret")
    ours, theirs = two_tenants(engine, "WAHA_ACME_KEY")
    # Nobody has said whose it is.
    for channel in (ours, theirs):
        with pytest.raises(ChannelError, match="set VENTROS_KEY_VARIABLES"):
            channel.api_key()
    say_whose(f'{{"{ours.tenant_id}": ["WAHA_ACME_*"], "beta": ["WAHA_BETA_*"]}}')
    assert ours.api_key() == "secret"
    with pytest.raises(ChannelError, match="does not let channels of the tenant beta"):
        theirs.api_key()
    with pytest.raises(ChannelError, match="does not let channels of the tenant beta"):
        add_channel(
            engine,
            session="second",
            base_url="http://127.0.0.1:9",
            api_key_env="WAHA_ACME_KEY",
            project="Beta",
        )
    assert len(list_channels(engine)) == 2


def test_a_second_tenant_names_a_variable_only_once_somebody_said_whose_each_is(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, say_whose: Callable[[str], None]
) -> None:
    monkeypatch.setenv("WAHA_BETA_KEY", "theirs")
    ours, theirs = two_tenants(engine, "WAHA_BETA_KEY")
    second = {"session": "second", "base_url": "http://127.0.0.1:9", "api_key_env": "WAHA_BETA_KEY"}
    with pytest.raises(ChannelError, match="set VENTROS_KEY_VARIABLES"):
        add_channel(engine, project="Beta", **second)
    # Who is not in it may name none, as if the first tenant were forgotten.
    say_whose('{"beta": ["WAHA_BETA_*"]}')
    assert add_channel(engine, project="Beta", **second).api_key() == theirs.api_key() == "theirs"
    with pytest.raises(ChannelError, match="or add it there"):
        ours.api_key()
