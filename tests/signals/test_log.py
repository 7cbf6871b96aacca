"""`log` on real files under the built-in rules: what breaks is told, its healthy twin says nothing."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from tests.drawn import T0, rows
from watchdog.alerts import Alert, evaluate
from watchdog.config import Config, parse
from watchdog.errors import CollectError, ConfigError
from watchdog.history import History
from watchdog.model import Counted, Labels, Reading
from watchdog.signals.log import Log

TICK = timedelta(seconds=10)
PARSE = "Failed to parse TradeIntent for BTCUSDT: __init__() missing 1 required positional argument: 'action'"
CLOSE = "close_position() got an unexpected keyword argument 'reduce_only'"


def line(at: datetime, level: str, text: str) -> str:
    """Return one line of a service's log."""
    return f"{at:%Y-%m-%d %H:%M:%S},{at.microsecond // 1000:03d} | {level:8} | __main__ | {text}\n"


class Watched:
    """A service that logs, and the watchdog that looks at it every ten seconds."""

    def __init__(self, directory: Path, log: str = "", rules: str = "") -> None:
        self.directory = directory
        self.file = directory / "execution.log"
        if not self.file.exists():
            self.file.touch()
        log = log or f'{{path: "{self.file}"}}'
        self.config: Config = parse(f"services:\n  execution:\n    log: {log}\n{rules}")
        self.now = T0
        self.history = History(self.config.keep)
        self.alerts: Mapping[Labels, Alert] = {}
        self.raised: set[str] = set()
        self.signal = self.fresh()
        self.reading: Reading

    def fresh(self) -> Log:
        """Return the signal as a new process has it."""
        (spec,) = (spec for spec in self.config.signals if spec.key.kind == "log")
        signal = spec.build(self.config.keep)
        assert isinstance(signal, Log)
        return signal

    def say(self, level: str, text: str, *, file: Path | None = None) -> None:
        """Log one line now."""
        with (file or self.file).open("a") as log:
            log.write(line(self.now, level, text))

    def look(self, *others: Reading) -> Reading:
        """Look once and judge."""
        try:
            self.reading = self.signal.look_here(self.now)
        except CollectError as exc:
            self.reading = Reading(self.signal.key, self.now, trouble=str(exc))
        readings = (self.reading, *others)
        self.alerts = evaluate(self.config.binding.watches, self.history.add(readings), self.alerts, self.now)
        self.raised |= self.firing
        self.now += TICK
        return self.reading

    def live(self, ticks: int, **said: str) -> None:
        """Log every line of *said* (level: text) once a tick, with a look after each."""
        for number in range(ticks):
            for level, text in said.items():
                self.say(level, f"{text} {number}")
            self.look()

    def restart(self) -> None:
        """Go on in another process, which knows what the first wrote down."""
        memory = json.loads(json.dumps(self.signal.memory()))
        self.signal = self.fresh()
        self.signal.remember(memory)
        self.history, self.alerts = History(self.config.keep), {}

    @property
    def firing(self) -> set[str]:
        """Return the names of what fires."""
        return {alert.name for alert in self.alerts.values() if alert.firing}

    def gained(self, name: str) -> float:
        """Return by how much a counter gained in the last look."""
        return sum(by for _, by in self.reading.counts[name, ""].steps)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """A service that has logged nothing yet."""
    return Watched(tmp_path)


# ---- new errors: L02, W10 ----------------------------------------------------------------------


def test_a_new_kind_among_old_noise_is_told_and_named(watched: Watched) -> None:
    """L02: an hour of one error is not news, the first of another is; no ratio would show it."""
    for number in range(30):
        watched.now = T0 + number * timedelta(minutes=2)
        watched.say("ERROR", f"order {number} timed out")
        watched.say("INFO", "done")
    watched.live(6, INFO="filled", ERROR="order timed out")
    assert (watched.gained("errors"), watched.firing) == (1, set())

    watched.say("ERROR", "Margin is insufficient: APIError(code=-2019)")
    watched.look()
    assert watched.firing == {"NewLogErrors"}
    (alert,) = (alert for alert in watched.alerts.values() if alert.name == "NewLogErrors")
    assert alert.labels["severity"] == "info"
    (told,) = cast("list[str]", alert.evidence["new_errors"])
    assert told.startswith("Margin is insufficient: APIError(code=-2019) (1 times, first at ")
    assert told.endswith("| ERROR    | __main__ | Margin is insufficient: APIError(code=-2019)")


def test_old_noise_alone_is_silent(watched: Watched) -> None:
    """The twin: the same errors with other figures, some of them after a long break."""
    watched.say("ERROR", "order 1 timed out after 3.5s")
    watched.say("ERROR", "no quote for BTCUSDT")
    watched.live(100, INFO="filled", DEBUG="RX")
    watched.say("ERROR", "no quote for ETHUSDT")
    watched.live(5, INFO="filled")
    watched.say("ERROR", "order 4711 timed out after 12ms")
    watched.live(5, INFO="filled")
    assert watched.raised == set()


def test_every_close_fails_is_one_template_at_a_steady_rate(watched: Watched) -> None:
    """W10: 1,000 errors in 18 hours pass under any ratio; told at the first, then counted by template."""
    watched.live(3, INFO="tick", DEBUG="a", TRACE="b")
    for number in range(60):
        watched.now = T0 + timedelta(minutes=1 + number)
        for _ in range(20):
            watched.say("INFO", "[PATH1B] RX apply.result")
        watched.say("ERROR", f"plan {number}: {CLOSE}")
        watched.look()
        assert watched.firing == ({"NewLogErrors"} if number <= 9 else set()), number
    assert watched.reading.evidence["top_errors"] == [f"11 × plan <n>: {CLOSE}"]


# ---- ratios: L01, L04, L05 ---------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 2], ids=["once", "every line twice"])
def test_errors_among_lines(tmp_path: Path, times: int) -> None:
    """L01, and L05: written twice, the ratio is the same; the evidence says what the errors are."""
    watched = Watched(tmp_path)
    watched.look()
    for number in range(25):
        for _ in range(times):
            watched.say("INFO", f"[PATH1B] RX {number}")
            watched.say("ERROR", f"{PARSE} {number}")
        watched.look()
    assert watched.firing == {"LogErrors", "NewLogErrors"}
    (alert,) = (alert for alert in watched.alerts.values() if alert.name == "LogErrors")
    assert alert.summary == f"execution logs errors in 50% of its lines ({50 * times} lines in 10 minutes)"
    template = PARSE.replace("BTCUSDT", "<symbol>").replace("missing 1", "missing <n>") + " <n>"
    assert alert.evidence["top_errors"] == [f"{25 * times} × {template}"]
    assert PARSE in str(alert.evidence["last_error"])


def test_every_line_twice_in_a_healthy_log_is_silent(watched: Watched) -> None:
    """L05's twin."""
    watched.live(20, INFO="filled", DEBUG="filled")
    assert watched.raised == set()


IGNORED = """
  ignore                                                                              | fires
  {template: "[PATH1B] RX plan <n> <n>", reason: "trace lines, ticket 12"}            | -
  {regex: "PATH1B. RX", reason: "trace lines, ticket 12", until: 2026-02-19}          | -
  {regex: "PATH1B. RX", reason: "trace lines, ticket 12", until: 2026-02-18}          | LogErrors
  {regex: "PATH1B. TX", reason: "trace lines, ticket 12"}                             | LogErrors
"""


@pytest.mark.parametrize(("ignore", "fires"), rows(IGNORED), ids=[row[0] for row in rows(IGNORED)])
def test_trace_lines_logged_as_errors_are_excluded_with_a_reason(
    tmp_path: Path, ignore: str, fires: str
) -> None:
    """L04: they stay lines, are counted as ignored, and count again once the exclusion has ended."""
    watched = Watched(tmp_path, f'{{path: "{tmp_path}/execution.log", ignore: [{ignore}]}}')
    watched.say("ERROR", "[PATH1B] RX plan 0 0")
    watched.live(30, ERROR="[PATH1B] RX plan 4711", INFO="done")
    assert watched.raised == ({fires} if fires != "-" else set())
    counted = {name: watched.gained(name) for name in ("lines", "errors", "ignored")}
    assert counted == {"lines": 2, "errors": int(fires != "-"), "ignored": int(fires == "-")}
    told = {
        "-": "31 not counted: trace lines, ticket 12",
        "LogErrors": "ended on 2026-02-18, so they count again: trace lines, ticket 12",
    }
    assert str(watched.reading.evidence.get("ignored", "")).startswith(f"['{told[fires]}") is (
        "TX" not in ignore
    )


def test_what_is_not_ignored_still_counts(tmp_path: Path) -> None:
    """L04's other half: among excluded noise a real error is news."""
    noise = '{template: "[PATH1B] RX plan <n> <n>", reason: noise}'
    watched = Watched(tmp_path, f'{{path: "{tmp_path}/execution.log", ignore: [{noise}]}}')
    watched.live(20, ERROR="[PATH1B] RX plan 4711", INFO="done")
    watched.say("CRITICAL", "out of margin")
    watched.look()
    assert watched.firing == {"NewLogErrors"}


# ---- patterns and silence: L03, L07, W22 -------------------------------------------------------

TERMINAL = """
rules:
  - {alert: TerminalFailures, when: "log.matches.terminal[10m] >= 3", severity: warning}
"""


@pytest.mark.parametrize("state", ["FAILED", "FILLED"])
def test_a_failure_logged_at_info_is_found_by_a_pattern(tmp_path: Path, state: str) -> None:
    """L03, and its twin with another word."""
    log = f'{{path: "{tmp_path}/execution.log", patterns: {{terminal: "TERMINAL STATE: FAILED"}}}}'
    watched = Watched(tmp_path, log, TERMINAL)
    watched.live(5, INFO=f"TERMINAL STATE: {state} | AAAUSDT BUY |")
    assert watched.raised == ({"TerminalFailures"} if state == "FAILED" else set())


def test_a_silent_log_is_told_and_a_slow_one_is_not(tmp_path: Path) -> None:
    """L07: no lines is not no errors."""
    watched = Watched(tmp_path, f'{{path: "{tmp_path}/execution.log", expect_every: 5m}}')
    for minutes in (0, 4, 8, 12):
        watched.now = T0 + timedelta(minutes=minutes)
        watched.say("INFO", "alive")
        watched.look()
    assert watched.raised == set()
    watched.now = T0 + timedelta(minutes=18)
    watched.look()
    assert watched.firing == {"LogSilent"}


CHANGED = """
    executions: {stream: s, success: {status: filled}}
rules:
  - alert: LogChanged
    when: ["log.matches.filled[10m] == 0", "log.lines[10m] > 0", "executions.succeeded[10m] > 0"]
    severity: info
"""


@pytest.mark.parametrize(("level", "raised"), [("INFO", set()), ("DEBUG", {"LogChanged"})])
def test_the_expected_line_stopped_while_executions_go_on(
    tmp_path: Path, level: str, raised: set[str]
) -> None:
    """W22: the success line was moved to DEBUG and is no longer written: the log changed, nothing died."""
    watched = Watched(
        tmp_path, f'{{path: "{tmp_path}/execution.log", patterns: {{filled: "order filled"}}}}', CHANGED
    )
    (spec,) = (spec for spec in watched.config.signals if spec.key.kind == "executions")
    for _ in range(70):
        if level == "INFO":
            watched.say("INFO", "order filled")
        watched.say("INFO", "[PATH1B] RX apply.result")
        counts = {(name, ""): Counted(T0 - TICK, ((watched.now, 1.0),)) for name in ("succeeded", "total")}
        watched.look(Reading(spec.key, watched.now, {"age": 0.0}, counts))
    assert watched.raised == raised


# ---- files: L06, L10 ---------------------------------------------------------------------------


def test_a_file_that_a_glob_finds_later_is_new_from_its_start(tmp_path: Path) -> None:
    """Its lines count from the first, and its errors are news; one that vanishes is let go."""
    watched = Watched(tmp_path, f'{{path: "{tmp_path}/*.log"}}')
    watched.say("ERROR", "old")
    watched.live(2, INFO="x")
    later = tmp_path / "later.log"
    watched.say("ERROR", "fresh", file=later)
    watched.say("ERROR", "old", file=later)
    watched.look()
    assert (watched.gained("errors"), watched.gained("new_errors"), watched.firing) == (
        2,
        1,
        {"NewLogErrors"},
    )
    watched.look()
    watched.say("INFO", "the last", file=later)
    later.unlink()
    watched.look()
    assert (watched.gained("lines"), watched.reading.known) == (1, True)


def test_lines_without_a_time_in_a_file_that_comes_later_are_counted(tmp_path: Path) -> None:
    """It was not there before, so all of it is new, whenever it was written."""
    watched = Watched(tmp_path, f'{{path: "{tmp_path}/*.log"}}')
    watched.live(2, INFO="x")
    (tmp_path / "later.log").write_text("[ERROR] [A] b\n" * 3)
    watched.look()
    assert (watched.gained("lines"), watched.gained("errors"), watched.gained("new_errors")) == (3, 3, 1)


@pytest.mark.parametrize("others", [0, 1])
def test_a_name_that_rotation_takes_for_a_moment_is_not_read_again(tmp_path: Path, others: int) -> None:
    """The look comes between the rename and the new file: the window was counted already."""
    watched = Watched(tmp_path, f'{{path: "{tmp_path}/*.log"}}')
    for number in range(others):
        (tmp_path / f"other{number}.log").touch()
    watched.live(3, INFO="x")
    watched.file.rename(tmp_path / "execution.log.1")
    watched.look()
    watched.say("INFO", "the first of the new file")
    watched.look()
    assert watched.gained("lines") == 1
    for day in range(30):
        (tmp_path / f"{day}.log").touch()
        watched.look()
        (tmp_path / f"{day}.log").unlink()
    watched.look()
    assert len(watched.signal.memory()["files"]) == 21 + others


ROTATIONS = """
  what the glob finds then         | why it is no news
  execution.log.1                  | a number of the file that is read
  execution-20260219.log           | a date, likewise
  execution.log.2.gz               | compressed
  before.log                       | the same file under another name
"""


@pytest.mark.parametrize("name", [row[0] for row in rows(ROTATIONS)])
def test_what_rotation_leaves_in_the_glob_is_counted_once(tmp_path: Path, name: str) -> None:
    """L06 with a generous glob: the old file under its new name is not another log."""
    watched = Watched(tmp_path, f'{{path: "{tmp_path}/*"}}')
    watched.live(2, INFO="x")
    watched.say("ERROR", "the last of the old file")
    watched.file.rename(tmp_path / name.removesuffix(".gz"))
    if name.endswith(".gz"):
        subprocess.run(["gzip", tmp_path / name.removesuffix(".gz")], check=True)
    watched.file.write_text(line(watched.now, "INFO", "the first of the new file"))
    watched.look()
    lines = watched.gained("lines")
    watched.live(2, INFO="y")
    assert (lines, watched.gained("lines")) == (2, 1)
    watched.restart()
    watched.look()
    assert (watched.gained("lines"), watched.gained("new_errors")) == (6, 0)


def test_one_file_by_two_names_is_read_once(tmp_path: Path) -> None:
    """A link to the newest file lies beside it."""
    watched = Watched(tmp_path, f'{{path: "{tmp_path}/*.log"}}')
    (tmp_path / "current.log").symlink_to(watched.file)
    watched.live(2, INFO="x")
    assert watched.gained("lines") == 1


def test_a_file_that_cannot_be_read_is_unknown_and_named(tmp_path: Path) -> None:
    """L10: the others are read, and the counts of all together are unknown, not zero."""
    locked = tmp_path / "audit.log"
    locked.mkdir()  # unreadable, whoever we are
    watched = Watched(tmp_path, f'{{path: ["{tmp_path}/execution.log", "{locked}", "{tmp_path}/gone.log"]}}')
    watched.live(2, INFO="x")
    assert watched.reading.known is False
    assert watched.reading.gaps == ("lines", "errors")
    unread = str(watched.reading.evidence["unread"])
    assert f"{locked}: " in unread
    assert f"{tmp_path}/gone.log: No such file or directory" in unread
    watched.live(20, INFO="x")
    assert watched.firing == {"SignalUnknown"}

    locked.rmdir()
    for name in ("audit", "gone"):
        watched.say("ERROR", "first line", file=tmp_path / f"{name}.log")
    watched.look()
    assert (watched.reading.known, watched.gained("lines")) == (True, 2)
    nothing = Watched(tmp_path, f'{{path: "{tmp_path}/none*.log"}}')
    assert nothing.look().trouble == f"no file matches {tmp_path}/none*.log"


# ---- restarts ----------------------------------------------------------------------------------

LIVES = """
  before the restart | while down | after | new at the restart | new after it
  a                  | -          | a     | 0                  | 0
  a                  | b          | b     | 1                  | 0
  a b                | a          | b c   | 0                  | 1
  -                  | a          | a     | 1                  | 0
"""


@pytest.mark.parametrize("life", rows(LIVES), ids=[" ".join(row) for row in rows(LIVES)])
def test_news_across_a_restart(tmp_path: Path, life: tuple[str, ...]) -> None:
    """What was told is not told again, what was written meanwhile is; the window is filled in both ways."""

    before, down, after, first, then = life
    watched = Watched(tmp_path)

    def say(errors: str) -> None:
        for error in errors.replace("-", "").split():
            watched.say("ERROR", f"error {error}")

    watched.say("INFO", "up")
    watched.look()
    say(before)
    watched.look()
    watched.restart()
    say(down)
    watched.look()
    assert watched.gained("lines") == 1 + len(f"{before}{down}".replace("-", "").replace(" ", ""))
    assert watched.gained("new_errors") == int(first)
    say(after)
    watched.look()
    assert watched.gained("new_errors") == int(then)


def test_the_very_first_look_takes_what_is_there_for_granted(watched: Watched) -> None:
    """No storm of news on the day of the installation."""
    for number in range(50):
        watched.say("ERROR", f"{'abcdefghij'[number % 10]} failed")
    watched.look()
    assert (watched.gained("errors"), watched.gained("new_errors"), watched.firing) == (50, 0, set())


def test_memory_changes_only_with_the_log(watched: Watched) -> None:
    """It is small, and a quiet tick has nothing to write."""
    watched.say("ERROR", "a")
    watched.live(3, INFO="x")
    watched.look()
    before = json.dumps(watched.signal.memory())
    watched.look()
    assert json.dumps(watched.signal.memory()) == before
    assert len(before) < 600


def test_a_flood_of_different_errors_is_looked_at_in_bounded_time(watched: Watched) -> None:
    """20,000 errors, no two alike: all are counted, some are named, and the next tick is as quick as ever."""
    watched.look()
    words = ["".join("abcdefghij"[int(digit)] for digit in f"{number:05d}") for number in range(20_000)]
    with watched.file.open("a") as log:
        log.writelines(line(watched.now, "ERROR", f"{word} is wrong") for word in words)
    errors = new = 0.0
    while not errors or watched.reading.values["behind"]:  # a busy machine reads it in several slices
        watched.look()
        assert watched.gained("new_errors") <= 500
        errors, new = errors + watched.gained("errors"), new + watched.gained("new_errors")
    assert errors == 20_000
    assert new >= 100
    assert len(json.dumps(watched.signal.memory())) < 20_000


# ---- the journal -------------------------------------------------------------------------------

JOURNALCTL = """#!/bin/sh
for argument; do case "$argument" in -f|--follow) exit 0;; esac; done
printf '%s\\n' '{"__CURSOR": "c1", "__REALTIME_TIMESTAMP": "1771462800000000", "PRIORITY": "3", "MESSAGE": "worker 7 died"}'
"""


def test_a_units_journal_is_a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same measures under the label `unit`."""
    program = tmp_path / "journalctl"
    program.write_text(JOURNALCTL)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    watched = Watched(tmp_path, "{journal: worker.service}")
    watched.look()
    assert watched.reading.signal.labels == {"unit": "worker.service"}
    assert (watched.gained("errors"), watched.gained("new_errors")) == (1, 0)


# ---- what a file may say -----------------------------------------------------------------------

WRONG = """
  log                                                  | what is said
  {}                                                   | what to read is not said (give path or journal, one of them)
  {path: a.log, journal: a.service}                    | what to read is not said (give path or journal, one of them)
  {path: a.log, user: true}                            | user says whose journal it is, and a file has none (remove it)
  {path: a.log, ignore: [{template: a}]}               | "reason" is missing (add reason: …)
  {path: a.log, ignore: [{reason: a}]}                 | what is to be ignored is not said (give template or regex, one of them)
  {path: a.log, ignore: [{regex: "(", reason: a}]}     | pattern "regex"
  {path: a.log, ignore: [{regex: a, reason: a, til: 1}]} | unknown key "til" (did you mean "until"?)
"""


@pytest.mark.parametrize(("log", "said"), rows(WRONG), ids=[row[0] for row in rows(WRONG)])
def test_what_is_wrong_with_a_log_is_said_once(log: str, said: str) -> None:
    """With the place and the cure."""
    with pytest.raises(ConfigError) as caught:
        parse(f"services: {{a: {{log: {log}}}}}")
    assert said in str(caught.value)
    assert str(caught.value).count("\n") == 0


def config_of(**keys: Any) -> Config:
    """Return a file with one log."""
    return parse(json.dumps({"services": {"a": {"log": keys}}}))


def test_a_measure_without_its_key_is_not_offered() -> None:
    """`ignored` needs `ignore`, `overdue` needs `expect_every`."""
    (plain,) = (s for s in config_of(path="a").signals if s.key.kind == "log")
    assert {"ignored", "overdue"} & set(plain.config.offered()) == set()
    more = config_of(path="a", expect_every="5m", ignore=[{"regex": "a", "reason": "b"}]).signals
    assert {"ignored", "overdue"} <= {name for s in more for name in s.config.offered()}
