"""`ventros demo` and `ventros replay`: an account folder in the place of WhatsApp.

What belongs here: arguments, and what a person is told. What does not: the replayed server
(`replay/`) and the demo's channel (`demo.py` of the package).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ventros_pipeline import console
from ventros_pipeline.cli.importing import plan_import, run_import
from ventros_pipeline.cli.report import show_report
from ventros_pipeline.cli.shared import Json, open_database, read_settings
from ventros_pipeline.settings import SettingsError


def demo(
    account: Annotated[
        Path | None, typer.Option(help="Folder of an account; the bundled one if omitted.")
    ] = None,
    no_ui: Annotated[bool, typer.Option("--no-ui", help="Exit when the import is done.")] = False,
    as_json: Json = False,
) -> None:
    """Import a replayed WhatsApp account end to end: WAHA, archive, CRM, checks, report."""
    from ventros_pipeline.demo import demo_channel
    from ventros_pipeline.report import report_of

    # The replayed server needs no courtesy; the processes of the UI inherit this.
    os.environ.setdefault("VENTROS_WAHA_RATE", "1000")
    settings = read_settings()
    if settings.env == "production":
        raise SettingsError("VENTROS_ENV=production refuses the demo")
    with open_database(migrated=True) as engine, demo_channel(engine, account) as channel:
        console.say(f"WAHA is replayed at {channel.base_url}, as channel {channel.key}")
        wish, plan, _ = plan_import(engine, channel, None, None)
        done = run_import(engine, channel, wish, plan)
        report = report_of(engine, channel, start=settings.history_start)
        console.result(
            {"import": done.as_json(), "report": report.as_json()},
            as_json=as_json,
            show=lambda: show_report(report),
        )
        if sys.stdout.isatty() and not no_ui and not as_json:
            from ventros_pipeline.serving import serve_ui

            console.say(f"Dagster UI: http://127.0.0.1:{settings.ui_port} (stop with Ctrl-C)")
            raise typer.Exit(serve_ui(settings))


def replay(
    directory: Annotated[Path, typer.Argument(help="Folder of an account.", exists=True)],
    port: Annotated[int, typer.Option(help="Port on loopback; 0 takes a free one.")] = 3001,
    engine: Annotated[str, typer.Option(help="WAHA engine to imitate.")] = "noweb",
    latency_ms: Annotated[int, typer.Option(help="Milliseconds added to every answer.")] = 0,
    faults: Annotated[
        str, typer.Option(help="How badly it behaves: none, flaky or hostile.")
    ] = "none",
    seed: Annotated[int, typer.Option(help="Which faults; the same seed, the same ones.")] = 0,
    api_key: Annotated[
        str, typer.Option(help="The key that clients must send; any will do if omitted.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Serve a recorded or generated account as a WAHA server, until interrupted."""
    from ventros_pipeline.replay.server import serve

    if read_settings().env == "production":
        raise SettingsError("VENTROS_ENV=production refuses the replay server")

    def ready(url: str) -> None:
        console.result(
            {"url": url},
            as_json=as_json,
            show=lambda: console.say(f"WAHA is replayed at {url} (stop with Ctrl-C)"),
        )

    try:
        serve(
            directory,
            port=port,
            engine=engine,
            latency_ms=latency_ms,
            api_key=api_key,
            faults=faults,
            seed=seed,
            ready=ready,
        )
    except ValueError as error:
        raise console.fail(str(error), code=2) from error
    except KeyboardInterrupt:
        console.say("stopped")
