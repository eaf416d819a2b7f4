"""`ventros up` and `ventros serve`: what runs until it is interrupted.

What belongs here: arguments, and what a person is told. What does not: serving (`serving.py` of the
package, `api/server.py`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, NoReturn

import typer

from ventros_pipeline import console
from ventros_pipeline.cli.shared import Json, open_database, read_settings
from ventros_pipeline.settings import Settings


class Part(StrEnum):
    """What can be served alone."""

    WEBSERVER = "webserver"
    DAEMON = "daemon"
    CODE = "code"


def up(
    only: Annotated[
        Part | None,
        typer.Option(help="Serve this part alone, on a database that is migrated already."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address that a part listens on; there is no login before it.")
    ] = "127.0.0.1",
    as_json: Json = False,
) -> None:
    """Migrate the database and serve the Dagster UI until interrupted."""
    from ventros_pipeline.crm.channels import list_channels
    from ventros_pipeline.instance import open_instance, register_channels
    from ventros_pipeline.serving import serve_ui

    settings = read_settings()
    if only is not None:
        _serve_part(settings, only, host, as_json)
    with open_database(migrated=True) as engine, open_instance(settings) as instance:
        register_channels(instance, list_channels(engine))
    url = f"http://127.0.0.1:{settings.ui_port}"
    console.result(
        {"url": url},
        as_json=as_json,
        show=lambda: console.say(f"Dagster UI: {url} (stop with Ctrl-C)"),
    )
    raise typer.Exit(serve_ui(settings))


def _serve_part(settings: Settings, part: Part, host: str, as_json: bool) -> NoReturn:
    from ventros_pipeline.crm.migrate import refuse_pending
    from ventros_pipeline.instance import prepare_home
    from ventros_pipeline.serving import serve_part

    with open_database() as engine:
        refuse_pending(engine)
    prepare_home(settings)
    console.result(
        {"part": part.value, "host": host},
        as_json=as_json,
        show=lambda: console.say(f"Serving the {part.value} (stop with Ctrl-C)"),
    )
    serve_part(settings, part.value, host)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8090,
    as_json: Json = False,
) -> None:
    """Migrate the database and serve the HTTP API until interrupted."""
    from ventros_pipeline.api import server

    with open_database(migrated=True):
        pass

    def ready(url: str) -> None:
        console.result(
            {"url": url},
            as_json=as_json,
            show=lambda: console.say(f"HTTP API: {url}/openapi.json (stop with Ctrl-C)"),
        )

    server.serve(read_settings(), host, port, ready)
