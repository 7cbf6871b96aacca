"""What is discovered on a real Redis goes on under another rules file, as far as that still asks for it."""

from __future__ import annotations

import asyncio

import pytest
import redis

from tests.process.conftest import client, server
from tests.reload.conftest import Rig
from watchdog.demo.server import EmbeddedServer

__all__ = ["client", "server"]
RULES = """
redis: "URL"
every: 1m
builtin_rules: off
receivers: {hook: {webhook: {url: "http://127.0.0.1:9/hook"}}}
notifications: {group_wait: 0s, group_interval: 0s}
discover: {streams: ["q:*"], every: 10s}
rules:
  - {alert: Long, when: stream.length > 2, severity: critical}
"""
HARMLESS = {
    "the same": RULES,
    "another threshold": RULES.replace("> 2", ">= 3"),
    "another time-out": RULES.replace('"URL"', '{url: "URL", timeout: 9s}'),
    "another interval": RULES.replace("every: 1m", "every: 30s"),
    "a service beside it": RULES + "services: {other: {heartbeat: {key: beat}}}\n",
    "a lower limit": RULES.replace("every: 10s", "every: 10s, limit: 7"),
    "a pattern more": RULES.replace('"q:*"', '"q:*", "r:*"'),
}


@pytest.fixture
async def found(rig: Rig, client: redis.Redis, server: EmbeddedServer) -> Rig:
    """Two streams that were found, one of them too long."""
    for number in range(3):
        client.xadd("q:long", {"n": number})
    client.xadd("q:short", {"n": 1})
    rig.places = {"URL": server.url}
    rig.begin(RULES.replace("URL", server.url))
    await rig.tick()
    await rig.tick()
    assert (streams(rig), rig.told()) == (["q:long", "q:short"], ["Long discovered first"])
    return rig


async def edit(rig: Rig, rules: str) -> None:
    """Change the file."""
    await rig.reload(rules.replace("URL", rig.places["URL"]))


def streams(rig: Rig) -> list[str]:
    """Return the streams that are watched."""
    return sorted(key.labels["stream"] for key in rig.sidecar.fleet.signals if key.kind == "stream")


@pytest.mark.parametrize("rules", HARMLESS.values(), ids=HARMLESS.keys())
async def test_what_was_found_is_watched_on(found: Rig, client: redis.Redis, rules: str) -> None:
    """At once and without a new search: nothing ends, nothing is told twice; what is new is still found."""
    before = [signal for key, signal in found.sidecar.fleet.signals.items() if key.kind == "stream"]
    scouts = found.sidecar.fleet.scouts
    await edit(found, rules)
    after = [signal for key, signal in found.sidecar.fleet.signals.items() if key.kind == "stream"]
    assert [one is other for one, other in zip(before, after, strict=True)] == [True, True]
    asks_the_same = rules in (
        HARMLESS["the same"],
        HARMLESS["another threshold"],
        HARMLESS["another time-out"],
    )
    assert (found.sidecar.fleet.scouts is scouts) == asks_the_same
    client.xadd("q:new", {"n": 1})
    for _ in range(3):
        await found.tick()
    assert (streams(found), found.told()) == (["q:long", "q:new", "q:short"], ["Long discovered first"])
    assert "q:new" in str(found.sidecar.found)


async def test_what_is_no_longer_asked_for_goes_and_comes_back(found: Rig, client: redis.Redis) -> None:
    """Its alert ends with the reason; the same pattern once more finds it anew."""
    await edit(found, RULES.replace("every: 10s", 'every: 10s, exclude: "q:l*"'))
    await found.tick()
    assert streams(found) == ["q:short"]
    assert found.told() == ["Long discovered first", "Long discovered resolved signal removed"]
    await edit(found, RULES)
    for _ in range(3):
        await found.tick()
    assert (streams(found), found.told()[2:]) == (["q:long", "q:short"], ["Long discovered first"])


async def test_what_a_search_brings_too_late_is_not_taken(found: Rig, client: redis.Redis) -> None:
    """It was for the file before, and this one asks for something else."""
    client.xadd("q:new", {"n": 1})
    found.hands.pass_(60)
    begun = [source for source in found.sidecar.sources if source.begin(found.hands())]
    await asyncio.gather(*(source.task for source in begun if source.task is not None))
    await edit(found, RULES.replace("every: 10s", 'every: 10s, exclude: "q:n*"'))
    await found.tick()
    assert streams(found) == ["q:long", "q:short"]


async def test_without_discovery_nothing_is_left_of_it(found: Rig) -> None:
    """Neither signals nor searches; the file says all there is."""
    own = "services: {a: {stream: {key: q:long}}}\n"
    await edit(found, own + RULES.replace('discover: {streams: ["q:*"], every: 10s}', ""))
    await found.tick()
    assert (streams(found), found.sidecar.fleet.scouts) == (["q:long"], [])
    assert [source.name for source in found.sidecar.sources] == ["redis"]
