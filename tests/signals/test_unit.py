"""The unit signal on what systemctl was recorded to say."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.signals.units import NOW, FakeSystemctl, unit
from watchdog.errors import CollectError
from watchdog.model import AtLeast, Counted, Reading, Value
from watchdog.signals.unit import Unit, UnitConfig, properties
from watchdog.systemctl.show import (
    ManagerAwayError,
    Properties,
    parse_show,
    parse_span,
    parse_time,
    show,
    show_each,
)
from watchdog.systemctl.states import exit_name

SERVICE = "quantum-rl-trainer.service"
TIMER = "quantum-policy-refresh.timer"
STARTED = "ActiveEnterTimestamp=Thu_2026-02-19_00:00:00_UTC"


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSystemctl:
    """Return a systemctl that stands before the machine's own on PATH."""
    fake = FakeSystemctl(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{fake.folder}{os.pathsep}{os.environ['PATH']}")
    return fake


def lives(systemctl: FakeSystemctl, moments: Sequence[str]) -> list[Reading]:
    """Return the readings of a unit that shows *moments*, a minute apart."""
    looked = []
    signal = unit()
    for minute, said in enumerate(moments):
        systemctl.says(said)
        looked.append(signal.look_here(NOW + timedelta(minutes=minute)))
    return looked


TOLD = [
    (
        "restart loop of a script without execute bit",
        "LoadState=loaded ActiveState=activating SubState=auto-restart Result=exit-code ExecMainStatus=203"
        " NRestarts=30206 UnitFileState=enabled",
        "activating/auto-restart 0 1 203 exit-code",
        "203/EXEC",
    ),
    (
        "flapping between polls",
        "LoadState=loaded ActiveState=active SubState=running Result=success ExecMainStatus=0 NRestarts=16699"
        " UnitFileState=enabled",
        "active 1 1 0 success",
        "0",
    ),
    (
        "library run as a service",
        "LoadState=loaded ActiveState=failed SubState=failed Result=start-limit-hit ExecMainStatus=0"
        " NRestarts=5 UnitFileState=enabled",
        "failed 0 1 0 start-limit-hit",
        "0",
    ),
    (
        "killed at its memory limit",
        "LoadState=loaded ActiveState=failed SubState=failed Result=oom-kill ExecMainStatus=9 NRestarts=0"
        " UnitFileState=enabled",
        "failed 0 1 9 oom-kill",
        "9/KILL",
    ),
    (
        "dead for ten days although enabled",
        "LoadState=loaded ActiveState=inactive SubState=dead Result=success ExecMainStatus=0 NRestarts=0"
        " UnitFileState=enabled",
        "inactive 0 1 0 success",
        "0",
    ),
    (
        "started by others only",
        "LoadState=loaded ActiveState=inactive SubState=dead Result=success ExecMainStatus=0 NRestarts=0"
        " UnitFileState=static",
        "inactive 0 0 0 success",
        "0",
    ),
    (
        "misspelt name",
        "LoadState=not-found ActiveState=inactive SubState=dead Result=success ExecMainStatus=0 NRestarts=0"
        " UnitFileState=",
        "not-found 0 - - -",
        "0",
    ),
    (
        "runs on after its file was deleted",
        "LoadState=not-found ActiveState=active SubState=running Result=success ExecMainStatus=0 NRestarts=0"
        " UnitFileState=",
        "active 1 - 0 success",
        "0",
    ),
    (
        "masked",
        "LoadState=masked ActiveState=inactive SubState=dead Result=success ExecMainStatus=0 NRestarts=0"
        " UnitFileState=masked",
        "masked 0 0 - -",
        "0",
    ),
]


@pytest.mark.parametrize(("said", "values", "status"), [t[1:] for t in TOLD], ids=[t[0] for t in TOLD])
def test_what_was_wrong(systemctl: FakeSystemctl, said: str, values: str, status: str) -> None:
    """The columns are state, active, enabled, exit_status and result; `-` does not apply, `?` is unknown."""
    systemctl.says(said)
    found = unit().look_here(NOW)
    names = ("state", "active", "enabled", "exit_status", "result")
    shown = [found.values.get(name, "-") for name in names]
    assert values.split() == ["?" if x is None else f"{x:g}" if isinstance(x, float) else x for x in shown]
    assert status == found.evidence["exit_status"]


def test_evidence_of_the_restart_loop(systemctl: FakeSystemctl) -> None:
    """The very first look tells how often it was restarted before anybody looked."""
    systemctl.says(TOLD[0][1])
    found = unit().look_here(NOW)
    assert found.evidence == {
        "state": "activating/auto-restart",
        "result": "exit-code",
        "exit_status": "203/EXEC",
        "restarts": 30206,
        "unit_file": "enabled",
    }
    assert {("restarts", ""): Counted(NOW)} == found.counts


RESTARTS = [
    ("steady", ["3 a running", "3 a running"], [0, 0]),
    ("by systemd", ["3 a running", "5 c running", "9 g running"], [0, 2, 4]),
    ("by hand, never crashed", ["0 a running", "0 b running", "0 b running"], [0, 1, 0]),
    ("by hand, counter reset", ["7 a running", "0 b running"], [0, 1]),
    ("by hand, crashing again", ["7 a running", "2 d running"], [0, 3]),
    ("counter reset, nothing started", ["7 a failed", "0 a failed"], [0, 0]),
    ("counter moves before the start", ["3 a auto-restart", "4 a auto-restart", "4 b running"], [0, 1, 0]),
    ("first start", ["0 - dead", "0 a running"], [0, 0]),
    ("unloaded while stopped", ["2 a running", "0 - dead", "0 b running"], [0, 0, 1]),
    ("never gets to active", ["0 - auto-restart", "1 - auto-restart", "2 - auto-restart"], [0, 1, 1]),
]


@pytest.mark.parametrize(("moments", "gained"), [r[1:] for r in RESTARTS], ids=[r[0] for r in RESTARTS])
def test_restarts(systemctl: FakeSystemctl, moments: list[str], gained: list[int]) -> None:
    """A moment is NRestarts, which start is the newest, SubState; each is one minute after the other."""
    told = []
    for moment in moments:
        count, start, sub = moment.split()
        newest = "ActiveEnterTimestamp=" if start == "-" else f"{STARTED} InvocationID={start}"
        told.append(f"LoadState=loaded ActiveState=x SubState={sub} NRestarts={count} {newest}")
    counted = [reading.counts["restarts", ""] for reading in lives(systemctl, told)]
    assert gained == [sum(by for _, by in counter.steps) for counter in counted]
    assert {NOW} == {counter.since for counter in counted}


def test_runs_of_a_timers_job_are_no_restarts(systemctl: FakeSystemctl) -> None:
    """What its own timer starts every minute is at work, not restarting."""
    told = [
        f"ActiveState=active NRestarts=0 {STARTED} InvocationID={start} TriggeredBy={TIMER}"
        for start in "abc"
    ]
    assert [reading.counts["restarts", ""].steps for reading in lives(systemctl, told)] == [(), (), ()]


TIMERS = [
    ("fired", "LastTriggerUSec=Thu_2026-02-19_01:40:25_UTC", 600.0, 2.0),
    (
        "never yet, active",
        "LastTriggerUSec= ActiveEnterTimestamp=Thu_2026-02-19_01:45:25_UTC",
        AtLeast(300.0),
        AtLeast(1.0),
    ),
]


@pytest.mark.parametrize(("said", "ago", "late"), [t[1:] for t in TIMERS], ids=[t[0] for t in TIMERS])
def test_timers(systemctl: FakeSystemctl, said: str, ago: Value, late: Value) -> None:
    """Expected every five minutes; one that never fired is at least as late as it has been active."""
    coming = "NextElapseUSecRealtime=Thu_2026-02-19_02:00:00_UTC"
    systemctl.says(f"LoadState=loaded ActiveState=active SubState=waiting Result=success {said} {coming}")
    found = unit(TIMER, expect_every="5m").look_here(NOW)
    assert {
        "state": "active",
        "active": 1.0,
        "result": "success",
        "scheduled": 1.0,
        "overdue": 0.0,
        "last_trigger": ago,
        "late": late,
    } == found.values
    assert found.counts == {}


OFFERED = {
    "quantum-rl-trainer": "state active enabled wanted restarts failed_runs exit_status outdated result",
    "getty@tty1.service": "state active enabled wanted restarts failed_runs exit_status outdated result",
    TIMER: "state active enabled wanted result last_trigger late overdue scheduled",
    "multi-user.target": "state active enabled wanted",
}


@pytest.mark.parametrize(("name", "measures"), OFFERED.items())
def test_offered_measures(name: str, measures: str) -> None:
    """A timer has no restarts, a service no trigger."""
    assert measures.split() == list(unit(name).config.offered())
    assert {"unit": name} == unit(name).config.labels()


@pytest.mark.parametrize(
    "keys",
    [
        {"name": "a b"},
        {"name": "x*"},
        {"name": "a.service", "expect_every": "1m"},
        {"name": "a.timer", "code": "/opt/a/*"},
        {"name": "a@.service"},
        {"name": "a@"},
        {"name": "a" * 300},
    ],
)
def test_refused_configurations(keys: dict[str, str]) -> None:
    """No name systemctl refuses, no pattern of names, no lateness of a service, no code of a timer."""
    with pytest.raises(ValidationError):
        UnitConfig.model_validate(keys)


@pytest.mark.parametrize(("user", "scope"), [(False, ""), (True, "--user ")], ids=["system", "user"])
def test_one_question_for_all_units(systemctl: FakeSystemctl, user: bool, scope: str) -> None:
    """With times in UTC; the answers come in the order of the units."""
    systemctl.says("ActiveState=active", "ActiveState=failed")
    found = Unit.gather([unit("a.service", user=user), unit("b.service", user=user)], NOW)
    assert [reading.values["state"] for reading in found] == ["active", "failed"]
    assert [f"TZ=UTC {scope}show -p {properties()} -- a.service b.service"] == systemctl.asked


REFUSES = """
case "$*" in *bad.service*) echo "Failed to get properties: Unit name bad is not valid." >&2; exit 1;; esac
cat "$0.said"
"""


def test_one_that_is_refused_spoils_no_other(systemctl: FakeSystemctl) -> None:
    """systemctl refuses the whole question for one name; then each is asked for by itself."""
    systemctl.runs(REFUSES)
    systemctl.says("ActiveState=active")
    told = Unit.gather([unit("a.service"), unit("bad.service"), unit("b.service")], NOW)
    assert [reading.values.get("state") for reading in told] == ["active", None, "active"]
    assert [reading.trouble for reading in told] == [
        None,
        "systemctl show bad.service failed: Failed to get properties: Unit name bad is not valid.",
        None,
    ]


def test_answers_that_cannot_be_told_apart(systemctl: FakeSystemctl) -> None:
    """An argument with two ends of line looks like two units: nobody's state is mistaken for another's."""
    systemctl.runs(
        """case "$*" in *"-- a b") printf 'ActiveState=active\\n\\nX=1\\n\\nActiveState=failed\\n';; *) cat "$0.said";; esac"""
    )
    systemctl.says("ActiveState=inactive")
    found = show_each(["a", "b"], "ActiveState", user=False)
    assert found == [{"ActiveState": "inactive"}] * 2


AWAY = {
    "container": "System has not been booted with systemd as init system (PID 1). Can't operate.",
    "no bus": "Failed to connect to bus: No such file or directory",
    "refused": "Failed to connect to system scope bus via local transport: Connection refused",
}


@pytest.mark.parametrize("said", AWAY.values(), ids=AWAY.keys())
def test_no_systemd_is_one_fault(systemctl: FakeSystemctl, said: str) -> None:
    """Asked once, told once: the other units are unknown because their source is away."""
    systemctl.runs(f'echo "{said}" >&2; exit 1')
    first, second = Unit.gather([unit("a.service"), unit("b.service")], NOW)
    cure = "leave `unit` out where there is no systemd, or give the watchdog its bus, /run/systemd/private"
    expected = f"systemd cannot be asked: {said.rstrip('.')} ({cure})"
    assert [(expected, None), (expected, "systemd")] == [(r.trouble, r.down) for r in (first, second)]
    assert (first.known, second.known) == (False, None)
    assert len(systemctl.asked) == 1


def test_empty_answer(systemctl: FakeSystemctl) -> None:
    """An answer without a state is no answer, above all not an inactive unit."""
    systemctl.says("")
    with pytest.raises(CollectError, match="does not tell its state"):
        unit().look_here(NOW)


def test_no_systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without systemd the unit is unknown."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CollectError, match="there is no systemctl here"):
        unit().look_here(NOW)


def test_systemctl_hangs(systemctl: FakeSystemctl) -> None:
    """A systemd that does not answer holds nobody up."""
    systemctl.runs("exec tail -f /dev/null")
    with pytest.raises(ManagerAwayError, match="gave no answer within 200ms"):
        show([SERVICE], properties(), user=False, patience=timedelta(milliseconds=200))


TIMES = {
    "Thu 2026-02-19 01:50:25 UTC": NOW,
    "Thu 2026-02-19 01:50:25.500000 UTC": NOW + timedelta(milliseconds=500),
    "": None,
    "n/a": None,
    "0": None,
}


@pytest.mark.parametrize(("text", "moment"), TIMES.items())
def test_times(text: str, moment: datetime | None) -> None:
    """As systemctl prints them with TZ=UTC."""
    assert moment == parse_time(text)


def test_unreadable_time() -> None:
    """A zone that cannot be told would be a wrong age; better none."""
    with pytest.raises(CollectError, match="Thu 2026-02-19 02:50:25 CET"):
        parse_time("Thu 2026-02-19 02:50:25 CET")


EXITS = [
    ("200", "exit-code", "200/CHDIR"),
    ("216", "exit-code", "216/GROUP"),
    ("224", "exit-code", "224/PAM"),
    ("235", "exit-code", "235/CHOWN"),
    ("243", "exit-code", "243/CREDENTIALS"),
    ("1", "exit-code", "1"),
    ("9", "exit-code", "9"),
    ("6", "watchdog", "6/ABRT"),
    ("0", "oom-kill", "0"),
]


@pytest.mark.parametrize(("status", "result", "shown"), EXITS)
def test_exit_names(status: str, result: str, shown: str) -> None:
    """Numbers only systemd gives have names; after a signal the number is the signal's."""
    assert shown == exit_name({"ExecMainStatus": status, "Result": result})


SPANS = {
    "1min 30s": 90.0,
    "10h 31min 10.537936s": 37870.537936,
    "1w 2d": 777600.0,
    "100ms": 0.1,
    "0": 0.0,
    "infinity": None,
    "": None,
}


@pytest.mark.parametrize(("text", "length"), SPANS.items())
def test_spans(text: str, length: float | None) -> None:
    """As systemctl prints a RestartSec= or the uptime at which a timer triggers."""
    assert length == parse_span(text)


LINE = st.text(alphabet="aé=\x00\r\u2028 ", max_size=8)
SHOWN = properties().split(",")
ODD = st.text(max_size=9) | st.sampled_from(["infinity", "0", "Thu 2026-13-45 99:99:99 UTC", "Thu 2026-02-19 01:50:25 UTC", "1min 3.4.5s", "9"])  # fmt: skip
QUICK = settings(max_examples=40, deadline=None)


@QUICK
@given(st.text())
def test_any_answer_is_read(text: str) -> None:
    """Whatever systemctl prints: blocks of properties come of it, never a crash."""
    for block in parse_show(text):
        assert all("\n" not in name and "=" not in name for name in block)


@QUICK
@given(st.text())
def test_any_time_and_span_is_read_or_refused(text: str) -> None:
    """In one sentence that moves no terminal."""
    for parse in (parse_time, parse_span):
        with contextlib.suppress(CollectError):
            parse(text)


@QUICK
@given(st.dictionaries(st.sampled_from(SHOWN), ODD))
def test_any_properties_become_a_reading(told: Properties) -> None:
    """What a unit is made to say about itself takes down no look."""
    for name in (SERVICE, TIMER):
        reading = unit(name).read({"ActiveState": "active", **told}, NOW, stop=0.0)
        assert reading.trouble is None or "\n" not in reading.trouble


@QUICK
@given(st.lists(st.dictionaries(st.sampled_from("ABC"), LINE, min_size=1), min_size=1, max_size=3))
def test_what_is_printed_is_read_back(units: list[dict[str, str]]) -> None:
    """Unit by unit, in order."""
    printed = "\n".join("".join(f"{name}={text}\n" for name, text in unit.items()) for unit in units)
    assert units == parse_show(printed)
