"""An operator edits the file in the middle of an outage, on a real Redis: no second page, no window lost."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
import redis

from tests.drawn import T0, minutes
from tests.outgoing import until
from tests.process.conftest import client, server
from tests.reload.conftest import Rig
from watchdog.demo.server import EmbeddedServer
from watchdog.model import AtLeast, Value
from watchdog.pair import Pair, Role

__all__ = ["client", "server"]
RULES = """
redis: "URL"
every: 1m
receivers: {hook: {webhook: {url: "http://127.0.0.1:9/hook"}}}
notifications: {group_wait: 0s, group_interval: 0s}
services:
  execution:
    consumes: {stream: plans, group: workers}
    executions: {stream: results, success: {status: filled}, reason: error, input: plans}
    stream: {key: plans, expect_every: 1h}
rules:
  - {alert: Flood, when: "consumes.read[5m] > 999", severity: info}
"""
LONGER = """
  - {alert: NoExecutions, when: [executions.age > 1h, "executions.offered[2h] > 0"], severity: critical}
"""
EDITS = {
    "another threshold": RULES.replace(
        "rules:", "    rules: {NoExecutions: {when: executions.age > 90m}}\nrules:"
    ),
    "a longer window": RULES.rstrip() + LONGER,
    "what counts as a success": RULES.replace("status: filled", "status: [filled, done]"),
    "a ghost is one sooner": RULES.replace("group: workers", "group: workers, ghost_after: 10m"),
    "another time-out": RULES.replace('"URL"', '{url: "URL", timeout: 9s}'),
    "a service more": RULES.replace("rules:", "  other: {heartbeat: {key: beat}}\nrules:"),
}


class Pipeline:
    """Plans that are read, acknowledged and never executed; time is the rig's."""

    def __init__(self, rig: Rig, client: redis.Redis, url: str) -> None:
        self.rig = rig
        self.client = client
        self.url = url
        self._live(timedelta(hours=-3), "filled")
        client.xgroup_create("plans", "workers", "0")
        for minute in range(-170, 1, 10):
            self._live(minutes(minute), "refused")
        self.rig.begin(RULES.replace("URL", url))

    def _live(self, when: timedelta, status: str) -> None:
        at = int((T0 + when).timestamp() * 1000)
        self.client.xadd("plans", {"n": "1"}, id=f"{at}-0")
        self.client.xadd("results", {"status": status, "error": "gate_closed"}, id=f"{at}-1")

    async def tick(self) -> None:
        """Let a minute pass, in which a plan comes and is refused."""
        self._live(self.rig.hands() - T0 + timedelta(seconds=30), "refused")
        self.client.xreadgroup("workers", "w", {"plans": ">"}, noack=True)
        await self.rig.tick()

    async def edit(self, rules: str) -> None:
        """Change the file."""
        await self.rig.reload(rules.replace("URL", self.url))

    def increase(self, kind: str, name: str, window: timedelta) -> Value:
        """Return what a counter gained in a window."""
        sidecar = self.rig.sidecar
        (key,) = (key for key in sidecar.fleet.signals if key.kind == kind)
        return sidecar.history.increase(key, name, window, self.rig.hands())


@pytest.fixture
def pipeline(rig: Rig, client: redis.Redis, server: EmbeddedServer) -> Pipeline:
    """The outage, three hours old."""
    return Pipeline(rig, client, server.url)


@pytest.mark.parametrize("rules", EDITS.values(), ids=EDITS.keys())
async def test_an_edit_in_the_middle_of_an_outage(pipeline: Pipeline, rules: str) -> None:
    """It was paged once, goes on, and every counter knows what came before the edit and after it."""
    for _ in range(3):
        await pipeline.tick()
    fired = pipeline.rig.alerts["NoExecutions execution"].fired_at
    assert pipeline.rig.told().count("NoExecutions execution first") == 1
    before = {
        (kind, name): pipeline.increase(kind, name, minutes(50))
        for kind, name in (("executions", "offered"), ("executions", "total"), ("stream", "added"))
    }
    read = pipeline.increase("consumes", "read", minutes(2))
    for _ in range(2):
        await pipeline.edit(rules)
        await pipeline.tick()
    after = {place: pipeline.increase(*place, minutes(52)) for place in before}
    assert after == {place: (found or 0.0) + 2.0 for place, found in before.items()}  # type: ignore[operator]
    grown = pipeline.increase("consumes", "read", minutes(4))
    assert (read, grown) == (2.0, AtLeast(3.0) if "ghost_after" in rules else 4.0)
    alert = pipeline.rig.alerts["NoExecutions execution"]
    assert (alert.firing, alert.fired_at) == (True, fired)
    assert [said for said in pipeline.rig.told() if "NoExecutions" in said] == [
        "NoExecutions execution first"
    ]


async def test_no_connection_is_left_behind(pipeline: Pipeline) -> None:
    """A reader of a server that is spoken to in another way is closed as soon as it is asked no more."""
    await pipeline.tick()
    before = len(pipeline.client.client_list())
    for timeout in ("7s", "8s", "9s"):
        await pipeline.edit(RULES.replace('"URL"', f'{{url: "URL", timeout: {timeout}}}'))
        await pipeline.tick()
    await until(lambda: len(pipeline.client.client_list()) <= before, within=5)


def holds(pair: Pair | None) -> bool:
    """Say whether a half of a pair has the lease."""
    return pair is not None and pair.role is Role.HOLDER


async def test_a_pair_comes_changes_and_goes(pipeline: Pipeline) -> None:
    """Each reads its own file; whoever has no partner any more tells by itself."""
    sidecar = pipeline.rig.sidecar
    sidecar.start()
    pair = 'pair: {lease: "LEASE", ttl: 2s}\n'
    for lease in ("one", "two"):
        await pipeline.edit(RULES + pair.replace("LEASE", lease))
        found = sidecar.pair
        await until(partial(holds, found))
        assert [pipeline.client.exists(name) for name in ("one", "two")] == [lease == "one", lease == "two"]
    await pipeline.edit(RULES + pair.replace("LEASE", "two") + "link: http://there\n")
    assert sidecar.pair is found
    await pipeline.edit(RULES)
    assert (sidecar.pair, sidecar.outbox.gate.open("hook"), pipeline.client.exists("two")) == (None, True, 0)


async def test_the_watchers_of_the_watchdog_change(pipeline: Pipeline) -> None:
    """Its own heartbeat is beaten under the key that the file names by now."""
    sidecar = pipeline.rig.sidecar
    sidecar.start()
    for key in ("first", "second"):
        await pipeline.edit(
            RULES.replace("every: 1m", "every: 200ms") + f"heartbeat: {{key: {key}, ttl: 1m}}\n"
        )
        await until(partial(pipeline.client.exists, key))
    (witness,) = sidecar.witnesses
    await pipeline.edit(RULES + "heartbeat: {key: second, ttl: 1m}\n")
    assert sidecar.witnesses == [witness]
    await pipeline.edit(
        RULES.replace('"URL"', '{url: "URL", timeout: 9s}') + "heartbeat: {key: second, ttl: 1m}\n"
    )
    (other,) = sidecar.witnesses
    assert other is not witness
    await pipeline.edit(RULES)
    assert sidecar.witnesses == []
