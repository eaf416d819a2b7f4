"""Turns: one run at a time has a channel in its hands, and a killed one gives it back."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest

from ventros_pipeline.crm.turns import ChannelBusyError, channel_turn
from ventros_pipeline_tests.import_.test_lifecycle import another_process, kill
from ventros_pipeline_tests.import_.world import World


def test_two_who_would_have_a_channel_have_it_one_after_the_other(world: World) -> None:
    inside, most, log = 0, 0, threading.Lock()

    def work(_: int) -> None:
        nonlocal inside, most
        with channel_turn(world.engine, world.channel, wait=60):
            with log:
                inside += 1
                most = max(most, inside)
            world.value("SELECT pg_sleep(0.01)")
            with log:
                inside -= 1

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(6)))

    assert (inside, most) == (0, 1)


def test_who_does_not_wait_is_told_that_it_passes(world: World) -> None:
    with (
        channel_turn(world.engine, world.channel, wait=0),
        pytest.raises(ChannelBusyError, match=f"loads channel {world.channel.key}; it passes"),
        channel_turn(world.engine, world.channel, wait=0),
    ):
        pass
    with channel_turn(world.engine, world.channel, wait=0):
        pass


def test_another_channel_is_not_kept_waiting(world: World) -> None:
    other = replace(world.channel, id=uuid4())
    with (
        channel_turn(world.engine, world.channel, wait=0),
        channel_turn(world.engine, other, wait=0),
    ):
        pass


def test_an_error_gives_the_turn_back(world: World) -> None:
    with (
        pytest.raises(ValueError, match="broken"),
        channel_turn(world.engine, world.channel, wait=0),
    ):
        raise ValueError("broken")
    with channel_turn(world.engine, world.channel, wait=0):
        pass


def test_the_turn_of_a_killed_process_is_free(world: World) -> None:
    with another_process(world.engine) as engine:
        turn = channel_turn(engine, world.channel, wait=0)
        turn.__enter__()
        kill(world.engine)
        with channel_turn(world.engine, world.channel, wait=0):
            # It had only lost its connection, and comes to its end after all.
            turn.__exit__(None, None, None)
            with (
                pytest.raises(ChannelBusyError),
                channel_turn(engine, world.channel, wait=0),
            ):
                pass
