"""Whatever happens, in whatever order: a state machine of the sidecar beside a small model (hypothesis)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.drawn import T0
from tests.reliability.account import Episode, Place, keys, order, settle, words
from tests.reliability.driver import never_late
from tests.reliability.receivers import Request
from tests.reliability.travel import Travelling
from watchdog.config import Config, parse
from watchdog.delivery import Outbox
from watchdog.errors import NotifyError, StateError
from watchdog.links import Links
from watchdog.model import Reading, SignalKey
from watchdog.muting import Matcher, Silence
from watchdog.notifications import Notification
from watchdog.notifiers.base import Notifier, Sending, encode
from watchdog.notifiers.webhook import payload
from watchdog.sidecar import Sidecar
from watchdog.signals.base import Signal
from watchdog.sources import Source, Turn
from watchdog.state import LONGEST_REST, StateFile

RULES = """
every: 1s
builtin_rules: off
services:
  bridge: {{flag: [{{key: halt}}, {{key: drain}}]}}
  apply: {{flag: {{key: halt}}}}
  trainer: {{flag: {{key: halt}}}}
rules:
  - {{alert: Halted, when: flag.set == 1, severity: critical, services: [bridge]}}
  - {{alert: Slow, when: flag.set == 1, severity: warning, services: [trainer], for: 20s}}
  {stopped}
receivers:
  prompt: {{webhook: {{url: "http://127.0.0.1/"}}}}
  calm: {{webhook: {{url: "http://127.0.0.1/"}}}}
notifications: {{expire_after: 365d, flapping: {flapping}}}
routes:
  - {{to: [prompt], continue: true, group_wait: 0s, group_interval: 0s}}
  - {{to: [calm], continue: true, group_wait: 10s, group_interval: 30s}}
"""
STOPPED = "- {alert: Stopped, when: flag.set == 1, severity: warning, services: [apply]}"
"""The rule that comes and goes with the file."""
REMOVABLE = "apply"
WAITS = {"trainer": timedelta(seconds=20)}
PLACES: tuple[Place, ...] = (
    ("bridge", "halt"),
    ("bridge", "drain"),
    ("apply", "halt"),
    ("trainer", "halt"),
)
RECEIVERS = ("prompt", "calm")
STEADY = "{times: 3, within: 30m, steady: 10m}"
A_MILLISECOND = timedelta(milliseconds=1)
BUSY = 40.0


@dataclass
class Ear:
    """What a receiver answers now, and all it was asked."""

    answer: str = "takes"
    requests: list[Request] = field(default_factory=list)

    async def hear(self, message: Notification) -> None:
        """Answer as it does now."""
        answer = self.answer
        body = encode(payload(message, Links("http://x")))
        self.requests.append(Request(message.key, body, answer.startswith(("takes", "refuses"))))
        if answer.endswith("hangs"):
            await asyncio.sleep(10)
        if answer == "is busy":
            raise NotifyError("answered 429", permanent=False, retry_after=BUSY)
        if answer != "takes":
            raise NotifyError(answer, permanent=answer == "refuses")


TRUTHS = st.sampled_from([True, True, False, False, None])
PAUSES = st.sampled_from([0.0, 1.0, 5.0, 12.0, 30.0, 300.0])
ANSWERS = (
    "takes",
    "takes",
    "takes",
    "fails",
    "is busy",
    "hangs",
    "takes, then fails",
    "takes, then hangs",
    "refuses",
)
"""Whoever refuses for good is told no more of it, but was told."""


class Hook(Notifier):
    """A receiver without a wire."""

    ear: Any

    async def send(self, notification: Notification, sending: Sending) -> str | None:
        """Have it heard."""
        await self.ear.hear(notification)
        return None


@dataclass
class Thing:
    """What the model knows of one place: whether its condition holds, and its episodes."""

    holds: bool | None = False
    since: datetime | None = None  # from when on it has held without firing yet
    episodes: list[Episode] = field(default_factory=list)

    @property
    def fires(self) -> bool:
        """Say whether it fires."""
        return bool(self.episodes) and self.episodes[-1].ended is None

    def look(self, now: datetime, wait: timedelta, *, watched: bool) -> None:
        """Become what a look at *now* makes of it."""
        holds = self.holds if watched else False
        if holds is False:
            self.since = None
            if self.fires:
                self.episodes[-1] = replace(self.episodes[-1], ended=now.isoformat())
        elif holds and not self.fires:
            self.since = min(self.since or now, now)
            if now - self.since >= wait:
                self.episodes.append(Episode(self.since.isoformat()))
                self.since = None


class Machine(RuleBasedStateMachine):
    """The sidecar on scripted readings, on a loop that travels, in front of ears."""

    flapping = "off"

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="machine"))
        self.ears = {name: Ear() for name in RECEIVERS}
        self.things = {place: Thing() for place in PLACES}
        self.spared: dict[str, set[tuple[Place, str]]] = {name: set() for name in RECEIVERS}
        self.due: set[tuple[Place, str]] = set()
        self.silences: dict[str, Silence] = {}
        self.watched = True
        self.full = False
        self.shift = timedelta(0)
        self.past = timedelta(0)  # what earlier lives took
        self.shown: set[datetime] = set()
        self.files = 0
        self.start()

    # ---- a life --------------------------------------------------------------------------------

    def config(self) -> Config:
        """Return the configuration, with ears for receivers."""
        text = RULES.format(stopped=STOPPED if self.watched else "", flapping=self.flapping)
        config = parse(text)
        return replace(
            config, receivers={name: Hook.model_validate({"ear": ear}) for name, ear in self.ears.items()}
        )

    def start(self) -> None:
        """Begin a life with what is in the file."""
        self.loop = Travelling()
        self.state = StateFile(str(self.directory / f"{self.files}.db"), self.clock)
        assert self.state.set_aside is None
        config = self.config()
        self.sidecar = Sidecar(config, self.clock, self.state)
        self.sidecar.outbox = Outbox(
            config.receivers, config.links, self.state, self.clock, config.expire_after, self.loop.time
        )
        flags = [signal for signal in self.sidecar.fleet.signals.values() if signal.key.kind == "flag"]
        turn = Turn(timedelta(0), flags, flags)
        self.sidecar.sources = [Source("script", [turn], self.readings, never_late)]
        self.agree()
        self.run(self.start_sending())

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run *coroutine* on the loop of this life."""
        self.loop.run_until_complete(coroutine)

    async def start_sending(self) -> None:
        """Start what sends, which needs a running loop."""
        self.sidecar.outbox.start()

    def clock(self) -> datetime:
        """Return what the clock shows: never the same twice, so that each beginning is one of a kind."""
        now = T0 + self.past + timedelta(seconds=self.loop.time()) + self.shift
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        while now in self.shown:
            now += A_MILLISECOND
        return now

    async def readings(self, asked: Sequence[Sequence[Signal[Any]]], now: datetime) -> list[Reading]:
        """Return what the model has for each signal."""
        return [self.reading(signal.key, now) for signals in asked for signal in signals]

    def reading(self, key: SignalKey, now: datetime) -> Reading:
        """Return what the model has for one."""
        holds = self.things[key.service, key.labels["key"]].holds
        if holds is None:
            return Reading(key, now, trouble="nobody can tell")
        return Reading(key, now, {"set": float(holds)}, evidence={"value": holds, "at": now.isoformat()})

    def agree(self) -> None:
        """Hold the model against what the sidecar knows."""
        alerts = {(a.service, a.labels["key"]): a for a in self.sidecar.alerts.values()}
        for place, thing in self.things.items():
            alert = alerts.get(place)
            fires = alert is not None and alert.firing
            assert fires == thing.fires, (place, alert, thing)
            if alert is not None and fires:
                assert alert.active_since.isoformat() == thing.episodes[-1].began, (place, alert, thing)

    # ---- what happens --------------------------------------------------------------------------

    @rule(holds=st.dictionaries(st.sampled_from(PLACES), TRUTHS, min_size=1), pause=PAUSES)
    def turns(self, holds: Mapping[Place, bool | None], pause: float) -> None:
        """Conditions become true, false or unknown; time goes by, and the sidecar looks."""
        for place, is_so in holds.items():
            self.things[place].holds = is_so
        self.looks(pause)

    @rule(holds=st.fixed_dictionaries(dict.fromkeys(PLACES, TRUTHS)), pause=PAUSES)
    def turns_all(self, holds: Mapping[Place, bool | None], pause: float) -> None:
        """All of them do."""
        self.turns(holds, pause)

    @rule(place=st.sampled_from(PLACES), times=st.integers(2, 4))
    def flaps(self, place: Place, times: int) -> None:
        """One begins and ends from look to look."""
        for _ in range(times):
            self.turns({place: True}, 1.0)
            self.turns({place: False}, 1.0)

    @rule(pause=PAUSES)
    def looks(self, pause: float) -> None:
        """Time goes by, and the sidecar looks."""
        self.run(asyncio.sleep(pause))
        now = self.clock()
        self.shown.add(now)
        self.run(self.sidecar.tick(now))
        for (service, key), thing in self.things.items():
            watched = self.watched or service != REMOVABLE
            thing.look(now, WAITS.get(service, timedelta(0)), watched=watched)
            if thing.fires:
                self.note_spared((service, key), thing.episodes[-1].began, now)
        self.agree()

    @rule(receiver=st.sampled_from(RECEIVERS), answer=st.sampled_from(ANSWERS))
    def answers(self, receiver: str, answer: str) -> None:
        """A receiver answers otherwise from now on."""
        self.ears[receiver].answer = answer

    @rule(by=st.sampled_from([-7200.0, -31.0, -9.0, -1.0, 1.0, 9.0, 31.0, 7200.0]))
    def sets_the_clock(self, by: float) -> None:
        """Somebody sets the clock."""
        self.shift += timedelta(seconds=by)

    @rule(service=st.sampled_from(["bridge", "apply"]), seconds=st.sampled_from([20, 3600]))
    def silences_(self, service: str, seconds: int) -> None:
        """Somebody wants to hear nothing of a service."""
        now = self.clock()
        name = f"s{len(self.silences)}"
        matchers = (Matcher("service", "=", service),)
        self.keep(Silence(name, matchers, now, now + timedelta(seconds=seconds), "ann", "not now", False))

    @precondition(lambda self: self.silences)
    @rule(data=st.data())
    def listens_again(self, data: st.DataObject) -> None:
        """A silence is ended early."""
        silence = self.silences[data.draw(st.sampled_from(sorted(self.silences)))]
        if silence.active(self.clock()):
            self.keep(replace(silence, ends_at=self.clock()))

    def keep(self, silence: Silence) -> None:
        """Have sidecar and model know of *silence*."""
        self.silences[silence.id] = silence
        self.sidecar.silence(silence)

    def hushed(self, place: Place, now: datetime) -> bool:
        """Say whether a silence matches what is at *place*."""
        return any(s.active(now) and s.matches({"service": place[0]}) for s in self.silences.values())

    def note_spared(self, place: Place, began: str, now: datetime) -> None:
        """
        Note who need not hear of an episode: all, while it has been silenced from its beginning on.

        Whoever waits for the group need not, if it is silenced meanwhile.
        """
        episode = (place, began)
        if not self.hushed(place, now):
            self.due.add(episode)
            self.spared["prompt"].discard(episode)
            self.spared["calm"].discard(episode)
        else:
            self.spared["calm"].add(episode)
            if episode not in self.due:
                self.spared["prompt"].add(episode)

    @precondition(lambda self: not self.full)
    @rule()
    def the_disk_is_full(self) -> None:
        """The state file cannot grow any more."""
        self.full = True
        db = self.state._connected()
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}")

    @precondition(lambda self: self.full)
    @rule()
    def the_disk_has_room(self) -> None:
        """It can again; and what had to wait is written with the next commit that is tried."""
        self.full = False
        self.state._connected().execute("PRAGMA max_page_count = 1000000")
        deadline = time.monotonic() + 2 * LONGEST_REST
        while (
            self.state.unsaved_since is not None
        ):  # after a failure it rests, by a clock that does not travel
            with contextlib.suppress(StateError):
                self.state.commit()
            assert time.monotonic() < deadline, "nothing is written although there is room"

    @precondition(lambda self: not self.full)  # else no end of the process is without loss
    @rule()
    def is_killed(self) -> None:
        """The process ends in the middle of whatever it does; nothing is left of it but the file."""
        before, self.files = self.directory / f"{self.files}.db", self.files + 1
        for part in ("", "-wal"):
            shutil.copy(f"{before}{part}", self.directory / f"{self.files}.db{part}")
        ears, self.ears = self.ears, {name: Ear(ear.answer, ear.requests) for name, ear in self.ears.items()}
        for ear in ears.values():
            ear.requests = []  # what the dead one says from now on was never said
        self.end()
        self.start()

    @precondition(lambda self: not self.full)
    @rule(watched=st.booleans())
    def is_started_anew(self, watched: bool) -> None:
        """It is stopped as it should be, and started, with a rule more or less."""
        self.end()
        self.watched = watched
        self.start()

    def end(self) -> None:
        """Stop the process of this life."""
        self.run(self.sidecar.stop())
        self.past += timedelta(seconds=self.loop.time())
        self.loop.close()

    # ---- the end ---------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Once everybody is well and all is told, hold what was told against what happened."""
        if self.full:
            self.the_disk_has_room()
        for ear in self.ears.values():
            ear.answer = "takes"
        self.comes_to_rest()
        self.end()
        shutil.rmtree(self.directory)
        self.judge()

    def comes_to_rest(self) -> None:
        """Look until nothing waits any more."""
        for _ in range(20):
            self.looks(BUSY)
            if not any(self.sidecar.outbox.depth(name) for name in RECEIVERS):
                return
        raise AssertionError("something still waits")

    def judge(self) -> None:
        """Nothing is lost, late, or told under two keys; and what was silenced was not told."""
        lives = {place: tuple(thing.episodes) for place, thing in self.things.items()}
        begun = {(place, 2 * n): (place, e.began) for place in lives for n, e in enumerate(lives[place])}
        for name, ear in self.ears.items():
            wrong = settle(lives, ear.requests, self.spared[name]).wrong
            assert not wrong, (name, wrong)
            told = {
                (word.place, step - step % 2) for word in words(lives, ear.requests) for step in word.steps
            }
            unwanted = [episode for at in told if (episode := begun[at]) not in self.due]
            assert not unwanted, (name, unwanted)


class FlappingMachine(Machine):
    """The same, where what begins again and again is damped."""

    flapping = STEADY

    def note_spared(self, place: Place, began: str, now: datetime) -> None:
        """Here everybody may be waiting, until it no longer flaps; if it is silenced by then, it is not told."""
        super().note_spared(place, began, now)
        if self.hushed(place, now):
            self.spared["prompt"].add((place, began))

    def comes_to_rest(self) -> None:
        """Look until nothing flaps or waits any more."""
        super().comes_to_rest()
        self.looks(600.0)
        self.looks(600.0)
        super().comes_to_rest()

    def judge(self) -> None:
        """What was damped need not be told, but everybody knows in the end how things are."""
        lives = {place: tuple(thing.episodes) for place, thing in self.things.items()}
        for name, ear in self.ears.items():
            told = list(words(lives, ear.requests))
            wrong = [*keys(ear.requests), *order(told)]
            assert not wrong, (name, wrong)
            last = {word.place: max(word.steps) for word in told}
            for place, episodes in lives.items():
                if not episodes or episodes[-1].ended:
                    assert last.get(place, 1) % 2 == 1, (name, place)  # the last word was an end
                elif (place, episodes[-1].began) not in self.spared[name]:
                    assert last.get(place) == 2 * len(episodes) - 2, (name, place)


EXAMPLES = int(os.environ.get("RELIABILITY_EXAMPLES", "15"))
QUICK = settings(
    max_examples=EXAMPLES,
    stateful_step_count=50,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.fixture(autouse=True)
def _lean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Load no certificates and print no logs: each would take longer than a life."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with structlog.testing.capture_logs():
        yield


@pytest.mark.parametrize("machine", [Machine, FlappingMachine], ids=["steady", "flapping"])
def test_nothing_is_lost_whatever_happens(machine: type[Machine]) -> None:
    """Alerts, receivers, people, clock, disk and process do as they like."""
    run_state_machine_as_test(machine, settings=QUICK)
