"""`ventros healthy`: whether a part that runs on this host does its work, for whoever restarts it.

What belongs here: which question is asked of which part. What does not: what a person should mend
(`ventros doctor`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ventros_pipeline import console
from ventros_pipeline.cli.shared import Json, read_settings

if TYPE_CHECKING:
    from ventros_pipeline.settings import Settings

ANSWER_SECONDS = 5.0


class Part(StrEnum):
    """What a container of an installation does."""

    API = "api"
    WEBSERVER = "webserver"
    DAEMON = "daemon"
    CODE = "code"
    WORKER = "worker"


def healthy(
    part: Annotated[Part, typer.Argument(help="What runs on this host.")],
    port: Annotated[int, typer.Option(help="Port of the API.")] = 8090,
    name: Annotated[str, typer.Option(help="Name of the worker, as it was given.")] = "%h",
    as_json: Json = False,
) -> None:
    """Ask a part on this host whether it works; exit 1 if it does not. For health checks."""
    settings = read_settings()
    if part is Part.API:
        works = _answers(f"http://127.0.0.1:{port}/ready")
    elif part is Part.WEBSERVER:
        works = _answers(f"http://127.0.0.1:{settings.ui_port}/server_info")
    elif part is Part.CODE:
        works = _serves_code(settings)
    elif part is Part.DAEMON:
        from ventros_pipeline.daemons import beats

        works = beats(settings)
    else:
        from ventros_pipeline.instance import worker_broker

        broker = worker_broker(settings)
        from ventros_pipeline.workers import answers

        works = answers(broker, name)
    console.result(
        {"part": part.value, "healthy": works},
        as_json=as_json,
        show=lambda: console.say(f"The {part.value} {'works' if works else 'does not answer'}"),
    )
    if not works:
        raise typer.Exit(1)


def _answers(url: str) -> bool:
    import httpx

    try:
        return httpx.get(url, timeout=ANSWER_SECONDS).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _serves_code(settings: Settings) -> bool:
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    port = (settings.code_server or "").rpartition(":")[2]
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            said = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service="DagsterApi"), timeout=ANSWER_SECONDS
            )
        except grpc.RpcError:
            return False
    return bool(said.status == health_pb2.HealthCheckResponse.SERVING)
