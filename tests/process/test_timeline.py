"""What the pages look back on outlives the process, and no damage to it ever costs more than itself."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.crashed import crash_image, full_disk
from tests.drawn import T0, minutes
from tests.outgoing import Hands
from watchdog.chronicle import KEEP_TRENDS, NO_NOTICE
from watchdog.config import parse
from watchdog.muting import Ack, Silence, parse_matcher
from watchdog.report import Status
from watchdog.sidecar import Sidecar
from watchdog.state import StateFile
from watchdog.timeline import (
    EVERYTHING,
    KEEP_EVENTS,
    MOST_EVENTS,
    MOST_OF_ONE,
    Event,
    Timeline,
    What,
    read_event,
    write_event,
)

RULES = """
redis: redis://127.0.0.1:1
every: 2s
builtin_rules: off
services:
  a: {{settings: {{file: "{folder}/a", require: {{MODE: "live"}}}}}}
  b: {{settings: {{file: "{folder}/b", require: {{MODE: "live"}}}}}}
rules:
  - {{alert: Wrong, when: settings.violations > 0, severity: critical}}
"""


class Lives:
    """One sidecar after another on the same file; ticks are a minute apart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hands = Hands()
        self.config = parse(RULES.format(folder=folder))
        for service in ("a", "b"):
            (folder / service).write_text("MODE=live\n")

    def begin(self, path: Path | None = None) -> Sidecar:
        """Begin a life on the file that is there."""
        self.sidecar = Sidecar(self.config, self.hands, StateFile(str(path or self.file), self.hands))
        return self.sidecar

    @property
    def file(self) -> Path:
        """The state file."""
        return self.folder / "state.db"

    async def tick(self, count: int = 1, **modes: str) -> None:
        """Have services be in *modes*, let minutes pass, and look."""
        for service, mode in modes.items():
            (self.folder / service).write_text(f"MODE={mode}\n")
        for _ in range(count):
            self.hands.pass_(60)
            await self.sidecar.tick(self.hands())

    async def kill(self) -> None:
        """End the life that is; nothing is kept that was not."""
        await self.sidecar.fleet.close()
        self.sidecar.state.close()

    def told(self, service: str = "a") -> list[str]:
        """Return what happened to a service, the oldest first, with its minute."""
        events = reversed(self.sidecar.timeline.of(service))
        return [f"{(e.at - T0) // timedelta(minutes=1)} {e.what}{_more(e)}" for e in events]


def _more(event: Event) -> str:
    return "".join(f" {word}" for word in (event.alertname, event.status) if word)


@pytest.fixture
async def lives(tmp_path: Path) -> AsyncIterator[Lives]:
    """Services `a` and `b` that are as they should be, and nobody who looks yet."""
    found = Lives(tmp_path)
    yield found
    await found.kill()


async def test_a_service_that_was_critical_before_and_after_is_so_since_the_first(lives: Lives) -> None:
    """The gap is shown as one; nothing is told twice, and the curve goes on beside it."""
    lives.begin()
    await lives.tick(2)
    await lives.tick(2, a="test")
    await lives.sidecar.stop()
    lives.hands.pass_(300)
    again = lives.begin()
    await lives.tick(2)
    assert lives.told() == [
        "0 started",
        "1 status ok",
        "3 firing Wrong critical",
        "3 status critical",
        "4 stopped",
        "9 started",
    ]
    assert again.timeline.since("a") == again.timeline.since() == T0 + minutes(3)
    assert again.timeline.since("b") is None
    spans = again.timeline.spans("a", T0, T0 + minutes(11))
    assert [((e - b) // timedelta(minutes=1), s and str(s)) for b, e, s in spans] == [
        (1, None),
        (2, "ok"),
        (1, "critical"),
        (5, None),
        (2, "critical"),
    ]
    (key,) = (key for key in again.fleet.signals if key.service == "a")
    line = again.trends.line(key, "violations")
    assert line is not None
    assert line.points[-10:] == (0.0, 1.0, 1.0, None, None, None, None, None, 1.0, 1.0)


async def test_after_a_kill_nobody_looked_since_the_last_thing_known(lives: Lives) -> None:
    """Of which moment that was, the file knows by what was written last."""
    lives.begin()
    await lives.tick(2)
    await lives.tick(a="test")
    await lives.tick(2)
    await lives.kill()
    lives.begin()
    await lives.tick()
    assert lives.told()[-3:] == ["3 status critical", "3 stopped", "5 started"]
    (stopped,) = (e for e in lives.sidecar.timeline.of(EVERYTHING) if e.what is What.STOPPED)
    assert stopped.text == NO_NOTICE


async def test_the_curves_are_written_now_and_then(lives: Lives) -> None:
    """So a kill costs no more than that; in between a quiet tick writes nothing."""
    lives.begin()
    await lives.tick(KEEP_TRENDS // timedelta(minutes=1) + 3)
    await lives.kill()
    lives.begin()
    await lives.tick()
    assert lives.told()[-2:] == ["10 stopped", "13 started"]
    (key,) = (key for key in lives.sidecar.fleet.signals if key.service == "a")
    line = lives.sidecar.trends.line(key, "violations")
    assert line is not None
    assert line.points[-15:] == (None, None, *[0.0] * 9, None, None, None, 0.0)


async def test_an_alert_whose_event_was_lost_in_a_kill_is_told_by_the_next(
    lives: Lives, tmp_path: Path
) -> None:
    """The alert is written before its event, so that the latter can never hold it up."""
    sidecar = lives.begin()
    await lives.tick()
    kept, images = sidecar.keep, list[Path]()

    def keep() -> bool:
        saved = kept()
        images.append(crash_image(lives.file, tmp_path / f"image{len(images)}"))
        return saved

    sidecar.keep = keep  # type: ignore[method-assign]
    await lives.tick(a="test")
    assert len(images) == 2
    await lives.kill()
    for image in images:
        lives.begin(image)
        await lives.tick()
        assert [event for event in lives.told() if "firing" in event] == [
            f"{3 if image is images[0] else 2} firing Wrong critical"
        ]
        await lives.kill()
        lives.hands.pass_(-60)
    lives.begin()


async def test_what_people_say_and_what_is_written_stands_with_the_service(lives: Lives) -> None:
    """A silence, its end, an acknowledgement, a changed file, in the order they came."""
    sidecar = lives.begin()
    await lives.tick()
    await lives.tick(a="test")
    now = lives.hands()
    matcher = parse_matcher("service=a")
    sidecar.silence(Silence("1", (matcher,), now, now + timedelta(seconds=90), "ana", "deploy"))
    (firing,) = sidecar.alerts.values()
    assert firing.fired_at is not None
    sidecar.acknowledge(Ack(firing.labels.fingerprint, firing.fired_at, now, "ana", "on it"))
    await lives.tick(2)
    assert lives.told()[4:] == ["3 silence", "3 ack Wrong critical", "3 silence_end"]


# ---- what can go wrong with the file -----------------------------------------------------------


async def test_a_full_disk_costs_nothing_while_the_process_lives(lives: Lives) -> None:
    """What happened meanwhile is written once there is room."""
    lives.begin()
    await lives.tick()
    (lives.folder / "a").write_text("MODE=test\n")
    with full_disk(), capture_logs():
        await lives.tick()
    await lives.tick(a="live")
    while lives.sidecar.state.unsaved_since is not None:
        await lives.tick()
    await lives.kill()
    lives.begin()
    assert lives.told() == [
        "0 started",
        "1 status ok",
        "2 firing Wrong critical",
        "2 status critical",
        "3 resolved Wrong critical",
        "3 status ok",
    ]


async def test_a_file_that_was_removed_gets_all_events_anew(lives: Lives) -> None:
    """The process is the truth and the file its mirror."""
    lives.begin()
    await lives.tick()
    lives.file.unlink()
    await lives.tick(a="test")
    before = lives.told()
    await lives.kill()
    lives.begin()
    assert lives.told() == before != []


Damage = Callable[[sqlite3.Connection], object]
DAMAGES: dict[str, tuple[Damage, list[str]]] = {
    "an event that is no JSON": (lambda db: db.execute("UPDATE events SET json = '{' WHERE id = 2"), []),
    "an event of another kind": (lambda db: db.execute("UPDATE events SET json = '7' WHERE id = 2"), []),
    "a word nobody knows": (
        lambda db: db.execute("UPDATE events SET json = replace(json, 'status', 'x') WHERE id = 2"),
        [],
    ),
    "curves of another kind": (
        lambda db: db.execute("UPDATE kept SET json = '[1]' WHERE book = 'trends'"),
        ["1 status ok"],
    ),
    "curves that are cut off": (
        lambda db: db.execute("UPDATE kept SET json = replace(json, 'points', 'x') WHERE book = 'trends'"),
        ["1 status ok"],
    ),
}


@pytest.mark.parametrize(("damage", "left"), DAMAGES.values(), ids=DAMAGES.keys())
async def test_what_cannot_be_read_is_left_out(lives: Lives, damage: Damage, left: list[str]) -> None:
    """The start does not fail, and the file with everything else in it stays where it is."""
    lives.begin()
    await lives.tick()
    await lives.sidecar.stop()
    with closing(sqlite3.connect(lives.file)) as db, db:
        damage(db)
    lives.begin()
    await lives.tick()
    assert lives.sidecar.state.set_aside is None
    assert lives.told()[: 1 + len(left)] == ["0 started", *left]
    assert lives.sidecar.latest is not None
    assert lives.sidecar.latest.services["a"] is Status.OK


def test_the_file_is_pruned_as_the_memory_is(tmp_path: Path) -> None:
    """The newest of each service and of all, nothing old, but of each service how it stands."""
    now = T0 + KEEP_EVENTS
    timeline = Timeline()
    timeline.add(
        Event(T0 - minutes(1), name, What.STATUS, "", status)
        for name in "ab"
        for status in (Status.OK, Status.WARNING)
    )
    names = [f"s{n}" for n in range(12)]
    timeline.add(
        Event(T0 + minutes(n % 7), name, What.FIRING, str(n))
        for n in range(MOST_OF_ONE + 50)
        for name in names
    )
    state = StateFile(str(tmp_path / "state.db"), lambda: now)
    for event in timeline:
        state.log_event(event.at, event.service, str(event.what), write_event(event))
    timeline.prune(now)
    state.forget_events(now - KEEP_EVENTS, MOST_OF_ONE, MOST_EVENTS, str(What.STATUS))
    state.commit()
    kept = [read_event(record) for record in state.events()]
    assert kept == list(timeline)
    assert len(kept) == MOST_EVENTS + 2
    state.close()
