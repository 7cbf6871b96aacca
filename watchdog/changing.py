"""
Another rules file takes the place of the one in force: a restart inside the process that loses nothing.

What lives goes on: alerts, what was told of them, what people said, what waits for receivers, the windows,
what signals have learnt, curves and events. What the file no longer names ends at the next tick, and is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from watchdog.config import Config
from watchdog.delivery import AlwaysOpen
from watchdog.garbage import sort_out
from watchdog.pair import Pair, gated, pair_of, tolerance_of
from watchdog.sidecar import Sidecar
from watchdog.vigil import Witness, exchange

Stop = Callable[[], Awaitable[None]]
LONGEST_WAIT = 10.0
"""So many seconds a change waits for looks that are out."""


async def change(sidecar: Sidecar, config: Config) -> None:
    """
    Have *sidecar* go by *config* from its next tick on, which comes at once.

    That is done between two ticks, and when the looks that are out have ended if they do so soon.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + LONGEST_WAIT
    while True:
        async with sidecar.turn:
            out = [source.task for source in sidecar.sources if source.task is not None and source.is_out]
            if not out or loop.time() >= until:
                leaving = _take(sidecar, config)
                break
        await asyncio.wait(out, timeout=max(0.0, until - loop.time()))
    sidecar.hurry.set()
    for stop in leaving:
        await stop()


def _take(sidecar: Sidecar, config: Config) -> Sequence[Stop]:
    """Put *config* in force, and return what is to be stopped; if it cannot be, nothing is changed."""
    now, before = sidecar.clock(), sidecar.config
    changed = sidecar.fleet.change(config)
    fleet, signals = sidecar.fleet, sidecar.fleet.signals
    sidecar.go_by(config)
    sidecar.keeper.part_with(changed.gone)
    sidecar.keeper.renew(signals[key] for key in changed.rebuilt)
    sidecar.keeper.watch(signals[key] for key in changed.added)
    sidecar.history.drop(changed.gone)
    sidecar.history.renew(changed.recalling)
    sidecar.history.keep = config.keep.total_seconds()
    sidecar.history.ask(fleet.counters, now)
    sidecar.brought += changed.brought
    sidecar.renewed += (*changed.gone, *changed.recalling)
    sidecar.chronicle.change(config.every)
    sidecar.chronicle.trends.drop(changed.gone)
    sidecar.chronicle.watch(signals)
    sidecar.judge.rebind(fleet.binding)
    sidecar.receipts = {t: r for t, r in sidecar.receipts.items() if t[0] in config.receivers}
    sidecar.duties.change(config.reports)
    sidecar.outbox.change(config.receivers, config.links, config.expire_after)
    leaving: list[Pair | Witness] = [*_change_pair(sidecar, before), *_change_witnesses(sidecar, before)]
    sort_out()
    return [*(one.stop for one in leaving), *(reader.close for reader in changed.left)]


def _change_pair(sidecar: Sidecar, before: Config) -> list[Pair]:
    """Have the pair that the file asks for, and return the one it no longer does."""
    config, pair = sidecar.config, sidecar.pair
    asks = (config.pair, config.redis_url, config.redis_timeout)
    if asks == (before.pair, before.redis_url, before.redis_timeout):
        if pair is not None:
            pair.change(gated(config), tolerance_of(config))
        return []
    sidecar.outbox.gate = AlwaysOpen()
    sidecar.pair = pair_of(config, sidecar.outbox, sidecar, sidecar.clock, sidecar.pulse.signs)
    if sidecar.running and sidecar.pair is not None:
        sidecar.pair.start()
    return [] if pair is None else [pair]


def _change_witnesses(sidecar: Sidecar, before: Config) -> list[Witness]:
    """Have the witnesses that the file asks for, and return those it no longer does."""
    leaving, coming = exchange(sidecar.witnesses, before, sidecar.config, sidecar.pulse.signs)
    sidecar.witnesses[:] = [*(one for one in sidecar.witnesses if one not in leaving), *coming]
    for one in coming if sidecar.running else ():
        one.start()
    return leaving
