"""Runs the application with uvicorn, as `ventros serve` does.

What belongs here: the server's own limits, the log, the connections. What does not: the application
(`app.py`).
"""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI
from sqlalchemy.engine import Engine

from ventros_pipeline import logs
from ventros_pipeline.api.app import create_app
from ventros_pipeline.crm import database
from ventros_pipeline.environment import database_url
from ventros_pipeline.settings import Settings

# Below the time of a request, so that no statement outlives it for long.
STATEMENT_SECONDS = 10.0
LOCK_SECONDS = 5.0
# Beyond so many at once uvicorn itself says 503.
MOST_AT_ONCE = 200


class ServeError(Exception):
    """The API cannot be served; the message says what to do."""


def connect(settings: Settings) -> Engine:
    """Connect as the API does: a few connections for many requests, and no endless statement."""
    return database.connect(
        database_url(settings),
        application_name="ventros-api",
        statement_timeout=STATEMENT_SECONDS,
        lock_timeout=LOCK_SECONDS,
        pool_size=4,
        max_overflow=6,
    )


def server_of(app: FastAPI) -> uvicorn.Server:
    """Return a server that trusts no proxy's headers and says nothing of itself."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            # It would write addresses with their query, where a key may stand by mistake.
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            limit_concurrency=MOST_AT_ONCE,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=25,
        )
    )


def listen(host: str, port: int) -> socket.socket:
    """Open the port.

    Raises:
        ServeError: it is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ServeError(
            f"cannot listen on {host}:{port} ({error.strerror}): choose another with --port, or "
            "an address of this machine with --host"
        ) from None
    return listener


def serve(settings: Settings, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve the API until interrupted.

    Args:
        port: 0 takes a free one.
        ready: told the base URL when clients may connect.

    Raises:
        ServeError: the port is taken.
        DatabaseError: the database cannot be reached.
    """
    logs.configure(settings.log_format, settings.log_level or "INFO")
    listener = listen(host, port)
    try:
        engine = connect(settings)
        try:
            listener.listen(MOST_AT_ONCE)
            shown = f"[{host}]" if ":" in host else host
            ready(f"http://{shown}:{listener.getsockname()[1]}")
            server_of(create_app(engine, settings)).run(sockets=[listener])
        finally:
            engine.dispose()
    finally:
        listener.close()
