"""A restart neither tells again what is known nor forgets what is to come; nor does a kill."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from pytest_httpserver import HTTPServer

from tests.crashed import crash_image, full_disk
from tests.drawn import T0, ids, minutes, rows
from tests.outgoing import Hands, Scripted, answers
from tests.outgoing import until as until_async
from tests.process.conftest import Running, until
from watchdog.alerts import RULE_REMOVED, State
from watchdog.config import Config, parse
from watchdog.demo.server import EmbeddedServer
from watchdog.model import Labels
from watchdog.muting import Ack, Matcher, Silence
from watchdog.sidecar import Sidecar
from watchdog.state import StateFile

MINUTE = timedelta(minutes=1)
HEAD = """
redis: redis://127.0.0.1:1
every: 200ms
builtin_rules: off
services:
  a: {{settings: {{file: "{folder}/a", require: {{MODE: "live"}}}}}}
  b: {{settings: {{file: "{folder}/b", require: {{MODE: "live"}}}}}}
"""
RULES = """
rules:
  - {{alert: Wrong, when: settings.violations > 0, severity: critical}}
"""
SLOWLY = """
rules:
  - {{alert: Wrong, when: settings.violations > 0, severity: critical, for: 5m}}
"""
OTHER = """
rules:
  - {{alert: Odd, when: settings.violations > 5, severity: critical}}
"""
HOOK = """
receivers: {{hook: {{webhook: {{url: "{url}hook"}}}}}}
notifications: {{group_interval: 0s, flapping: {{times: 4, within: 30m, steady: 10m}}}}
"""
BOTH = """
receivers: {{hook: {{webhook: {{url: "{url}hook"}}}}, other: {{webhook: {{url: "{url}other"}}}}}}
notifications: {{group_interval: 0s}}
"""


@dataclass
class Lives:
    """One sidecar after another on the same file; ticks are a minute apart."""

    folder: Path
    url: str
    hands: Hands = field(default_factory=Hands)
    rules: str = HEAD + RULES + HOOK
    sidecar: Sidecar | None = None
    configs: dict[str, Config] = field(default_factory=dict)

    async def begin(self, rules: str = "") -> Sidecar:
        """Begin the next life; the one before was killed."""
        await self.end()
        self.rules = rules or self.rules
        state = StateFile(str(self.folder / "state.db"), self.hands)
        if self.rules not in self.configs:
            self.configs[self.rules] = parse(self.rules.format(folder=self.folder, url=self.url))
        self.sidecar = Sidecar(self.configs[self.rules], self.hands, state)
        self.sidecar.outbox.start()
        return self.sidecar

    async def end(self) -> None:
        """Kill the one that lives: nothing is kept that was not."""
        if self.sidecar is not None:
            await self.sidecar.outbox.stop()
            await self.sidecar.fleet.close()
            self.sidecar.state.close()
            self.sidecar = None

    async def tick(self, passed: timedelta = MINUTE, **modes: str) -> None:
        """Have services be in *modes*, let time pass, look once, and have told what is to be told."""
        for service, mode in modes.items():
            file = self.folder / service
            if mode == "gone":
                file.unlink(missing_ok=True)
            else:
                file.write_text(f"MODE={mode}\n")
        self.hands.pass_(passed.total_seconds())
        assert self.sidecar is not None
        await self.sidecar.tick(self.hands())
        for name in self.sidecar.outbox.receivers:
            await until_async(lambda n=name: self._quiet(n))  # type: ignore[misc]

    def _quiet(self, receiver: str) -> bool:
        """Say whether a receiver has taken all that may be sent by now, or takes nothing."""
        assert self.sidecar is not None
        outbox = self.sidecar.outbox
        waits = any(letter.due <= self.hands() for letter in outbox.waiting(receiver))
        return not waits or outbox.health(receiver).failing_since is not None

    def alert(self, service: str = "a") -> Any:
        """Return the alert of a service."""
        assert self.sidecar is not None
        return next(found for found in self.sidecar.alerts.values() if found.service == service)


@pytest.fixture
async def lives(tmp_path: Path, httpserver: HTTPServer) -> AsyncIterator[Lives]:
    """Services `a` and `b` that are as they should be, and nobody who looks yet."""
    for service in ("a", "b"):
        (tmp_path / service).write_text("MODE=live\n")
    found = Lives(tmp_path, httpserver.url_for("/"))
    yield found
    await found.end()


@pytest.fixture
def hook(httpserver: HTTPServer) -> Scripted:
    """The receiver of that name."""
    script = Scripted()
    httpserver.expect_request("/hook").respond_with_handler(script)
    return script


def heard(script: Scripted) -> list[str]:
    """Return what a receiver was told: of which service, why, and in which minute that began and ended."""
    said = []
    for _, body in script.asked:
        for one in json.loads(body)["alerts"]:
            if reason := one["annotations"].get("reason"):
                began, over = (one[name][11:16] for name in ("startsAt", "endsAt"))
                said.append(
                    f"{one['labels']['service']} {reason} {began}" + (f"-{over}" if over != "00:00" else "")
                )
    return said


# ---- what is known, and what is to come --------------------------------------------------------


async def test_what_still_fires_is_not_told_again(lives: Lives, hook: Scripted) -> None:
    """However often we are killed; reminders come as if nothing had happened."""
    await lives.begin()
    await lives.tick(a="test")
    for _ in range(23):
        await lives.begin()
        await lives.tick(10 * MINUTE)
    assert heard(hook) == ["a first 01:01"]
    await lives.begin()
    await lives.tick(10 * MINUTE)
    assert heard(hook) == ["a first 01:01", "a repeat 01:01"]


async def test_what_is_pending_fires_when_it_would_have(lives: Lives, hook: Scripted) -> None:
    """Its time to wait goes on; what ends meanwhile is not told."""
    await lives.begin(HEAD + SLOWLY + HOOK)
    await lives.tick(a="test", b="test")
    for mode in ("test", "live", "live"):
        await lives.begin()
        await lives.tick(b=mode)
    await lives.begin()
    await lives.tick()
    assert (heard(hook), lives.alert().state) == ([], State.PENDING)
    await lives.begin()
    await lives.tick()
    assert heard(hook) == ["a first 01:01"]
    assert lives.alert().fired_at == T0 + minutes(6)


async def test_an_end_that_came_while_nobody_looked_is_told(lives: Lives, hook: Scripted) -> None:
    """With the time of the beginning that was told."""
    await lives.begin()
    await lives.tick(a="test")
    await lives.end()
    (lives.folder / "a").write_text("MODE=live\n")
    await lives.begin()
    await lives.tick(60 * MINUTE)
    assert heard(hook) == ["a first 01:01", "a resolved 01:01-02:01"]


async def test_what_cannot_be_seen_after_a_restart_does_not_end(lives: Lives, hook: Scripted) -> None:
    """No answer resolves nothing, not even to a new process."""
    await lives.begin()
    await lives.tick(a="test")
    for _ in range(3):
        await lives.begin()
        await lives.tick(a="gone")
        assert lives.alert().state is State.BLIND
    await lives.begin()
    await lives.tick(a="test")
    await lives.begin()
    await lives.tick(a="live")
    assert heard(hook) == ["a first 01:01", "a resolved 01:01-01:06"]


@pytest.mark.parametrize("jump", [-60 * MINUTE, 60 * MINUTE, timedelta(days=-3650)], ids=str)
async def test_a_clock_that_was_set_meanwhile_pages_nobody(
    lives: Lives, hook: Scripted, jump: timedelta
) -> None:
    """As long as it is by less than the time between reminders, or back by any time: told is told."""
    await lives.begin()
    await lives.tick(a="test")
    await lives.end()
    lives.hands.wall += jump
    await lives.begin()
    await lives.tick()
    await lives.tick(a="live")
    assert [said.split()[1] for said in heard(hook)] in (
        ["first", "resolved"],
        ["first", "repeat", "resolved"],
    )
    assert "repeat" not in str(heard(hook)) or abs(jump) > timedelta(hours=4)


async def test_flapping_is_known_across_restarts(lives: Lives, hook: Scripted) -> None:
    """It is said once, nothing more until it is steady, and then that it is over."""
    await lives.begin()
    for mode in ("test", "live") * 5:
        await lives.tick(a=mode)
        await lives.begin()
    for _ in range(10):
        await lives.tick()
        await lives.begin()
    assert [said.split()[1] for said in heard(hook)] == [*("first", "resolved") * 3, "flapping", "resolved"]
    assert heard(hook)[-1].endswith("-01:10")


async def test_what_people_said_holds_across_restarts(lives: Lives, hook: Scripted) -> None:
    """A silence until its end, an acknowledgement as long as it fires."""
    sidecar = await lives.begin()
    await lives.tick(a="test")
    mark = lives.alert().labels.fingerprint
    sidecar.acknowledge(Ack(mark, lives.alert().fired_at, lives.hands(), "ana"))
    sidecar.silence(Silence("1", (Matcher("service", "=", "b"),), T0, T0 + minutes(600), "bob", "", True))
    await lives.tick(b="test")
    for _ in range(4):
        sidecar = await lives.begin()
        await lives.tick(120 * MINUTE)
    assert heard(hook) == ["a first 01:01"]  # neither b, nor that a still fires
    assert (list(sidecar.wishes.silences), list(sidecar.wishes.acks)) == (["1"], [mark])
    await lives.begin()
    await lives.tick(b="live")
    sidecar = await lives.begin()
    await lives.tick(a="live")
    assert heard(hook) == ["a first 01:01", "a resolved 01:01-09:04"]
    assert (sidecar.wishes.silences["1"].ends_at, sidecar.wishes.acks) == (T0 + minutes(483), {})


async def test_a_group_that_spoke_lately_goes_on_waiting(lives: Lives, hook: Scripted) -> None:
    """News of a service wait for its interval although the process that told the last ones is dead."""
    interval = "\nnotifications: {{group_interval: 10m}}\n"
    two = "\nrules:\n  - {{alert: Wrong, when: settings.violations > 0, severity: warning}}\n"
    two += "  - {{alert: New, when: settings.age < 0s, severity: warning}}\n"
    rules = HEAD + two + HOOK.partition("notifications")[0] + interval
    await lives.begin(rules)
    await lives.tick(a="test")
    await lives.begin()
    await lives.tick(a="live", b="test")
    assert lives.sidecar is not None
    assert heard(hook) == ["a first 01:01", "b first 01:02"]
    assert [letter.due for letter in lives.sidecar.outbox.waiting("hook")] == [T0 + minutes(11)]


async def test_a_quiet_tick_writes_nothing(lives: Lives, hook: Scripted) -> None:
    """Though an alert fires, and is seen anew with every look."""
    await lives.begin()
    await lives.tick(a="test")
    await lives.tick()
    parts = [lives.folder / f"state.db{part}" for part in ("", "-wal")]
    before = [(part.read_bytes(), part.stat().st_mtime_ns) for part in parts]
    for _ in range(5):
        await lives.tick()
    assert [(part.read_bytes(), part.stat().st_mtime_ns) for part in parts] == before


# ---- a file that changed meanwhile -------------------------------------------------------------


async def test_what_was_for_a_receiver_that_is_no_more_is_dropped(
    lives: Lives, hook: Scripted, httpserver: HTTPServer
) -> None:
    """With a record; one that is new hears of what fires."""
    other = Scripted(at_last=500)
    httpserver.expect_request("/other").respond_with_handler(other)
    await lives.begin(HEAD + RULES + BOTH)
    await lives.tick(a="test")
    assert (heard(hook), set(heard(other))) == (["a first 01:01"], {"a first 01:01"})
    sidecar = await lives.begin(HEAD + RULES + HOOK)
    await lives.tick()
    [dropped] = sidecar.state.deliveries(outcome="dropped")
    assert (dropped["receiver"], dropped["names"]) == ("other", ["Wrong/a"])
    assert (heard(hook), {name for name, _ in sidecar.receipts}) == (["a first 01:01"], {"hook"})
    other.at_last, before = 200, len(other.asked)
    await lives.begin(HEAD + RULES + BOTH)
    await lives.tick()
    assert (heard(hook), heard(other)[before:]) == (["a first 01:01"], ["a first 01:01"])


async def test_what_is_no_longer_watched_ends_and_says_why(lives: Lives, hook: Scripted) -> None:
    """A rule was removed: whoever heard of the alert hears that, and it is forgotten in time."""
    await lives.begin()
    await lives.tick(a="test")
    await lives.begin(HEAD + OTHER + HOOK)
    await lives.tick()
    assert heard(hook) == ["a first 01:01", "a resolved 01:01-01:02"]
    [told] = json.loads(hook.asked[1][1])["alerts"]
    assert told["annotations"]["ended_because"] == RULE_REMOVED
    for _ in range(3):
        sidecar = await lives.begin()
        await lives.tick(10 * MINUTE)
    assert (sidecar.alerts, sidecar.receipts) == ({}, {})
    assert (sidecar.state.book("alerts"), sidecar.state.book("receipts")) == ({}, {})


# ---- files that were broken, and disks that were full ------------------------------------------


async def test_a_full_disk_loses_nothing_while_the_process_lives(lives: Lives, hook: Scripted) -> None:
    """It is told after half a minute, like everything else; once there is room, all of it is kept."""
    unwritable = "  - {{alert: StateUnwritable, when: watchdog.unsaved > 30s, severity: critical}}\n"
    rules = HEAD + RULES + unwritable + HOOK
    sidecar = await lives.begin(rules)
    await lives.tick()
    with full_disk(4096):
        await lives.tick(a="test")
        await lives.tick(b="test")
        assert heard(hook) == ["a first 01:02", "b first 01:03", "watchdog first 01:03"]
        assert sidecar.pulse.state_failures >= 1
    await until_async(sidecar.keep)
    await lives.tick()
    assert heard(hook)[3:] == ["watchdog resolved 01:03-01:04"]
    await lives.begin()
    await lives.tick()
    assert len(heard(hook)) == 4


async def test_a_file_lost_while_running_costs_nothing_but_is_told(lives: Lives, hook: Scripted) -> None:
    """The next process knows all that this one knew."""
    lost = "  - {{alert: StateLost, when: watchdog.set_aside < 1h, severity: critical}}\n"
    sidecar = await lives.begin(HEAD + RULES + lost + HOOK)
    await lives.tick(a="test")
    for part in ("", "-wal", "-shm"):
        (lives.folder / f"state.db{part}").write_bytes(b"garbage" * 1000)
    (lives.folder / "state.db").rename(lives.folder / "elsewhere")
    sidecar.silence(Silence("1", (Matcher("service", "=", "b"),), T0, T0 + minutes(600), "bob", ""))
    await lives.tick()
    await lives.tick()
    assert heard(hook) == ["a first 01:01", "watchdog first 01:03"]
    sidecar = await lives.begin()
    await lives.tick(b="test")
    assert (len(heard(hook)), list(sidecar.wishes.silences)) == (2, ["1"])


# ---- any course of things ----------------------------------------------------------------------

COURSES = """
  minute by minute: wrong, right, or not to be seen | what is told
  x x x x x x x . .                                 | a first 01:01 · a resolved 01:01-01:08
  x x x . x x x x x x . x                           | a first 01:05 · a resolved 01:05-01:11
  x x x ? ? x x x ? ? . x x x x x x                 | a first 01:01 · a resolved 01:01-01:11 · a first 01:12
  ? x ? ? ? ? ? x ? ? ? .                           | a first 01:02 · a resolved 01:02-01:12
"""


@pytest.mark.parametrize("killed", [False, True], ids=["one process", "killed after every look"])
@pytest.mark.parametrize(("course", "told"), rows(COURSES), ids=ids(COURSES))
async def test_what_is_told_does_not_depend_on_who_lives_to_tell_it(
    lives: Lives, hook: Scripted, course: str, told: str, killed: bool
) -> None:
    """A rule that waits five minutes, looked at by one process or by a dozen."""
    modes = {"x": "test", ".": "live", "?": "gone"}
    await lives.begin(HEAD + SLOWLY + HOOK)
    for seen in course.split():
        await lives.tick(a=modes[seen])
        if killed:
            await lives.begin()
    assert heard(hook) == told.split(" · ")


async def test_a_power_cut_between_two_ticks_leaves_a_state_one_can_go_on_from(
    lives: Lives, hook: Scripted
) -> None:
    """What is on the disk at that moment, and nothing else."""
    sidecar = await lives.begin()
    await lives.tick(a="test")
    image = crash_image(lives.folder / "state.db", lives.folder / "image.db")
    again = Sidecar(sidecar.config, lives.hands, StateFile(str(image), lives.hands))
    assert again.alerts.keys() == sidecar.alerts.keys() == {lives.alert().labels}
    assert again.receipts == sidecar.receipts
    assert isinstance(next(iter(again.alerts)), Labels)
    await again.stop()


# ---- the process -------------------------------------------------------------------------------

REAL = """
redis: {{url: "{redis}", timeout: 1s}}
every: 200ms
state: "{state}"
services: {{trainer: {{heartbeat: {{key: beat}}}}}}
rules: [{{alert: HeartbeatMissing, when: heartbeat.present == 0, severity: critical}}]
receivers: {{hook: {{webhook: {{url: "{url}"}}}}}}
"""


def test_a_killed_process_goes_on_where_it_was(
    server: EmbeddedServer,
    client: redis.Redis,
    run: Callable[..., Running],
    httpserver: HTTPServer,
    tmp_path: Path,
) -> None:
    """kill -9 while a page is refused, again after it was taken, and the end came meanwhile."""
    hook = Scripted(answers(*[500] * 3), at_last=200)
    httpserver.expect_request("/hook").respond_with_handler(hook)
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        REAL.format(redis=server.url, state=tmp_path / "state.db", url=httpserver.url_for("/hook"))
    )

    first = run(rules)
    until(lambda: hook.asked)
    first.kill()
    hook.answers.clear()
    second = run(rules)
    until(lambda: len(hook.asked) > 1 and second.ready())
    until(
        lambda: (
            'watchdog_notifications_total{outcome="sent",receiver="hook"} 1.0' in second.get("/metrics").text
        )
    )
    tries = len(hook.asked)
    assert len(set(hook.asked)) == 1  # the same key and the same words, to the byte
    second.kill()
    client.set("beat", int(time.time()))
    third = run(rules)
    until(lambda: len(hook.asked) > tries)
    third.stop()
    told = [json.loads(body)["alerts"][0] for _, body in hook.asked]
    assert [one["status"] for one in told] == ["firing"] * tries + ["resolved"]
    assert len({(one["fingerprint"], one["startsAt"]) for one in told}) == 1
