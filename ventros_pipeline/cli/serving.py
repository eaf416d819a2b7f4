"""`ventros up` and `ventros serve`: what runs until it is interrupted.

What belongs here: arguments, and what a person is told. What does not: serving (`serving.py` of the
package, `api/server.py`).
"""

from __future__ import annotations

from typing import Annotated

import typer

from ventros_pipeline import console
from ventros_pipeline.cli.shared import Json, open_database, read_settings


def up(as_json: Json = False) -> None:
    """Migrate the database and serve the Dagster UI until interrupted."""
    from ventros_pipeline.crm.channels import list_channels
    from ventros_pipeline.instance import open_instance, register_channels
    from ventros_pipeline.serving import serve_ui

    settings = read_settings()
    with open_database(migrated=True) as engine, open_instance(settings) as instance:
        register_channels(instance, list_channels(engine))
    url = f"http://127.0.0.1:{settings.ui_port}"
    console.result(
        {"url": url},
        as_json=as_json,
        show=lambda: console.say(f"Dagster UI: {url} (stop with Ctrl-C)"),
    )
    raise typer.Exit(serve_ui(settings))


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
