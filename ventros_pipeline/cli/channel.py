"""`ventros channel`: the CRM's WhatsApp channels.

What belongs here: arguments, and what a person is told. What does not: what a channel is
(`crm/channels.py`) and whether it may be imported (`crm/lifecycle.py`).
"""

from __future__ import annotations

from typing import Annotated

import typer

from ventros_pipeline import console
from ventros_pipeline.cli.shared import ChannelKey, Json, open_database, read_settings

channel_app = typer.Typer(no_args_is_help=True, help="The CRM's WhatsApp channels.")


@channel_app.command("add")
def channel_add(
    session: Annotated[str, typer.Option(help="WAHA session name.")],
    url: Annotated[str, typer.Option(help="WAHA's address, like https://waha.example.com.")],
    api_key_env: Annotated[
        str | None, typer.Option(help="Variable that holds WAHA's key; the key is not stored.")
    ] = None,
    agent: Annotated[
        str | None, typer.Option(help="Agent who gets the messages; made if there is none.")
    ] = None,
    allow_groups: Annotated[bool, typer.Option("--allow-groups", help="Import groups.")] = False,
    project: Annotated[
        str | None, typer.Option(help="Project by name or id, where there are several.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Add a WAHA session as a channel of the CRM, or renew the one that is there."""
    from ventros_pipeline.crm.channels import add_channel
    from ventros_pipeline.instance import open_instance, register_channels

    with open_database(migrated=True) as engine:
        added = add_channel(
            engine,
            session=session,
            base_url=url,
            api_key_env=api_key_env,
            agent=agent,
            allow_groups=allow_groups,
            project=project,
        )
        register_channels(open_instance(read_settings()), [added])
    console.result(
        {"channel": added.key, "id": str(added.id)},
        as_json=as_json,
        show=lambda: console.say(f"channel {added.key}; next: ventros import {added.key}"),
    )


@channel_app.command("list")
def channel_list(as_json: Json = False) -> None:
    """List the WhatsApp channels of the CRM."""
    from ventros_pipeline.crm.channels import list_channels
    from ventros_pipeline.crm.lifecycle import state_of
    from ventros_pipeline.crm.plans import plan_of

    with open_database(migrated=True) as engine:
        found = [(c, state_of(engine, c), plan_of(engine, c)) for c in list_channels(engine)]
    console.result(
        {
            "channels": [
                {"channel": c.key, "id": str(c.id), "name": c.name}
                | {"import": {**state.as_json(), "progress": newest and newest.as_json()}}
                for c, state, newest in found
            ]
        },
        as_json=as_json,
        show=lambda: console.table(
            "Channels",
            ("key", "name", "WAHA", "groups", "import", "last import"),
            [
                (
                    c.key,
                    c.name,
                    c.waha_server,
                    "yes" if c.allow_groups else "no",
                    state.status if state.enabled or not state.decided else "off",
                    f"{state.last_import_at:%Y-%m-%d %H:%M} UTC" if state.last_import_at else "-",
                )
                for c, state, _ in found
            ],
        ),
    )


@channel_app.command("enable")
def channel_enable(
    channel: ChannelKey,
    agent: Annotated[
        str | None, typer.Option(help="Agent who gets the messages; the present one if omitted.")
    ] = None,
    max_days: Annotated[
        int | None, typer.Option(min=1, help="Only the last so many days; no limit if omitted.")
    ] = None,
    max_per_chat: Annotated[
        int | None,
        typer.Option(min=1, help="Only the newest messages of each chat; no limit if omitted."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Turn the import of a channel on, with these limits; `ventros import` may only narrow them."""
    from ventros_pipeline.crm import lifecycle
    from ventros_pipeline.crm.channels import get_channel

    with open_database(migrated=True) as engine:
        found = get_channel(engine, channel)
        lifecycle.enable(engine, found, agent=agent, max_days=max_days, max_per_chat=max_per_chat)
        state = lifecycle.state_of(engine, found)
    console.result(
        {"channel": found.key, "import": state.as_json()},
        as_json=as_json,
        show=lambda: console.say(f"channel {found.key} may be imported"),
    )


@channel_app.command("disable")
def channel_disable(channel: ChannelKey, as_json: Json = False) -> None:
    """Turn the import of a channel off; a run in flight goes on to its end."""
    from ventros_pipeline.crm import lifecycle
    from ventros_pipeline.crm.channels import get_channel

    with open_database(migrated=True) as engine:
        found = get_channel(engine, channel)
        lifecycle.disable(engine, found)
        state = lifecycle.state_of(engine, found)
    console.result(
        {"channel": found.key, "import": state.as_json()},
        as_json=as_json,
        show=lambda: console.say(f"channel {found.key} is not imported any more"),
    )
