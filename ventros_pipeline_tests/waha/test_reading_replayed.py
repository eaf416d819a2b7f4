from __future__ import annotations

from pathlib import Path

import pytest

import ventros_pipeline.replay
from ventros_pipeline.replay.live import LiveChanges
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.waha.client import WahaClient, WahaServer
from ventros_pipeline.waha.reading import choose_reader
from ventros_pipeline.waha.wire import decode_rows

ACCOUNT = Path(ventros_pipeline.replay.__file__).parent / "accounts" / "a"
START, END = 1_704_067_200, 1_900_000_000


@pytest.mark.parametrize(
    ("engine", "version"),
    [("noweb", None), ("gows", None), ("webjs", None), ("wpp", None), ("noweb", "2025.6.1")],
)
def test_a_hostile_server_that_changes_while_it_is_read_gives_all_it_has(
    engine: str, version: str | None
) -> None:
    with ReplayServer(
        ACCOUNT,
        engine=engine,
        version=version,
        faults="hostile",
        seed=3,
        pace=0.001,
        live=LiveChanges(seed=5),
    ) as server:
        waha = WahaServer(server.url, "default", server.api_key, attempts=8, read_timeout=5)
        with WahaClient(waha) as client:
            probe = client.probe()
            reader = choose_reader(probe, page_size=500)
            pages = reader.read(client, START, END, outside=(START, END))
            rows = [row for page in pages for row in page.rows]
        truth = server.truth
    found = decode_rows(rows, probe.me.own_addresses).frame
    keys = set(zip(found["chat"], found["stanza_id"], strict=True))
    assert set(truth.always) - keys == set()
    assert keys - set(truth.everything) == set()
    assert bool(reader.notes) == (engine in ("webjs", "wpp") or version is not None)
