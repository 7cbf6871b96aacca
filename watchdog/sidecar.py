"""The sidecar: looks, decides and tells, once a tick. The whole product is `Sidecar.tick`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from watchdog.alerts import Alert
from watchdog.chronicle import Chronicle
from watchdog.clock import Clock
from watchdog.config import Config
from watchdog.delivery import Outbox
from watchdog.dividing import hand_over
from watchdog.duties import Duties
from watchdog.errors import StateError
from watchdog.fitness import Fitness
from watchdog.fleet import Fleet
from watchdog.garbage import keep_for_good
from watchdog.heard import Heard
from watchdog.history import History
from watchdog.judging import Judge
from watchdog.keeping import Keeper, Kept
from watchdog.loading import Loading
from watchdog.model import Labels, Reading, SignalKey
from watchdog.muting import Ack, Silence, settle, settle_acks
from watchdog.notifications import Notification, Reason
from watchdog.pair import pair_of
from watchdog.pulse import Pulse, log_changes
from watchdog.recorder import Recorder
from watchdog.records import with_wish, write_ack, write_silence, written_wishes
from watchdog.report import Snapshot, snapshot
from watchdog.scout import Discovered
from watchdog.signals import watchdog
from watchdog.sources import behind, look
from watchdog.state import StateFile
from watchdog.tape import Tape
from watchdog.telling import Receipts, Ticket, Wishes, due, owed
from watchdog.timeline import Timeline
from watchdog.trends import Trends
from watchdog.units import EPOCH
from watchdog.vigil import witnesses_of

LONGEST_PATIENCE = 1.0
log = structlog.get_logger()


class Sidecar:
    """Watches what *config* says; built in `cli`, driven by `start` or by hand in tests."""

    def __init__(
        self, config: Config, clock: Clock, state: StateFile | None = None, tape: Tape | None = None
    ) -> None:
        """
        Take up what an earlier process left in *state*; without one nothing outlives this process.

        What is seen goes onto the *tape*, if there is one.
        """
        self.config = config
        self.clock = clock
        self.pulse = Pulse(clock())
        self.fleet = Fleet(config)
        self.state = state or StateFile(":memory:", clock)
        self.keeper = Keeper(self.state)
        self.fleet.remember(self.keeper.found())
        signals = self.fleet.signals.values()
        kept = self.keeper.recall(signals, config.receivers, self.pulse.started_at)
        stays = hand_over(kept.alerts, kept.receipts, config.shard)
        self.alerts: Mapping[Labels, Alert] = stays.alerts
        self.receipts: Receipts = stays.receipts
        for number, count in stays.moved.items():
            log.info("handed_over", reason=f"moved to shard {number}", alerts=count)
        self.wishes = kept.wishes
        self.duties = Duties(config.reports, kept.done, self.state, clock)
        self.outbox = Outbox(config.receivers, config.links, self.state, clock, config.expire_after)
        self.pair = pair_of(config, self.outbox, self, clock, self.pulse.signs)
        self.witnesses = witnesses_of(config, self.pulse.signs)
        self.sources = self.fleet.sources
        self.history = History(config.keep, asked=self.fleet.counters)
        self.chronicle = Chronicle(self.state, config.every, stays.alerts, kept.wishes, self.pulse.started_at)
        self.chronicle.watch(self.fleet.signals)
        self.found = self.fleet.memory()
        self._found_version: Sequence[int] | None = self.fleet.version
        self.judge = Judge(self.fleet.binding)
        self.reasons: Mapping[Ticket, Reason] = {}
        self.latest: Snapshot | None = None
        self.loading = Loading(self.pulse.started_at)
        self.recorder = Recorder(tape)
        self._set_aside_at = self.pulse.started_at if self.state.set_aside else None
        self._patience = _patience_of(config)
        self._driver: asyncio.Task[None] | None = None
        self.fitness = Fitness(config.every, self.pulse, self.outbox, self.sources)
        self.turn = asyncio.Lock()
        self.hurry = asyncio.Event()
        self.brought: tuple[Reading, ...] = ()
        self.renewed: tuple[SignalKey, ...] = ()

    def go_by(self, config: Config) -> None:
        """Do as *config* says from now on; what lives is changed by `watchdog.changing`."""
        if config.every != self.config.every:
            self._patience = _patience_of(config)
        self.config = config
        self.fitness.every = config.every
        self._found_version = None

    async def tick(self, now: datetime) -> None:
        """Look once, decide once, tell whoever has to know."""
        readings = await look(self.sources, now, self._patience)
        change = self._take_found()
        mine = (found for found in readings if found.signal in self.fleet.signals)  # one may be gone by now
        seen = (*self.brought, *mine, *self._own_readings(now))
        self.history = self.history.add(seen)
        self.history.behind = behind(self.sources, now)
        change = Discovered(change.added, (*change.gone, *self.renewed))
        self.recorder.take(now, seen, change, self.wishes, self.history.latest.values())
        self.brought, self.renewed = (), ()
        self.pulse.note_unknown(self.history)
        before = self.alerts
        self.alerts = self.judge.judge(self.history, before, now, owed(self.receipts))
        log_changes(before, self.alerts)
        self.wishes = Wishes(
            settle(self.wishes.silences, self.alerts.values(), now),
            settle_acks(self.wishes.acks, self.alerts.values()),
        )
        self.recorder.settled(self.wishes)
        waiting = self.outbox.beginnings()
        decision = due(self.alerts, self.receipts, self.config.policy, self.wishes, now, waiting=waiting)
        self.pulse.note_reasons(decision, self.reasons)
        self.reasons = decision.reasons
        self.receipts = decision.receipts
        self.tell(decision.notifications, decision.withdrawn)
        self.latest = snapshot(
            self.history,
            self.alerts,
            now,
            figures=self.fleet.figures,
            services=self.fleet.services,
            needs=self.config.policy.needs,
        )
        self._tell_reports(self.latest, now)
        if self.chronicle.tick(self.latest, self.alerts, self.wishes, self.history.fresh):
            self.keep()  # once more and last of all: whatever is wrong with it, what is due is on its way

    def _take_found(self) -> Discovered:
        """Watch what was discovered since the tick before, and forget what is gone for long."""
        change = self.fleet.take()
        if change.added or change.gone:
            self.keeper.watch(self.fleet.signals[spec.key] for spec in change.added)
            self.keeper.forget(change.gone)
            self.history.drop(change.gone)
            self.chronicle.trends.drop(change.gone)
            self.chronicle.watch(self.fleet.signals)
            self.history.ask(self.fleet.counters, self.clock())
            self.judge.rebind(self.fleet.binding)
            keep_for_good()
        if self._found_version != (version := self.fleet.version):
            self._found_version, self.found = version, self.fleet.memory()
        return change

    def tell(
        self, messages: tuple[Notification, ...] = (), withdrawn: frozenset[Ticket] = frozenset()
    ) -> None:
        """Queue *messages* and keep them with what they follow from, in one transaction; then send."""
        self.outbox.take(messages, withdrawn)
        if self.pair is not None:
            self.pair.spare()
        self.keep()
        self.outbox.wake()

    def keep(self) -> bool:
        """Write what changed into the state file, and say whether that went well."""
        kept = Kept(self.alerts, self.receipts, self.wishes, dict(self.duties.done), self.found)
        if self.keeper.stage(kept, self.history.fresh):
            self._set_aside_at = self.clock()
            self.outbox.keep_all()
            self.chronicle.keep_all()
        renewals = self.state.renewals
        try:
            self.state.commit()
        except StateError as exc:
            self.pulse.state_failures += 1
            log.error("state_not_saved", why=str(exc))
            return self.state.renewals != renewals and self.keep()  # a new file was begun: all goes in there
        return True

    @property
    def trends(self) -> Trends:
        """Return the curves of the last hours."""
        return self.chronicle.trends

    @property
    def timeline(self) -> Timeline:
        """Return what happened, service by service."""
        return self.chronicle.timeline

    # ---- what people say -------------------------------------------------------------------------

    def silence(self, silence: Silence) -> bool:
        """Take *silence* (new, changed or ended by its times); say whether it is safely kept."""
        self.wishes = replace(self.wishes, silences={**self.wishes.silences, silence.id: silence})
        log.info("silence", id=silence.id, by=silence.created_by, ends_at=silence.ends_at.isoformat())
        if self.pair is not None:
            self.pair.share("silences", write_silence(silence))
        return self.keep()

    def acknowledge(self, ack: Ack) -> bool:
        """Take *ack*; say whether it is safely kept."""
        self.wishes = replace(self.wishes, acks={**self.wishes.acks, ack.fingerprint: ack})
        log.info("acknowledged", fingerprint=ack.fingerprint, by=ack.by)
        if self.pair is not None:
            self.pair.share("acks", write_ack(ack))
        return self.keep()

    def take_back(self, ack: Ack) -> bool:
        """Forget *ack*, and have the other one of a pair hold it for no firing; say whether that is kept."""
        acks = {mark: other for mark, other in self.wishes.acks.items() if mark != ack.fingerprint}
        self.wishes = replace(self.wishes, acks=acks)
        log.info("acknowledgement_taken_back", fingerprint=ack.fingerprint)
        if self.pair is not None:
            self.pair.share("acks", write_ack(replace(ack, fired_at=EPOCH)))
        return self.keep()

    def self_test(self, now: datetime) -> None:
        """Have the alert `SelfTest` fire from the next tick on, for a while, and take its whole way."""
        self.duties.test(now, self.config.every)

    def _tell_reports(self, latest: Snapshot, now: datetime) -> None:
        """Tell the reports whose time has come."""
        unseen = len(self.history.latest) < len(self.fleet.figures)
        every, told = self.config.every, (self.alerts, self.receipts)
        messages = self.duties.due(latest, now, every, *told, unseen=unseen)
        if messages is not None:
            self.tell(messages)

    # ---- the other one of a pair -----------------------------------------------------------------

    def why_unwell(self, now: datetime) -> str | None:
        """Say why it does not do its work, or None."""
        return self.fitness.why_unwell(now)

    def adopt(self, heard: Heard) -> None:
        """Take over what the other watchdog announced, so that its end is told."""
        self.alerts, self.receipts = heard.adopt(self.alerts, self.receipts, self.fleet.binding.lead_of)

    def take_wish(self, book: str, record: Mapping[str, Any], *, known: bool) -> None:
        """Take a silence or an acknowledgement of the other's; unless *known*, one we have stays as it is."""
        self.wishes = with_wish(self.wishes, book, record, known=known)

    def wishes_said(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Return all silences and acknowledgements, as the other watchdog takes them."""
        return written_wishes(self.wishes)

    # ---- what it knows of itself -----------------------------------------------------------------

    def _own_readings(self, now: datetime) -> list[Reading]:
        own = watchdog.reading(
            self.config.own("watchdog"),
            now,
            unsaved_since=self.state.unsaved_since,
            set_aside_at=self._set_aside_at,
            set_aside=self.state.set_aside,
            self_test=self.duties.testing(now),
            problems=self.loading.problems,
        )
        key, since = self.config.own, self.pulse.started_at
        told = (
            self.outbox.reading(key("receiver", receiver=r), r, since, now) for r in self.config.receivers
        )
        return [own, *told]

    # ---- driving ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Start ticking and delivering on the running loop."""
        self.fitness.driven = True
        self.outbox.start()
        if self.pair is not None:
            self.pair.start()
        for witness in self.witnesses:
            witness.start()
        self._driver = asyncio.create_task(self._drive(), name="tick")

    @property
    def running(self) -> bool:
        """Say whether it ticks by itself."""
        return self._driver is not None

    async def stop(self) -> None:
        """Stop ticking and delivering, in reverse order of `start`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.turn.acquire(), self._patience)
        if self._driver is not None:
            self._driver.cancel()
            await asyncio.gather(self._driver, return_exceptions=True)
        for witness in reversed(self.witnesses):
            await witness.stop()
        for source in self.sources:
            source.cancel()
        await self.outbox.stop()
        if self.pair is not None:
            await self.pair.stop()
        await self.fleet.close()
        self.recorder.close()
        self.chronicle.close(self.clock())
        self.keep()
        self.state.close()

    async def _drive(self) -> None:
        """Tick once an interval by the monotonic clock: setting the other one stops nothing."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            async with self.turn:
                self.hurry.clear()
                await self._tick_safely()
            due = max(
                due + self.config.every.total_seconds(), loop.time()
            )  # what was missed is not made up for
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self.hurry.wait()
                due = loop.time()

    async def _tick_safely(self) -> None:
        """Tick, and whatever happens tick on: the one place where every error is caught."""
        now, began = self.clock(), time.perf_counter()
        try:
            await self.tick(now)
        except Exception:
            self.pulse.failed_ticks += 1
            log.exception("tick_failed")
            return
        self.pulse.note_tick(now, time.perf_counter() - began)
        self._tell_witnesses()

    def _tell_witnesses(self) -> None:
        """Have everybody hear of the tick who raises the alarm when no more come."""
        now = self.clock()
        if self.latest is not None:
            checkup = self.fitness.checkup(now, self.latest)
            for witness in self.witnesses:
                witness.ticked(checkup)


def _patience_of(config: Config) -> float:
    """Return how many seconds a tick waits for what it looks at."""
    return min(LONGEST_PATIENCE, config.every.total_seconds() / 2)
