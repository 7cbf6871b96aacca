"""Killed at every point between "decided" and "the receiver said yes", one after another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.reliability.account import settle
from tests.reliability.driver import POINTS
from tests.reliability.lives import DIED, LIVED, Lives
from tests.reliability.receivers import MOMENTS, Receiver

CROSSINGS = range(1, 4)
"""At each point a life ends when it comes there for the first time, for the second, and so on."""
CALLS = range(1, 161)
"""The system calls of a start on what is left, and of the looks, commits and messages after it."""
WRITES = range(1, 61)
FIRST_CALLS = range(1, 81)
"""The system calls of a start without a file, and of the first look."""
TOO_LONG = 20.0


@pytest.fixture
async def lives(tmp_path: Path) -> AsyncIterator[Lives]:
    """Lives in front of three receivers that are well."""
    async with AsyncExitStack() as stack:
        receivers = [
            await stack.enter_async_context(Receiver(name, name, badness=0.0))
            for name in ("prompt", "calm", "usual")
        ]
        begun = await stack.enter_async_context(Lives(tmp_path, 1, receivers))
        for receiver in receivers:
            receiver.kill = begun.kill
        yield begun


async def tell_the_rest(lives: Lives) -> list[str]:
    """Have a life tell all that is left, and return what was wrong until now."""
    assert await lives.live(until_empty=True, kill_after=TOO_LONG) == LIVED
    return [what for r in lives.receivers for what in settle(lives.model.lives, r.requests).wrong]


async def test_at_every_point_of_its_own(lives: Lives) -> None:
    """From the decision to the commit, the sending, the answer and the last commit."""
    for point in POINTS:
        for crossing in CROSSINGS:
            end = await lives.live(point=point, crossing=crossing, kill_after=TOO_LONG)
            assert end == DIED, f"it never came to: {point}, {crossing}"
        assert await tell_the_rest(lives) == [], f"killed at: {point}"


async def test_at_every_moment_on_the_wire(lives: Lives) -> None:
    """While a receiver reads the request and while it answers, each of them in its turn."""
    for moment in MOMENTS:
        for receiver in lives.receivers:
            for crossing in CROSSINGS:
                receiver.at = (moment, crossing)
                end = await lives.live(kill_after=TOO_LONG)
                assert end == DIED, f"it never came to: {moment}, {crossing}"
        assert await tell_the_rest(lives) == [], f"killed at: {moment}"


async def test_at_every_system_call(lives: Lives) -> None:
    """Whatever of a process can be seen from outside is a system call: killed before each of them."""
    for call in CALLS:
        assert await lives.live(call=call, kill_after=TOO_LONG) == DIED, f"it never came to call {call}"
    assert await tell_the_rest(lives) == []


async def test_in_the_middle_of_every_write(lives: Lives) -> None:
    """Half a page of the state file, half a request: killed right after the first half."""
    for call in WRITES:
        end = await lives.live(call=call, half=True, kill_after=TOO_LONG)
        assert end == DIED, f"it never came to write {call}"
    assert await tell_the_rest(lives) == []


async def test_at_every_system_call_of_the_first_start(lives: Lives) -> None:
    """A file half made is no broken file: the next life makes it whole, and begins."""
    for call in FIRST_CALLS:
        lives.begin_anew()
        assert await lives.live(call=call, kill_after=TOO_LONG) == DIED, f"it never came to call {call}"
        end = await lives.live(point="after a commit", crossing=3, kill_after=TOO_LONG)
        assert end == DIED, f"it did not start after call {call}"
