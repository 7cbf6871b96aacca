"""`watchdog audit`: one look, judged from what the sources themselves remember."""

from __future__ import annotations

import asyncio
from datetime import datetime

from watchdog.alerts import evaluate
from watchdog.config import Config
from watchdog.fleet import Fleet
from watchdog.history import History
from watchdog.report import Snapshot, Status, snapshot
from watchdog.sources import look
from watchdog.waiting import Told, telling

EXIT = {Status.OK: 0, Status.WARNING: 1, Status.CRITICAL: 2, Status.UNKNOWN: 3}
UNUSABLE = 3
PATIENCE = 30.0


async def look_once(config: Config, now: datetime, told: Told | None = None) -> Snapshot:
    """
    Look at everything once and judge it, from what the sources themselves remember.

    Needs no running sidecar and no state file, and leaves nothing behind; *told* hears which sources
    have not answered yet.
    """
    fleet = Fleet(config)
    try:
        await fleet.discover(now)
        async with telling(lambda: [s.name for s in fleet.sources if s.is_out], told):
            readings = await look(fleet.sources, now, PATIENCE)
        for source in fleet.sources:
            readings += source.abandon(now, PATIENCE) if source.task is not None else []
    finally:
        for source in fleet.sources:
            source.cancel()
        await fleet.close()
    history = History(config.keep).add(readings)
    alerts = evaluate(fleet.binding.watches, history, {}, now)
    return snapshot(
        history, alerts, now, figures=fleet.figures, services=fleet.services, needs=config.policy.needs
    )


def audit(config: Config, now: datetime, told: Told | None = None) -> Snapshot:
    """Run `look_once` on a loop of its own."""
    return asyncio.run(look_once(config, now, told))
