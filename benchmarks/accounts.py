"""The accounts that are measured, and a patient client for their replay server."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import stamina

from ventros_pipeline.demo import BUNDLED_ACCOUNT
from ventros_pipeline.replay.generate import generate
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.replay.truth import Truth
from ventros_pipeline.waha.client import WahaClient, WahaServer

ENGINES = ("noweb", "gows", "webjs", "wpp")
ACCOUNTS = ("a", "generated")
# 2024-01-01, the default start of the calendar, and a second behind everything honest.
START, END = 1_704_067_200, 1_900_000_000
DAY = 86_400
ATTEMPTS = 12


@dataclass(frozen=True)
class Measured:
    """An account under its name in the tables."""

    name: str
    folder: Path


@contextmanager
def measured(names: tuple[str, ...], messages: int) -> Iterator[list[Measured]]:
    """Give the accounts of these names; the generated one is removed at the end.

    Args:
        names: of `ACCOUNTS`.
        messages: size of the generated account.
    """
    with TemporaryDirectory(prefix="ventros-bench-") as folder:
        known = {"a": Measured("A", BUNDLED_ACCOUNT)}
        if "generated" in names:
            generate(folder, messages=messages, chats=150, days=400, seed=7, nasty=True, unlisted=3)
            known["generated"] = Measured(f"{messages:,}", Path(folder))
        yield [known[name] for name in names]


@contextmanager
def patient_client(server: ReplayServer) -> Iterator[WahaClient]:
    """Give a client that retries at once and often: a replayed server needs no rest."""
    waha = WahaServer(server.url, "default", server.api_key, attempts=ATTEMPTS)
    stamina.instrumentation.set_on_retry_hooks([])
    with stamina.set_testing(True, attempts=ATTEMPTS), WahaClient(waha) as client:
        yield client


def own_addresses(folder: Path) -> tuple[str, ...]:
    """Return the addresses of an account itself."""
    me = json.loads((folder / "me.json").read_bytes())
    return me["id"], me["lid"]


def honest_times(truth: Truth) -> dict[str, list[int]]:
    """Return by chat the times that lie within the calendar."""
    times: dict[str, list[int]] = {}
    for fact in truth.now.values():
        stamp = fact.timestamp
        if isinstance(stamp, int | float) and START <= stamp < END:
            times.setdefault(fact.chat, []).append(math.floor(stamp))
    return times


def changed_chats(truth: Truth, start: int) -> set[str]:
    """Return the chats with a message at or after a second, epoch, also one in the future."""
    return {
        fact.chat
        for fact in truth.now.values()
        if isinstance(fact.timestamp, int | float) and fact.timestamp >= start
    }


def versions() -> str:
    """Name what the figures were measured with."""
    return (
        f"ventros-pipeline {version('ventros-pipeline')}, "
        f"{platform.python_implementation()} {platform.python_version()}, "
        f"httpx {version('httpx')}, {platform.system()} {platform.machine()}"
    )
