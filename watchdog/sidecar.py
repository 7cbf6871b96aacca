"""The sidecar: looks, decides and tells, once a tick. The whole product is `Sidecar.tick`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from watchdog.alerts import Alert
from watchdog.bulletin import LATE, WEEK, bulletin, headline, reports_due
from watchdog.chronicle import Chronicle
from watchdog.clock import Clock
from watchdog.config import Config
from watchdog.delivery import Outbox
from watchdog.errors import StateError
from watchdog.fleet import Fleet
from watchdog.garbage import keep_for_good
from watchdog.heard import Heard
from watchdog.history import History
from watchdog.judging import Judge
from watchdog.keeping import Keeper, Kept
from watchdog.model import Labels, Reading, SignalKey
from watchdog.muting import Ack, Silence, settle, settle_acks
from watchdog.notifications import Notification, Reason
from watchdog.pair import pair_of
from watchdog.recorder import Recorder
from watchdog.records import read_ack, read_silence, write_ack, write_silence
from watchdog.report import Snapshot, snapshot
from watchdog.scout import Discovered
from watchdog.signals import receiver, watchdog
from watchdog.sources import behind, look
from watchdog.state import StateFile
from watchdog.tape import Tape
from watchdog.telling import OWN_SERVICE, Decision, Receipts, Ticket, Wishes, due, owed
from watchdog.timeline import Timeline
from watchdog.trends import Trends
from watchdog.units import EPOCH
from watchdog.vigil import Checkup, Signs, witnesses_of

LONGEST_PATIENCE = 1.0
STUCK = timedelta(minutes=10)
"""An outbox whose oldest message waits for longer does not move."""
SELF_TEST = timedelta(seconds=15)
"""How long the alert of a self-test fires, at least one tick."""
SELF_TESTED = "self_test delivered"
FIRST_LOOKS = timedelta(minutes=1)
"""So long a report waits for signals that were never seen yet."""
MOST_TOLD = 5_000
"""So many records of the delivery log a weekly audit reads."""
MOST_LOGGED = 20
"""So many fingerprints stand in one line of the log."""
OWN = SignalKey(OWN_SERVICE, "watchdog", Labels())
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
    decisions: Counter[tuple[str, str]] = field(default_factory=Counter)
    signs: Signs = field(default_factory=Counter)
    exported: Counter[str] = field(default_factory=Counter)  # traces, by what became of them


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
        self.alerts: Mapping[Labels, Alert] = kept.alerts
        self.receipts: Receipts = kept.receipts
        self.wishes = kept.wishes
        self.done = {r.name: kept.done.get(r.name, self.pulse.started_at) for r in config.reports}
        self.done |= {name: at for name, at in kept.done.items() if name == SELF_TESTED}
        self.outbox = Outbox(config.receivers, config.links, self.state, clock, config.expire_after)
        self.pair = pair_of(config, self.outbox, self, clock, self.pulse.signs)
        self.witnesses = witnesses_of(config, self.pulse.signs)
        self.sources = self.fleet.sources
        self.history = History(config.keep, asked=self.fleet.counters)
        self.chronicle = Chronicle(self.state, config.every, kept.alerts, kept.wishes, self.pulse.started_at)
        self.chronicle.watch(self.fleet.signals)
        self.found = self.fleet.memory()
        self._found_version = self.fleet.version
        self.judge = Judge(self.fleet.binding)
        self.reasons: Mapping[Ticket, Reason] = {}
        self.latest: Snapshot | None = None
        self._testing_until: datetime | None = None
        self.recorder = Recorder(tape)
        self._set_aside_at = self.pulse.started_at if self.state.set_aside else None
        self._patience = min(LONGEST_PATIENCE, config.every.total_seconds() / 2)
        self._driver: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    async def tick(self, now: datetime) -> None:
        """Look once, decide once, tell whoever has to know."""
        readings = await look(self.sources, now, self._patience)
        change = self._take_found()
        mine = (found for found in readings if found.signal in self.fleet.signals)  # one may be gone by now
        seen = (*mine, *self._own_readings(now))
        self.history = self.history.add(seen)
        self.history.behind = behind(self.sources, now)
        self.recorder.take(now, seen, change, self.wishes, self.history.latest.values())
        self._note_failures()
        before = self.alerts
        self.alerts = self.judge.judge(self.history, before, now, owed(self.receipts))
        self._log_changes(before)
        self.wishes = Wishes(
            settle(self.wishes.silences, self.alerts.values(), now),
            settle_acks(self.wishes.acks, self.alerts.values()),
        )
        self.recorder.settled(self.wishes)
        waiting = self.outbox.beginnings()
        decision = due(self.alerts, self.receipts, self.config.policy, self.wishes, now, waiting=waiting)
        self._note_reasons(decision)
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
        self._report(self.latest, now)
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
            self.history.asked = self.fleet.counters
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
        kept = Kept(self.alerts, self.receipts, self.wishes, dict(self.done), self.found)
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
        self._testing_until = now + max(SELF_TEST, 2 * self.config.every)

    # ---- what is told though nothing is wrong ----------------------------------------------------

    def _report(self, latest: Snapshot, now: datetime) -> None:
        """Tell the reports whose time has come, and note which self-test has come through."""
        messages: list[Notification] = []
        done = {**self.done, **self._self_tested()}
        unseen = (
            len(self.history.latest) < len(self.fleet.figures) and now - self.pulse.started_at < FIRST_LOOKS
        )
        for report, moment in () if unseen else reports_due(self.config.reports, self.done, now):
            done[report.name] = now
            if now - moment > LATE:
                continue
            if report.what == "self_test":
                self.self_test(now)
            else:
                told = self._delivered(since=now - WEEK, limit=MOST_TOLD)
                messages += bulletin(report, latest, moment, told)
        if done != self.done:
            self.done = done
            self.tell(tuple(messages))

    def _self_tested(self) -> dict[str, datetime]:
        """Return when a self-test that is on its way had reached everybody who is told of it."""
        test = next((labels for labels in self.alerts if labels["alertname"] == "SelfTest"), None)
        began = self.alerts[test].fired_at if test is not None else None
        if test is None or began is None or self.done.get(SELF_TESTED, began - SELF_TEST) >= began:
            return {}
        mark = test.fingerprint
        told = {name for (name, of), r in self.receipts.items() if of == mark and r.fired_at == began}
        sent = self._delivered(fingerprint=mark, since=began)
        return {SELF_TESTED: self.clock()} if told and told <= {str(r["receiver"]) for r in sent} else {}

    def _delivered(self, **which: Any) -> list[Mapping[str, Any]]:
        """Return what was sent; nothing is known of it while the file cannot be read."""
        try:
            return self.state.deliveries(outcome="sent", **which)
        except StateError as exc:
            log.error("deliveries_not_read", why=str(exc))
            return []

    # ---- the other one of a pair -----------------------------------------------------------------

    def adopt(self, heard: Heard) -> None:
        """Take over what the other watchdog announced, so that its end is told."""
        self.alerts, self.receipts = heard.adopt(self.alerts, self.receipts, self.fleet.binding.lead_of)

    def take_wish(self, book: str, record: Mapping[str, Any], *, known: bool) -> None:
        """Take a silence or an acknowledgement of the other's; unless *known*, one we have stays as it is."""
        silences, acks = self.wishes.silences, self.wishes.acks
        if book == "silences" and (known or record["id"] not in silences):
            self.wishes = replace(self.wishes, silences={**silences, record["id"]: read_silence(record)})
        if book == "acks" and (known or record["fingerprint"] not in acks):
            self.wishes = replace(self.wishes, acks={**acks, record["fingerprint"]: read_ack(record)})

    def wishes_said(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield all silences and acknowledgements, as the other watchdog takes them."""
        yield from (("silences", write_silence(silence)) for silence in self.wishes.silences.values())
        yield from (("acks", write_ack(ack)) for ack in self.wishes.acks.values())

    # ---- what it knows of itself -----------------------------------------------------------------

    def _own_readings(self, now: datetime) -> list[Reading]:
        testing = self._testing_until is not None and now < self._testing_until
        own = watchdog.reading(
            OWN,
            now,
            unsaved_since=self.state.unsaved_since,
            set_aside_at=self._set_aside_at,
            set_aside=self.state.set_aside,
            self_test=testing,
        )
        return [own, *(self._receiver_reading(name, now) for name in self.config.receivers)]

    def _receiver_reading(self, name: str, now: datetime) -> Reading:
        health = self.outbox.health(name)
        refusals, health.refusals = tuple(health.refusals), []
        return receiver.reading(
            SignalKey(OWN_SERVICE, "receiver", Labels(receiver=name)),
            now,
            since=self.pulse.started_at,
            failing_since=health.failing_since,
            why=health.why,
            refusals=refusals,
            waiting=self.outbox.depth(name),
            oldest=self.outbox.oldest(name),
        )

    def _note_failures(self) -> None:
        """Count every signal that has no answer at this tick."""
        for key in self.history.unknown:
            reading = self.history.latest[key]
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

    def _note_reasons(self, decision: Decision) -> None:
        """Count and log every decision that is not the one of the tick before."""
        changed: dict[tuple[str, str], list[str]] = {}
        for (name, fingerprint), reason in decision.reasons.items():
            if self.reasons.get((name, fingerprint)) is not reason:
                changed.setdefault((name, str(reason)), []).append(fingerprint)
        for (name, why), marks in changed.items():
            self.pulse.decisions[name, why] += len(marks)
            log.info("decision", receiver=name, reason=why, count=len(marks), alerts=marks[:MOST_LOGGED])
        for message in decision.notifications:
            if message.waits is not None:
                self.pulse.decisions[message.receiver, str(message.waits)] += 1
                until = message.due.isoformat()
                log.info("decision", receiver=message.receiver, reason=str(message.waits), until=until)
        self.reasons = decision.reasons

    # ---- driving ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Start ticking and delivering on the running loop."""
        self.outbox.start()
        if self.pair is not None:
            self.pair.start()
        for witness in self.witnesses:
            witness.start()
        self._driver = asyncio.create_task(self._drive(), name="tick")

    async def stop(self) -> None:
        """Stop ticking and delivering, in reverse order of `start`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), self._patience)
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
        loop, every = asyncio.get_running_loop(), self.config.every.total_seconds()
        due = loop.time()
        while True:
            await self._tick_safely()
            due = max(due + every, loop.time())  # what was missed is not made up for
            await asyncio.sleep(due - loop.time())

    async def _tick_safely(self) -> None:
        """Tick, and whatever happens tick on: the one place where every error is caught."""
        now, began = self.clock(), time.perf_counter()
        self._idle.clear()
        try:
            await self.tick(now)
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

        self._tell_witnesses()

    def _tell_witnesses(self) -> None:
        """Have everybody hear of the tick who raises the alarm when no more come."""
        now = self.clock()
        if self.latest is not None:
            checkup = Checkup(now, self.why_unwell(now), self.why_stuck(now), headline(self.latest))
            for witness in self.witnesses:
                witness.ticked(checkup)

    # ---- is it well? -----------------------------------------------------------------------------

    def _allowed(self) -> timedelta:
        """Return how old the last tick may be: three intervals, and ten seconds."""
        return max(3 * self.config.every, timedelta(seconds=10))

    def fresh(self, now: datetime) -> bool:
        """Say whether the last tick is young; one in the future is not, for the clock was set back."""
        last = self.pulse.last_tick
        return last is not None and abs(now - last) <= self._allowed()

    def why_unwell(self, now: datetime) -> str | None:
        """
        Say why it does not do its work, or None: it ticks, looks at all there is, and can send.

        That a receiver takes nothing is not its fault, nor that a source gives no answer.
        """
        if not self.fresh(now):
            last = self.pulse.last_tick
            return f"last tick {last.isoformat() if last else 'never'}"
        if self._driver is not None and not self.outbox.working:
            return "notifications wait for a worker that has died"
        unseen = (source.why_unseen(now, self._allowed()) for source in self.sources)
        return next((why for why in unseen if why is not None), None)

    def why_stuck(self, now: datetime) -> str | None:
        """Say why nobody hears of what it finds, or None; what a standby holds back is not stuck."""
        mine = [name for name in self.config.receivers if self.outbox.gate.open(name)]
        waits = (now - message.due for name in mine for message in self.outbox.waiting(name))
        return "notifications wait and none is taken" if any(wait > STUCK for wait in waits) else None

    def why_not_ready(self, now: datetime) -> str | None:
        """Say why one should not rely on it, or None: it is well, and what it finds is heard."""
        return self.why_unwell(now) or self.why_stuck(now)

    def ready(self, now: datetime) -> bool:
        """Say whether one can rely on it."""
        return self.why_not_ready(now) is None
