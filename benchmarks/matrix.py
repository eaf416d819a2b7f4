"""Reading, complete: accounts x engines x faults x page limits, while the account changes.

    python -m benchmarks.matrix [--account a generated] [--engine noweb ...] [--faults hostile ...]
        [--limit 7 100 500] [--messages 50000] [--seed 1] [--import]

Each cell reads a whole account over HTTP and compares with the replay server's own list of what
existed: `missing` existed the whole time and was not read, `extra` was read and never existed. Both
must be 0. A session that is not ready is asked again, as the orchestrator does. Without options
it is the full product, 72 cells; a page limit of 7 takes longest.

With `--import` each cell is a whole import into a database of its own: what counts is the CRM's
rows, of the conversations that are imported, and all proofs must hold.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import product
from time import perf_counter

from benchmarks.accounts import (
    ACCOUNTS,
    END,
    ENGINES,
    START,
    Measured,
    measured,
    own_addresses,
    patient_client,
    versions,
)
from benchmarks.imports import REQUEUES, Databases, databases, import_all, is_imported
from ventros_pipeline.replay.engine import MESSAGES
from ventros_pipeline.replay.faults import PROFILES
from ventros_pipeline.replay.live import LiveChanges
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.replay.truth import Key
from ventros_pipeline.waha.client import WahaClient
from ventros_pipeline.waha.errors import WahaNotReadyError
from ventros_pipeline.waha.reading import choose_reader
from ventros_pipeline.waha.wire import decode_rows

LIMITS = (7, 100, 500)
COLUMNS = "{:>8} {:>6} {:>8} {:>6} {:>9} {:>9} {:>8} {:>7} {:>8} {:>7} {:>7} {:>7}"
HEADINGS = (
    "account",
    "engine",
    "faults",
    "page",
    "existed",
    "read",
    "missing",
    "extra",
    "requests",
    "changes",
    "requeue",
    "s",
)


def cell(
    account: Measured,
    engine: str,
    faults: str,
    limit: int,
    seed: int,
    into: Databases | None,
) -> tuple[object, ...]:
    """Read or import one account once; return the line."""
    begun = perf_counter()
    live = LiveChanges(seed=seed)
    with ReplayServer(
        account.folder, engine=engine, faults=faults, seed=seed, pace=0.001, live=live
    ) as server:
        if into is None:
            keys, requeued = _read_all(server, limit)
        else:
            keys, requeued = import_all(into, server, limit)
        truth = server.truth
        requests = server.stats.requests[f"GET {MESSAGES}"]
    own = own_addresses(account.folder)
    always, everything = (
        {key for key, fact in facts.items() if into is None or is_imported(key, fact, own)}
        for facts in (truth.always, truth.everything)
    )
    return (
        account.name,
        engine.upper(),
        faults,
        limit,
        len(always),
        len(keys),
        len(always - keys),
        len(keys - everything),
        requests,
        len(live.done),
        requeued,
        f"{perf_counter() - begun:.1f}",
    )


def _read_all(server: ReplayServer, limit: int) -> tuple[set[Key], int]:
    with patient_client(server) as client:
        for requeued in range(REQUEUES):
            try:
                return _read(client, limit), requeued
            except WahaNotReadyError:
                continue
    raise AssertionError(f"the session was not ready {REQUEUES} times")


def _read(client: WahaClient, limit: int) -> set[Key]:
    probe = client.probe()
    reader = choose_reader(probe, page_size=limit)
    rows: list[bytes] = []
    for page in reader.read(client, START, END, outside=(START, END)):
        rows += page.rows
    frame = decode_rows(rows, probe.me.own_addresses).frame
    return set(zip(frame["chat"], frame["stanza_id"], strict=True))


def main(arguments: Sequence[str] | None = None) -> None:
    """Read every chosen cell, and print a line for each as soon as it is done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.matrix")
    parser.add_argument("--account", nargs="+", choices=ACCOUNTS, default=ACCOUNTS)
    parser.add_argument("--engine", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--faults", nargs="+", choices=tuple(PROFILES), default=tuple(PROFILES))
    parser.add_argument("--limit", type=int, nargs="+", default=LIMITS)
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--import", action="store_true", dest="whole")
    asked = parser.parse_args(arguments)
    print(versions())
    print(COLUMNS.format(*HEADINGS), flush=True)
    cells = wrong = 0
    with (
        measured(tuple(asked.account), asked.messages) as accounts,
        databases() if asked.whole else nullcontext() as into,
    ):
        for chosen in product(accounts, asked.engine, asked.faults, asked.limit):
            line = cell(*chosen, asked.seed, into)
            cells += 1
            wrong += bool(line[6] or line[7])
            print(COLUMNS.format(*map(str, line)), flush=True)
    print(f"{cells} cells, {wrong} with missing or extra rows (target 0)")


if __name__ == "__main__":
    main()
