"""An import through Dagster, as `ventros import` runs it, is as silent as the import alone.

What wakes a CRM is written in `import_/test_silence.py`; what runs of the job add to an import (its
lifecycle, checks, the report) is heard here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from ventros_pipeline.demo import BUNDLED_ACCOUNT
from ventros_pipeline.planning import DayRange
from ventros_pipeline.replay.account import Account
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.runs import import_history
from ventros_pipeline_tests.dagster_.conftest import START, House
from ventros_pipeline_tests.import_.test_silence import OWN_EVENTS, Listener, furnish, violations
from ventros_pipeline_tests.import_.world import KEY

# The account's last message is of 2026-09-21, the calendar begins at the first of June: its first
# day holds everything older.
LAST = date(2026, 9, 21)


@pytest.fixture(scope="module")
def accounts() -> Iterator[list[ReplayServer]]:
    """Account A, whole."""
    account = Account.load(BUNDLED_ACCOUNT)
    with ReplayServer(account, api_key=KEY) as server:
        yield [server]
    account.close()


def test_a_full_import_through_dagster_tells_its_own_events_and_wakes_nobody(house: House) -> None:
    [channel] = house.channels
    house.execute("UPDATE channels SET allow_groups = true")
    furnish(house.engine)
    plan = [DayRange(date(2026, 8, 1), LAST), DayRange(START, date(2026, 7, 31))]
    with Listener(house.engine) as listener:
        done = import_history(house.defs, house.instance, house.engine, channel, plan)
        heard = listener.heard()
    assert done.totals["inserted"] == 8370
    own = [f"channel.history_import.{event}" for event in ("completed", "enabled", "started")]
    assert heard == own
    assert set(own) < set(OWN_EVENTS)
    with house.engine.connect() as connection:
        assert violations(connection) == {}
