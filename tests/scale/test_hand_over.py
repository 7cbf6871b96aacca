"""What happens to an alert whose service moves to another shard: nobody hears a false end, or of it for ever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.drawn import T0
from watchdog.alerts import State
from watchdog.config import parse
from watchdog.dividing import share
from watchdog.notifications import Reason
from watchdog.shards import Shard
from watchdog.sidecar import Sidecar
from watchdog.state import StateFile

RULES = """
redis: {{url: "redis://127.0.0.1:1", timeout: 200ms}}
every: 1s
builtin_rules: off
services:
  orders: {{settings: {{file: "{directory}/orders.env", require: {{MODE: live}}}}}}
  feeder: {{settings: {{file: "{directory}/feeder.env", require: {{MODE: live}}}}}}
rules:
  - {{alert: Wrong, when: settings.violations > 0, severity: critical}}
receivers: {{ops: {{webhook: {{url: "http://127.0.0.1:1/"}}}}}}
"""
"""Of two shards the first has `orders` and the second `feeder`."""


class Site:
    """Two env files, the state files of the shards, and a clock that is set by hand."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = T0
        self.config = parse(RULES.format(directory=directory))

    def mode(self, mode: str) -> None:
        """Set MODE for both services."""
        for service in ("orders", "feeder"):
            (self.directory / f"{service}.env").write_text(f"MODE={mode}\n", encoding="utf-8")

    def clock(self) -> datetime:
        """Return what the clock shows."""
        return self.now

    @contextmanager
    def process(self, state: str, shard: Shard | None = None) -> Iterator[Sidecar]:
        """Run what one process runs, on the state file of this name."""
        config = self.config if shard is None else share(self.config, shard)
        sidecar = Sidecar(config, self.clock, StateFile(str(self.directory / state), self.clock))
        yield sidecar
        sidecar.state.close()

    async def tick(self, sidecar: Sidecar) -> dict[str, str]:
        """Let a second pass and a look, and return which decision there is on which service's alert."""
        self.now += timedelta(seconds=1)
        await sidecar.tick(self.now)
        by_print = {labels.fingerprint: labels["service"] for labels in sidecar.alerts}
        return {by_print[mark]: str(reason) for (_, mark), reason in sidecar.reasons.items()}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a site where both services have the wrong MODE."""
    found = Site(tmp_path)
    found.mode("dry_run")
    return found


def marks(sidecar: Sidecar) -> set[str]:
    """Return of whose alerts a receiver was told."""
    by_print = {labels.fingerprint: labels["service"] for labels in sidecar.alerts}
    return {by_print.get(mark, "nobody's") for _, mark in sidecar.receipts}


async def test_an_alert_that_moves_is_neither_ended_nor_told_again_by_its_old_shard(site: Site) -> None:
    """The old shard forgets it without a word; the new one raises it under the same labels, and tells its end."""
    with site.process("one.db") as whole:
        assert await site.tick(whole) == {"orders": str(Reason.FIRST), "feeder": str(Reason.FIRST)}
        labels = {alert["service"]: alert for alert in whole.alerts}
    with site.process("one.db", Shard(1, 2)) as old:
        assert {alert["service"] for alert in old.alerts} == {"orders"}
        assert marks(old) == {"orders"}
        waiting = old.outbox.depth("ops")
        assert await site.tick(old) == {}
        assert await site.tick(old) == {}
        assert old.outbox.depth("ops") == waiting
    with site.process("two.db", Shard(2, 2)) as new:
        assert await site.tick(new) == {"feeder": str(Reason.FIRST)}
        assert {alert["service"]: alert for alert in new.alerts} == {"feeder": labels["feeder"]}
        site.mode("live")
        assert await site.tick(new) == {"feeder": str(Reason.RESOLVED)}
    with site.process("one.db", Shard(1, 2)) as old:
        assert await site.tick(old) == {"orders": str(Reason.RESOLVED)}


async def test_what_was_forgotten_stays_forgotten(site: Site) -> None:
    """The state file has no trace of it, so that going back to one sidecar raises it anew, and once."""
    with site.process("one.db") as whole:
        await site.tick(whole)
    with site.process("one.db", Shard(1, 2)) as old:
        await site.tick(old)
    with site.process("one.db") as whole:
        assert {alert["service"] for alert in whole.alerts} == {"orders"}
        assert await site.tick(whole) == {"feeder": str(Reason.FIRST)}
        assert {alert.state for alert in whole.alerts.values()} == {State.FIRING}


async def test_a_shard_that_starts_again_remembers(site: Site) -> None:
    """Nothing moves where nothing changed."""
    with site.process("two.db", Shard(2, 2)) as first:
        assert await site.tick(first) == {"feeder": str(Reason.FIRST)}
    with site.process("two.db", Shard(2, 2)) as again:
        assert await site.tick(again) == {}
        assert marks(again) == {"feeder"}
