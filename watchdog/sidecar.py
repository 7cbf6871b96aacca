"""The sidecar: looks, decides and tells, once a tick. The whole product is `Sidecar.tick`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from watchdog.alerts import Alert, evaluate
from watchdog.clock import Clock
from watchdog.config import Config
from watchdog.delivery import Outbox
from watchdog.errors import StateError
from watchdog.history import History
from watchdog.model import Labels, Reading
from watchdog.notifications import Receipts, due
from watchdog.reader import RedisReader
from watchdog.report import Snapshot, figures_of, snapshot
from watchdog.sources import build_signals, build_sources, look
from watchdog.state import StateFile

LONGEST_PATIENCE = 1.0
STUCK = timedelta(minutes=10)
"""An outbox whose oldest notification waits for longer does not move."""
log = structlog.get_logger()


@dataclass(slots=True)
class Pulse:
    """How the sidecar itself is doing."""

    started_at: datetime
    ticks: int = 0
    failed_ticks: int = 0
    last_tick: datetime | None = None
    tick_seconds: float = 0.0
    slowest_tick_seconds: float = 0.0
    spent_seconds: float = 0.0
    collect_failures: dict[tuple[str, str], int] = field(default_factory=dict)
    state_failures: int = 0


class Sidecar:
    """Watches what *config* says; built in `cli`, driven by APScheduler in `run` or by hand in tests."""

    def __init__(self, config: Config, clock: Clock, state: StateFile | None = None) -> None:
        self.config = config
        self.clock = clock
        self.reader = RedisReader(config.redis_url, config.redis_timeout.total_seconds())
        timed = build_signals(config)
        self.signals = [one.signal for one in timed]
        self.state = state
        if state is not None:
            state.recall(self.signals)
        self.sources = build_sources(timed, self.reader)
        self.history = History(config.keep)
        self.alerts: Mapping[Labels, Alert] = {}
        self.receipts: Receipts = {}
        self.outbox = Outbox(config.receivers, config.link, clock)
        self.figures = figures_of(config.binding.watches, config.offered)
        self.latest: Snapshot | None = None
        self.pulse = Pulse(clock())
        self._patience = min(LONGEST_PATIENCE, config.every.total_seconds() / 2)
        self._scheduler = AsyncIOScheduler()
        self._idle = asyncio.Event()
        self._idle.set()

    async def tick(self, now: datetime) -> None:
        """Look once, decide once, tell whoever has to know."""
        readings = await look(self.sources, now, self._patience)
        self._note_failures(readings)
        self.history = self.history.add(readings)
        before, self.alerts = (
            self.alerts,
            evaluate(self.config.binding.watches, self.history, self.alerts, now),
        )
        self._log_changes(before)
        self.latest = snapshot(
            self.history,
            self.alerts,
            now,
            figures=self.figures,
            services=self.config.services,
            needs=self.config.needs,
        )
        decision = due(self.alerts, self.receipts, self.config.routes, self.config.needs, now)
        self.receipts = decision.receipts
        self.outbox.put(decision.notifications)
        self._save()

    def _save(self) -> None:
        if self.state is None:
            return
        try:
            self.state.save(self.signals)
        except StateError as exc:
            self.pulse.state_failures += 1
            log.error("state_not_saved", why=str(exc))

    def _note_failures(self, readings: list[Reading]) -> None:
        for reading in readings:
            if reading.trouble is not None:
                reason = "source_down" if reading.down else "no_answer"
                ticket = (reading.signal.kind, reason)
                self.pulse.collect_failures[ticket] = self.pulse.collect_failures.get(ticket, 0) + 1

    def _log_changes(self, before: Mapping[Labels, Alert]) -> None:
        for labels, alert in self.alerts.items():
            was = before.get(labels)
            if was is None or was.state is not alert.state:
                log.info(
                    "alert",
                    state=str(alert.state),
                    was=str(was.state) if was else "inactive",
                    **labels,
                    summary=alert.summary,
                )

    # ---- driving -------------------------------------------------------------------------------

    def start(self) -> None:
        """Start ticking and delivering on the running loop."""
        self.outbox.start()
        self._scheduler.add_job(
            self._tick_safely,
            "interval",
            seconds=self.config.every.total_seconds(),
            next_run_time=self.clock(),
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
        )
        self._scheduler.start()

    async def stop(self) -> None:
        """Stop ticking and delivering, in reverse order of `start`."""
        if self._scheduler.running:
            self._scheduler.pause()
            await asyncio.sleep(0)  # a tick that is due by now begins, and is waited for like any other
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), self._patience)
            self._scheduler.shutdown(wait=False)
        for source in self.sources:
            source.cancel()
        await self.outbox.stop()
        await self.reader.close()
        if self.state is not None:
            self._save()
            self.state.close()

    async def _tick_safely(self) -> None:
        """Tick, and whatever happens tick on: the one place where every error is caught."""
        now, began = self.clock(), time.perf_counter()
        self._idle.clear()
        try:
            await self.tick(now)
        except asyncio.CancelledError:
            return  # we are being stopped, and the scheduler would call that an error
        except Exception:
            self.pulse.failed_ticks += 1
            log.exception("tick_failed")
            return
        finally:
            self._idle.set()
        took = time.perf_counter() - began
        pulse = self.pulse
        pulse.ticks += 1
        pulse.last_tick = now
        pulse.tick_seconds = took
        pulse.spent_seconds += took
        pulse.slowest_tick_seconds = max(took, pulse.slowest_tick_seconds)

    def fresh(self, now: datetime) -> bool:
        """Say whether the last tick is young: at most three intervals, and ten seconds, old."""
        last = self.pulse.last_tick
        return last is not None and now - last <= max(3 * self.config.every, timedelta(seconds=10))

    def ready(self, now: datetime) -> bool:
        """Say whether the last tick is young and the outbox moves."""
        waiting = [self.outbox.oldest(receiver) for receiver in self.config.receivers]
        return self.fresh(now) and all(now - since <= STUCK for since in waiting if since is not None)
