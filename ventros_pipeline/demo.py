"""The demo's WAHA: an account folder replayed on loopback, and the channel that points at it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.engine import Engine

from ventros_pipeline.crm.channels import Channel, add_channel, list_channels, move_channel
from ventros_pipeline.replay.server import ReplayServer

SESSION = "default"
AGENT = "Demo agent"
KEY_VARIABLE = "VENTROS_DEMO_WAHA_KEY"
BUNDLED_ACCOUNT = Path(__file__).parent / "replay" / "accounts" / "a"


@contextmanager
def demo_channel(engine: Engine, account: Path | None) -> Iterator[Channel]:
    """Replay an account and give the channel that reads it; groups are imported.

    The channel is the same at every demo, so a second one finds everything in place; it keeps its
    port where that is free and moves where it is not.
    """
    os.environ[KEY_VARIABLE] = secrets.token_urlsafe(24)
    known = next(
        (c for c in list_channels(engine) if c.auth.get("api_key_env") == KEY_VARIABLE), None
    )
    server = _serve(account or BUNDLED_ACCOUNT, known)
    try:
        if known is not None:
            move_channel(engine, known, server.url)
        yield add_channel(
            engine,
            session=SESSION,
            base_url=server.url,
            api_key_env=KEY_VARIABLE,
            agent=AGENT,
            allow_groups=True,
            project=str(known.project_id) if known else None,
        )
    finally:
        server.stop()


def _serve(account: Path, known: Channel | None) -> ReplayServer:
    key = os.environ[KEY_VARIABLE]
    port = urlsplit(known.base_url).port if known else None
    try:
        return ReplayServer(account, api_key=key, port=port or 0).start()
    except OSError:
        return ReplayServer(account, api_key=key).start()
