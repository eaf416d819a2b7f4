"""Fixtures of the WAHA room: nothing here waits, and nothing here needs a network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina


@pytest.fixture(autouse=True)
def retries_do_not_wait() -> Iterator[None]:
    with stamina.set_testing(True, attempts=20, cap=True):
        yield
