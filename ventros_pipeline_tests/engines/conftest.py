"""One generated account, imported once per case: a first time while it changes, then at rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import stamina

from ventros_pipeline.crm.database import connect
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.replay.generate import generate, read_truth_rows
from ventros_pipeline.replay.live import LiveChanges
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.conftest import fresh_database
from ventros_pipeline_tests.engines.passes import (
    Case,
    Imported,
    import_all,
    snapshot,
)
from ventros_pipeline_tests.import_.world import KEY, KEY_VARIABLE, new_world

ENGINES = ("noweb", "gows", "webjs", "wpp")
FAULTS = ("none", "flaky", "hostile")
LIMITS = (7, 100, 500)
# Every engine meets every profile and every page limit, and every profile meets every page limit.
CASES = [
    Case(engine, faults, LIMITS[(row + column) % len(LIMITS)], seed=10 * row + column)
    for row, engine in enumerate(ENGINES)
    for column, faults in enumerate(FAULTS)
]
MESSAGES, CHATS, DAYS = 1_500, 30, 6
UNTIL = 1_790_000_000
# A session that is not WORKING for longer than the client itself waits.
GAP = [(16, "STARTING"), (28, "WORKING")]
END = datetime.fromtimestamp(UNTIL, UTC)


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About everything that a small account can hold; a burst is larger than two of the limits."""
    folder = tmp_path_factory.mktemp("generated")
    generate(
        folder,
        messages=MESSAGES,
        chats=CHATS,
        days=DAYS,
        seed=31,
        until=UNTIL,
        nasty=True,
        bursts=2,
        burst_size=110,
        dropped_share=0.02,
        unlisted=2,
    )
    return folder


@pytest.fixture(scope="session")
def own_addresses(account: Path) -> tuple[str, ...]:
    me = json.loads((account / "me.json").read_bytes())
    return me["id"], me["lid"]


@pytest.fixture(scope="session")
def is_imported(own_addresses: tuple[str, ...]) -> Callable[[str], bool]:
    """Says of a chat whether its messages belong into the CRM."""
    others = ("@newsletter", "@broadcast", "@bot")
    return lambda chat: chat not in own_addresses and not chat.endswith(others)


@pytest.fixture(scope="session")
def unstorable(account: Path) -> set[str]:
    """Stanza ids of texts with characters that Postgres cannot hold as they are."""
    labels = ("nul_character", "lone_surrogate")
    return {row.stanza_id for row in read_truth_rows(account) if row.nasty in labels}


@pytest.fixture(scope="module", params=CASES, ids=str)
def imported(
    request: pytest.FixtureRequest,
    account: Path,
    postgres_server: EmbeddedServer,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Imported]:
    """A case carried out. Tests only read it."""
    case: Case = request.param
    live = LiveChanges(seed=case.seed, every=2, most=40)
    with (
        pytest.MonkeyPatch.context() as patch,
        stamina.set_testing(True, attempts=20, cap=True),
        fresh_database(postgres_server.url, migrated_template) as url,
        ReplayServer(
            account,
            api_key=KEY,
            engine=case.engine,
            faults=case.faults,
            seed=case.seed,
            pace=0.001,
            live=live,
            script=GAP if case.faults == "hostile" else (),
        ) as server,
    ):
        patch.setenv(KEY_VARIABLE, KEY)
        engine = connect(url)
        world = new_world(
            engine,
            tmp_path_factory.mktemp("home"),
            server.url,
            start=(END - timedelta(days=DAYS + 2)).date(),
            now=END + timedelta(hours=1),
        )
        requeued = import_all(world, case, world.now)
        first = snapshot(world, server)
        live.most = 0
        import_all(world, case, world.now + timedelta(hours=2))
        yield Imported(case, requeued, live.done, first, snapshot(world, server))
        engine.dispose()
