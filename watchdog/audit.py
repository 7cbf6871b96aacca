"""`watchdog audit`: one look, judged from what the sources themselves remember."""

from __future__ import annotations

import asyncio
from datetime import datetime

from watchdog.alerts import evaluate
from watchdog.config import Config
from watchdog.history import History
from watchdog.reader import RedisReader
from watchdog.report import Snapshot, Status, figures_of, snapshot
from watchdog.sources import build_signals, build_sources, look

EXIT = {Status.OK: 0, Status.WARNING: 1, Status.CRITICAL: 2, Status.UNKNOWN: 3}
UNUSABLE = 3
PATIENCE = 30.0


async def look_once(config: Config, now: datetime) -> Snapshot:
    """
    Look at everything once and judge it, from what the sources themselves remember.

    Needs no running sidecar and no state file, and leaves nothing behind.
    """
    reader = RedisReader(config.redis_url, config.redis_timeout.total_seconds())
    sources = build_sources(build_signals(config), reader)
    try:
        readings = await look(sources, now, PATIENCE)
        for source in sources:
            readings += source.abandon(now, PATIENCE) if source.task is not None else []
    finally:
        await reader.close()
        for source in sources:
            source.cancel()
    history = History(config.keep).add(readings)
    watches = config.binding.watches
    alerts = evaluate(watches, history, {}, now)
    figures = figures_of(watches, config.offered)
    return snapshot(
        history, alerts, now, figures=figures, services=config.services, needs=config.policy.needs
    )


def audit(config: Config, now: datetime) -> Snapshot:
    """Run `look_once` on a loop of its own."""
    return asyncio.run(look_once(config, now))
