"""What was recorded, lived through once more: the same alerts and messages, or those of other rules."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest
import structlog

from tests.drawn import T0, ids, minutes, rows
from tests.process.conftest import typed
from tests.replay.lived import EVERY, RULES, Hour, Living, key
from watchdog.commands.running import serve, tape_of
from watchdog.config import load, parse
from watchdog.demo.server import free_port
from watchdog.model import Counted, Reading, SignalKey, Since
from watchdog.muting import Matcher, Silence
from watchdog.notifications import Notification
from watchdog.recording import Tick
from watchdog.retelling import Story, begin_story, live
from watchdog.tape import Tape, read_ticks


def replayed(path: Path, rules: str = RULES) -> Story:
    """Return what *rules* make of the recording at *path*."""
    story = begin_story(parse(rules))
    with path.open("rb") as file:
        for tick in read_ticks(file):
            live(story, tick)
    story.replay.end()
    return story


def said(messages: Iterable[Notification]) -> list[tuple[object, ...]]:
    """Return of each message to whom it is, from when on it may be sent, and what it says and why."""
    return [
        (
            m.receiver,
            m.due,
            m.key,
            [(n.alert.labels, str(n.alert.state), n.reason, n.cause) for n in m.notices],
        )
        for m in messages
    ]


class Retold(Living):
    """Lives through the hour and has a silence come and go in it."""

    async def live(self, until: datetime) -> None:
        """Silence the errors in the log from 01:36 to 01:46."""
        await super().live(T0 + minutes(36))
        matcher = Matcher("alertname", "=", "LogErrors")
        self.silence(Silence("s", (matcher,), self.now, T0 + minutes(46), "ann", "known"))
        await super().live(until)


class Told(NamedTuple):
    """An hour as it was lived, and where it is recorded."""

    living: Living
    path: Path


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """An hour with seven faults."""
    path = tmp_path_factory.mktemp("hour") / "hour.rec"
    living = Retold(parse(RULES), Hour(), Tape(str(path), 2**20, "test"))
    asyncio.run(living.live(T0 + minutes(60)))
    living.recorder.close()
    return Told(living, path)


def test_a_replay_says_what_the_sidecar_said(hour: Told) -> None:
    """The same alerts at the same times, the same messages for the same reasons, to the last of them."""
    story = begin_story(parse(RULES))
    states: list[tuple[datetime, str, str]] = []
    with hour.path.open("rb") as file:
        for tick in read_ticks(file):
            before = story.replay.alerts
            live(story, tick)
            states += [
                (tick.at, labels.fingerprint, str(alert.state))
                for labels, alert in story.replay.alerts.items()
                if (was := before.get(labels)) is None or was.state is not alert.state
            ]
    sent = [one.message for one in story.replay.sent]
    assert states == hour.living.states
    assert {state for _, _, state in states} == {"pending", "firing", "blind", "resolved"}
    assert sorted(said(sent), key=str) == sorted(said(hour.living.sent), key=str)
    assert story.replay.receipts == hour.living.receipts
    assert len(sent) > 50
    reasons = {str(n.reason) for m in sent for n in m.notices} | {str(s.reason) for s in story.replay.spared}
    assert reasons >= {"first", "resolved", "repeat", "escalated", "silenced", "held_by_cause", "maintenance"}


def test_a_replay_is_the_same_wherever_and_whenever_it_runs(hour: Told, tmp_path: Path) -> None:
    """In a process with another hash seed, another time zone and at another time: byte for byte."""
    (tmp_path / "rules.yaml").write_text(RULES)
    arguments = ["replay", str(hour.path), "--rules", str(tmp_path / "rules.yaml"), "--format", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "watchdog", *arguments],
        env={**os.environ, "PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == typed(*arguments).out


CHANGES = """
  old rules                          | new rules                          | what differs
  NoExecutions: executions.age > 5m  | executions.age > 10m               | NoExecutions: fires 5m later
  NoExecutions: executions.age > 5m  | executions.age > 2m                | NoExecutions: fires 3m earlier
  NoExecutions: executions.age > 5m  | executions.age > 1h                | NoExecutions: gone
  HeartbeatStale: heartbeat.age > 1m | heartbeat.age > 1m                 | -
  HeartbeatStale: heartbeat.age > 1h | heartbeat.age > 1m                 | HeartbeatStale: added
"""


@pytest.mark.parametrize(("old", "new", "differs"), rows(CHANGES), ids=ids(CHANGES))
def test_what_other_rules_would_have_said(
    hour: Told, tmp_path: Path, old: str, new: str, differs: str
) -> None:
    """Against the rules of then."""
    alert, _, condition = old.partition(": ")
    for name, when in (("old", condition), ("new", new)):
        text = f"builtin_rules: off\nrules:\n  - {{alert: {alert}, when: '{when}', severity: critical}}\n"
        (tmp_path / f"{name}.yaml").write_text(SERVICES + text)
    ran = typed(
        *("replay", str(hour.path), "--rules", str(tmp_path / "new.yaml"), "--format", "json"),
        *("--against", str(tmp_path / "old.yaml"), "--until", "2026-02-19T01:30"),
    )
    found = [f"{d['labels']['alertname']}: {', '.join(d['what'])}" for d in ran.json["differences"]]
    assert (ran.status, "; ".join(found) or "-") == (0, differs)


def test_a_replay_for_people(hour: Told, tmp_path: Path) -> None:
    """What fired and for how long, who was told and who was not, and what the recording cannot tell."""
    (tmp_path / "rules.yaml").write_text(MORE)
    ran = typed(
        *(
            "replay",
            str(hour.path),
            "--rules",
            str(tmp_path / "rules.yaml"),
            "--against",
            str(tmp_path / "rules.yaml"),
        ),
        *("--since", "2026-02-19T01:02", "--until", "2026-02-19T01:20", "--expect", "FlagSet"),
    )
    said = ran.out.replace(str(tmp_path), "…")
    assert (ran.status, ran.err) == (1, "FlagSet did not fire\n")
    assert said == PAGE


SERVICES = RULES[: RULES.index("rules:\n")]
MORE = (
    SERVICES
    + """
  paper: {flag: {key: stop}}
builtin_rules: off
rules:
  - {alert: HeartbeatStale, when: heartbeat.age > 1m, severity: critical}
  - {alert: NoExecutions, when: executions.age > 5m, for: 5m, severity: critical}
  - {alert: FlagSet, when: flag.set == 1, severity: warning}
  - {alert: Slow, when: executions.age > 1m, for: 50m, severity: info}
receivers: {ops: {webhook: {url: "http://h/ops"}}}
routes: [{to: [ops], repeat_interval: 2m}]
"""
)
PAGE = """\
2026-02-19 01:02:00 to 01:20:00 UTC: 121 looks at 7 signals, under …/rules.yaml

FIRED
  01:06:10 HeartbeatStale{key="beat", service="trainer", severity="critical"}: resolved 01:16:00, after 9m 50s
      trainer: heartbeat.age is 1m 10s
  01:18:10 NoExecutions{service="execution", severity="critical", stream="result"}: still firing at the end, after 1m 50s, pending since 01:13:10
      execution: executions.age is 10m 10s

NEVER LONG ENOUGH
  Slow{service="execution", severity="info", stream="result"}: pending 1 time, at most 10m 50s

SENT
  01:06:10 to ops: first HeartbeatStale of trainer
  01:16:00 to ops: resolved HeartbeatStale of trainer
  01:18:10 to ops: first NoExecutions of execution
  and reminders: 4 to ops

DIFFERENT
  from …/rules.yaml:
  nothing

NOT IN THE RECORDING
  signals, so all is unknown of them: paper/flag{key="stop"}
  what these rules ask for, so they could not fire: FlagSet
"""


def test_a_service_that_was_renamed_plays_its_part(hour: Told) -> None:
    """It looks at the same key, so what was seen of that is seen of it."""
    story = replayed(hour.path, RULES.replace("trainer", "rl_trainer"))
    assert [f.labels["service"] for f in story.fired if f.labels["alertname"] == "HeartbeatStale"] == [
        "rl_trainer"
    ]
    assert story.cast.unseen() == []


def test_what_was_discovered_is_watched_as_the_new_rules_discover_it(tmp_path: Path) -> None:
    """Whose it is, and whether at all, says their own `discover`."""
    found = [key("discovered", "stream", stream="q:a"), key("discovered", "stream", stream="other")]
    tape = Tape(str(tmp_path / "a.rec"), 2**20, "test")
    for i in range(3):
        now = T0 + i * EVERY
        readings = tuple(Reading(k, now, {"length": 5.0, "age": 90.0}) for k in found) if i else ()
        tape.take(
            Tick(now, readings, tuple(found) if i == 1 else (), (found[0],) if i == 2 else (), anew=i == 0),
            (),
        )
    tape.close()
    rule = "rules: [{alert: Old, when: stream.age > 1m, severity: info}]\nbuiltin_rules: off\n"
    story = replayed(tmp_path / "a.rec", f'discover: {{streams: "q:{{service}}"}}\n{rule}')
    assert [(f.labels["service"], f.labels["stream"]) for f in story.fired] == [("a", "q:a")]
    assert story.cast.idle() == []


def test_a_recording_that_lost_its_beginning_says_unknown_and_not_zero(tmp_path: Path) -> None:
    """What happened before it begins may be anything: no rule holds because nothing was counted."""
    tape, latest = Tape(str(tmp_path / "a.rec"), 2**20, "test"), dict[SignalKey, Reading]()
    work = key("execution", "executions", stream="result")
    counts = {(name, ""): Counted(T0 - minutes(120)) for name in ("total", "succeeded", "offered")}
    for i in range(8):
        now = T0 + minutes(i)
        latest[work] = Reading(work, now, {"age": Since(T0.timestamp() - 7200)}, counts)
        tape.take(Tick(now, (latest[work],), anew=False), latest.values())
    tape.close()
    rules = RULES.replace("executions.offered[5m] > 0", "executions.offered[5m] == 0")
    (fired,) = [
        f for f in replayed(tmp_path / "a.rec", rules).fired if f.labels["alertname"] == "NoExecutions"
    ]
    assert (fired.since, fired.fired_at) == (T0 + minutes(5), T0 + minutes(5))


LONELY = """
redis: redis://127.0.0.1:1
every: 1s
state: ":memory:"
listen: 127.0.0.1:{port}
services: {{a: {{heartbeat: {{key: beat}}, log: {{path: {log}}}}}}}
{more}
"""


def lonely(directory: Path, more: str = "") -> Path:
    """Return rules for a server that is not there and a log that is."""
    (directory / "a.log").write_text("2026-02-19 01:00:00,000 INFO it works\n")
    rules = LONELY.format(port=free_port(), log=directory / "a.log", more=more)
    (directory / "rules.yaml").write_text(rules)
    return directory / "rules.yaml"


def test_a_record_of_what_is_there(tmp_path: Path) -> None:
    """`watchdog record` looks, tells nobody, and leaves a file that can be replayed, and no other."""
    receivers = 'receivers: {ops: {webhook: {url: "http://127.0.0.1:1/"}}}'
    rules, path = lonely(tmp_path, receivers), tmp_path / "a.rec"
    ran = typed("record", str(path), "--rules", str(rules), "--for", "300ms")
    assert (ran.status, ran.out) == (0, "")
    assert ran.err.endswith(f"looks in {path}, {path.stat().st_size:,} bytes\n")
    seen = {str(key.kind) for key in replayed(path, rules.read_text()).cast.seen}
    assert seen == {"redis", "heartbeat", "log", "watchdog"}
    assert {p.name for p in tmp_path.iterdir()} == {"a.log", "a.rec", "rules.yaml"}


async def test_the_sidecar_records_if_its_rules_say_so(tmp_path: Path) -> None:
    """All the time, from `record:` in rules.yaml, until it is told to stop."""
    path = tmp_path / "all.rec"
    config = load(lonely(tmp_path, f"record: {{path: {path}, max_size: 8MiB}}"), {})
    assert config.record is not None
    assert config.record.most == 8 * 2**20
    running = asyncio.create_task(serve(config, *config.listen, {}))
    async with asyncio.timeout(20):
        while not path.exists() or path.stat().st_size < 100:
            await asyncio.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)
        await running
    with path.open("rb") as file:
        assert next(read_ticks(file)).anew


def test_a_sidecar_that_cannot_record_watches_all_the_same(tmp_path: Path) -> None:
    """A recording helps the morning after; the night needs the watchdog."""
    config = load(lonely(tmp_path, f"record: {{path: {tmp_path}/no/a.rec}}"), {})
    with structlog.testing.capture_logs() as logged:
        assert tape_of(config) is None
    assert logged == [
        {
            "event": "not_recorded",
            "log_level": "error",
            "why": f"{tmp_path}/no/a.rec cannot be written: No such file or directory (name another file)",
        }
    ]


PROBLEMS = {
    "no file": (["replay", "nowhere.rec"], "nowhere.rec cannot be read: No such file or directory"),
    "no recording": (["replay", "rules.yaml"], "rules.yaml is not a recording of the watchdog"),
    "no time": (["replay", "x", "--since", "yesterday"], '--since: "yesterday" is not a time (write 2026'),
    "no rule": (["replay", "x", "--expect", "Nothing"], 'has no rule "Nothing"'),
    "too early": (["replay", "hour.rec", "--until", "2020-01-01"], "hour.rec holds nothing up to then"),
    "no size": (["record", "x", "--max-size", "big"], '--max-size: "big" is not a size like 512MiB'),
    "too small": (["record", "x", "--max-size", "1kB"], "is too small (give at least 1MiB)"),
    "no folder": (["record", "no/x.rec"], "no/x.rec cannot be written: No such file or directory"),
}


@pytest.mark.parametrize(("arguments", "said"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_mistake_is_one_sentence(
    hour: Told, arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With exit status 2."""
    monkeypatch.chdir(tmp_path)
    Path("rules.yaml").write_text(RULES)
    Path("hour.rec").write_bytes(hour.path.read_bytes())
    ran = typed(*arguments)
    assert (ran.status, ran.out, said in ran.err) == (2, "", True), ran.err
