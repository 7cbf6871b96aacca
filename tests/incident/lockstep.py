"""
The reference pipeline and a watchdog in one process, step by step on a clock that is moved.

The services are the real ones on a real Redis whose clock is moved with ours; logs, env files, HTTP and what
`systemctl` prints are real as well. Only the processes are missing, so that an hour takes seconds and
figures can be compared.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.moved import MovedClock
from watchdog.config import Config, parse
from watchdog.delivery import Outbox
from watchdog.demo.inbox import Inbox
from watchdog.demo.layout import lay_out
from watchdog.demo.rules import find_tools, places, rules_text
from watchdog.demo.server import HOST, EmbeddedServer, start_server
from watchdog.demo.stage import Stage
from watchdog.demo.units import EXEC_FAILED, Keeper, Record, Unit
from watchdog.pipeline.intents import Intents
from watchdog.pipeline.runtime import Ended
from watchdog.pipeline.start import Started, start
from watchdog.sidecar import Sidecar
from watchdog.state import StateFile
from watchdog.web.server import WebServer, bind

REDIS = "/usr/bin/redis-server"
"""Debian's 7.0, the version of the outage."""
STRIDE = timedelta(seconds=5)
"""The poll of the default rules: the clock is moved by one poll at a time."""
RATE = 1.0
"""Plans a second: an order every 24 s."""
FLOW = (
    *("rl_trainer", "rl_feedback"),
    *("intents", "intent_bridge", "permits", "apply_layer", "execution", "exits"),
)
"""Who goes first in a stride: those who beat before those who ask for heartbeats, then the way of an order."""
BEGINNING = datetime(2026, 2, 17, 10, tzinfo=UTC)  # a Tuesday
MOST_ROUNDS = 200
REFUSAL = 0.1  # seconds of ours that a message has for being refused
PATIENCE = 30.0  # seconds of ours that a tick waits for its looks, while the moved clock stands still


class Lockstep(Keeper):
    """Runs each unit in this process, a step whenever it is told."""

    def __init__(self, directory: Path, units: Sequence[Unit], redis_url: str, clock: MovedClock) -> None:
        super().__init__(directory, units, clock=clock.now)
        self.redis_url = redis_url
        self._started: dict[str, Started] = {}
        self._restarts: dict[str, datetime] = {}  # of units that ended by themselves

    async def start(self) -> None:
        """Start every unit."""
        for service in FLOW:
            await self.start_unit(service)

    async def stop(self) -> None:
        """End every unit."""
        for service in FLOW:
            await self.stop_unit(service)

    async def start_unit(self, unit: str) -> None:
        """Start *unit*, if it does not run."""
        record = self.find(unit)
        if record.unit.service not in self._started:
            record.restarts = 0
            self._spawn(record)

    async def stop_unit(self, unit: str) -> None:
        """End *unit* and leave it stopped."""
        record = self.find(unit)
        self._restarts.pop(record.unit.service, None)
        self._drop(record)
        self.note_stop(record)

    async def kill(self, unit: str) -> None:
        """End *unit* as SIGKILL does; it will be restarted."""
        record = self.find(unit)
        if record.unit.service in self._started:
            self._ended(record, -9)

    def generate(self, plans: float) -> None:
        """Have the generator propose *plans* a second from now on, without a restart."""
        self.write_setting("intents", "RATE", f"{plans:g}")
        if "intents" in self._started:
            service = self._started["intents"].loop.service
            assert isinstance(service, Intents)
            service.pace(plans)

    def step(self) -> None:
        """Have everybody do all that there is to be done at this moment."""
        for record in self.records.values():
            self._restart_if_due(record)
        for _ in range(MOST_ROUNDS):
            if not sum(self._step(self.find(service)) for service in FLOW):
                return

    def _step(self, record: Record) -> int:
        started = self._started.get(record.unit.service)
        if started is None:
            return 0
        try:
            return started.loop.attempt(0) or 0
        except Ended as exc:
            self._ended(record, exc.status)
        except Exception:  # noqa: BLE001 - whatever it is ends the process
            with record.unit.log_file.open("a", encoding="utf-8") as log:
                log.write(traceback.format_exc())  # as Python does when it ends
            self._ended(record, 1)
        return 0

    def _spawn(self, record: Record) -> None:
        unit = record.unit
        self.note_start(record)
        if not os.access(unit.argv[0], os.X_OK):
            self._ended(record, EXEC_FAILED)
            return
        started = start(
            unit.service,
            redis_url=self.redis_url,
            env_file=unit.env_file,
            log_file=unit.log_file,
            port=unit.port,
            clock=lambda: self.clock().timestamp(),
        )
        if started is None:
            self._ended(record, 1)
        else:
            self._started[unit.service] = started

    def _ended(self, record: Record, status: int) -> None:
        self._drop(record)
        self.note_exit(record, status)
        due = self._restarts.get(record.unit.service, self.clock())
        self._restarts[record.unit.service] = due + timedelta(seconds=self.restart_seconds)

    def _restart_if_due(self, record: Record) -> None:
        service = record.unit.service
        while service in self._restarts and self._restarts[service] <= self.clock():
            self.note_restart(record)
            self._spawn(record)
            if service in self._started:
                del self._restarts[service]

    def _drop(self, record: Record) -> None:
        started = self._started.pop(record.unit.service, None)
        if started is not None:
            started.loop.stopping.set()
            started.end_health()


@dataclass
class World:
    """The pipeline, its watchdog and who is told, all on one clock."""

    clock: MovedClock
    keeper: Lockstep
    stage: Stage
    sidecar: Sidecar
    inbox: Inbox
    web: WebServer
    at: datetime  # when the present stride began
    ticks: int = 0
    fired: dict[tuple[str, str], Fired] = field(default_factory=dict)

    async def live(self, span: timedelta, stride: timedelta = STRIDE, *, watched: bool = True) -> None:
        """Let *span* pass, *stride* by stride: everybody works, then the watchdog looks and tells."""
        for _ in range(max(1, round(span / stride))):
            self.at += stride
            self.clock.move_to(max(self.at, self.clock.now()))  # however long the last stride took
            self.stage.act()
            self.keeper.step()
            if watched:
                await self.look()

    async def look(self) -> None:
        """Have the watchdog look once, and wait until what it has to say is told."""
        await self.sidecar.tick(self.clock.now())
        self.ticks += 1
        self.sidecar.outbox.wake()
        async with asyncio.timeout(30):
            while self._waiting():
                await asyncio.sleep(0.001)
        if not self.inbox.takes:
            await asyncio.sleep(REFUSAL)
        self._note()

    async def reopen(self, away: timedelta) -> None:
        """Stop the watchdog, have the others live on for as long as it is *away*, and start it anew."""
        await self.sidecar.stop()
        self.at += away
        self.clock.move_to(self.at)
        self.stage.act()
        self.keeper.step()
        self.sidecar = _watching(self.sidecar.config, self.clock)

    def _waiting(self) -> bool:
        """Say whether there is something to tell to anybody who takes it."""
        now = self.clock.now()
        listening = ("demo", "spare") if self.inbox.takes else ("spare",)
        return any(message.due <= now for name in listening for message in self.sidecar.outbox.waiting(name))

    def _note(self) -> None:
        latest = self.sidecar.latest
        for notice in latest.notices if latest is not None else ():
            alert = notice.alert
            if alert.firing and alert.fired_at is not None:
                known = self.fired.setdefault((alert.name, alert.service), Fired(alert.fired_at))
                known.severity, known.cause, known.summary = str(alert.severity), notice.cause, alert.summary

    @property
    def firing(self) -> set[tuple[str, str]]:
        """Return what fires now, as (alertname, service)."""
        alerts = self.sidecar.alerts.values()
        return {(alert.name, alert.service) for alert in alerts if alert.firing}


@dataclass
class Fired:
    """An alert that fired: when, how severe, and whom it names as its cause (None: it is one itself)."""

    at: datetime
    severity: str = ""
    cause: str | None = None
    summary: str = ""


def _watching(config: Config, clock: MovedClock) -> Sidecar:
    """Return a sidecar that looks when it is told to, and sends at once."""
    sidecar = Sidecar(config, clock.now, StateFile(config.state or ":memory:", clock.now))
    sidecar._patience = PATIENCE
    # Deliveries have the monotonic clock, which is not moved: they get the other one, as far as it goes forward.
    furthest = [0.0]

    def monotonic() -> float:
        furthest[0] = max(furthest[0], clock.now().timestamp())
        return furthest[0]

    sidecar.outbox = Outbox(
        config.receivers, config.links, sidecar.state, clock.now, config.expire_after, monotonic=monotonic
    )
    sidecar.outbox.start()
    return sidecar


@dataclass(frozen=True)
class Past:
    """What a healthy pipeline and its watchdog left behind in *directory* until *at*."""

    directory: Path
    at: datetime

    @classmethod
    def of(cls, directory: Path) -> Past:
        """Return the past that was kept in *directory*, with the moment of its end in the file `at`."""
        return cls(directory, datetime.fromisoformat((directory / "at").read_text(encoding="utf-8")))


KEPT = ("dump.rdb", "logs", "watchdog.db")


@asynccontextmanager
async def world(
    directory: Path,
    past: Past | None = None,
    *,
    begin: datetime = BEGINNING,
    edit: Callable[[str], str] = str,
) -> AsyncIterator[World]:
    """
    Set everything up in *directory* and take it down again.

    It begins where *past* ends, if there is one, else at *begin*; *edit* changes the text of the rules.
    """
    directory.mkdir(parents=True, exist_ok=True)
    clock = MovedClock(directory)
    at = begin if past is None else past.at
    clock.move_to(at)
    if past is not None:
        for name in KEPT:
            copy = shutil.copytree if name == "logs" else shutil.copy2
            copy(past.directory / name, directory / name)
    # Its allocator's thread sleeps until moments of the clock: on one set back it would never sleep.
    extra = ["--dir", str(directory), "--jemalloc-bg-thread", "no"]
    with _own_path(), start_server(REDIS, environment=clock.environment, extra=extra) as server:
        found = await _opened(directory, clock, server, at, edit)
        try:
            yield found
        finally:
            await _closed(found)


@contextmanager
def _own_path() -> Iterator[None]:
    """Have the stand-ins of systemctl and journalctl found by nobody who comes after."""
    before = os.environ["PATH"]
    try:
        yield
    finally:
        os.environ["PATH"] = before


async def _opened(
    directory: Path, clock: MovedClock, server: EmbeddedServer, at: datetime, edit: Callable[[str], str]
) -> World:
    units = lay_out(directory, server.url, RATE)
    keeper = Lockstep(directory, units, server.url, clock)
    keeper.write_setting("intents", "CATCH_UP_SEC", "600")  # in a stride of a minute nothing is left out
    keeper.write_setting("apply_layer", "PERMIT_WAIT_SEC", "0.001")  # whoever comes before has been here
    for file in (directory / "env").iterdir():
        os.utime(file, times=(at.timestamp(),) * 2)
    inbox = Inbox(clock.now)
    hook = bind(HOST, 0)
    web = WebServer(inbox.app(), hook)
    web.start()
    made: list[World] = []

    async def passing(span: timedelta) -> None:
        await made[0].live(span)

    stage = Stage(keeper, server, inbox, clock.now, passing)
    find_tools(directory)
    known = places(stage, hook.getsockname()[1], 9821, STRIDE)
    config = parse(edit(rules_text(haste=False)), "the demo's rules.yaml", known)
    made.append(World(clock, keeper, stage, _watching(config, clock), inbox, web, at))
    clock.move_to(at)  # to start everything took its time
    await keeper.start()
    return made[0]


async def _closed(found: World) -> None:
    await found.sidecar.stop()
    await found.keeper.stop()
    await found.web.stop()


async def lived(directory: Path, span: timedelta) -> Past:
    """Have a healthy pipeline and its watchdog live for *span*, and return what they left behind."""
    async with world(directory) as found:
        await found.live(span, timedelta(seconds=30))
        assert not found.fired, found.fired
        found.stage.redis.save()
    return Past(directory, found.clock.now())
