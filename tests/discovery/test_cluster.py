"""The scout in a cluster: every master is gone over, and one that is away makes nothing vanish."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from tests.drawn import T0
from tests.wire.servers import cluster
from watchdog.config import parse
from watchdog.scout import Discovered, Scout
from watchdog.signals.base import Command, Reply
from watchdog.wire import Batch, open_wire

from .conftest import names


async def test_every_master_is_gone_over() -> None:
    """A stream on each of three is found; without one of them discovery is unknown, and nothing is missing."""
    with cluster(full_coverage=False) as built:
        for number in range(3):
            with built.client(number) as client:
                client.xgroup_create(built.key(number), "g", mkstream=True)
        config = parse(f"discover: {{streams: 'stream:*'}}\nredis: '{built.url}'\n")
        scout = Scout(config.discover[0], config)
        wire = open_wire(built.url, 1.0)

        async def ask(commands: Sequence[Command]) -> Sequence[Reply]:
            return await wire.ask(Batch(commands))

        try:
            expected = {f"discovered: {built.key(number)}" for number in range(3)}
            expected |= {f"discovered: group g on {built.key(number)}" for number in range(3)}
            assert names(await scout.whole_round(ask, T0)) == expected
            built.servers[2].process.kill()
            built.servers[2].process.wait()
            assert await scout.whole_round(ask, T0 + timedelta(seconds=30)) == Discovered()
        finally:
            await wire.close()
        reading = scout.reading(T0)
        assert reading is not None
        assert reading.trouble == (
            f"the keys cannot be gone over: Redis at {built.place(2)} cannot be reached: Connection refused"
        )
        assert list(scout.roster.missing()) == []
