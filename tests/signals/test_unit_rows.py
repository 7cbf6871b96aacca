"""Rows U01 to U09 of the failure modes, each beside a healthy twin, through the built-in rules."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.drawn import rows
from tests.signals.units import NOW, FakeSystemctl, Watched
from watchdog.units import parse_duration

HEALTHY = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "Type": "simple",
    "Restart": "on-failure",
    "RestartUSec": "100ms",
    "Result": "success",
    "ExecMainStatus": "0",
    "UnitFileState": "enabled",
}
OFF = {"ActiveState": "inactive", "SubState": "dead"}
FAILED = {"ActiveState": "failed", "SubState": "failed"}
STATES = {
    "up": {},
    "always": {"Restart": "always"},
    "loop": {
        "ActiveState": "activating",
        "SubState": "auto-restart",
        "Result": "exit-code",
        "ExecMainStatus": "203",
    },
    "limit": FAILED | {"Result": "start-limit-hit"},
    "oom": FAILED | {"Result": "oom-kill", "ExecMainStatus": "9"},
    "crashed": FAILED | {"Result": "exit-code", "ExecMainStatus": "1"},
    "off": OFF,
    "disabled": OFF | {"UnitFileState": "disabled"},
    "job": OFF | {"Type": "oneshot"},
    "failedjob": FAILED | {"Type": "oneshot", "Result": "exit-code", "ExecMainStatus": "1"},
    "stayingjob": OFF | {"Type": "oneshot", "RemainAfterExit": "yes"},
    "timed": OFF | {"TriggeredBy": "trainer.timer"},
    "gone": OFF | {"LoadState": "not-found", "UnitFileState": ""},
    "masked": OFF | {"LoadState": "masked", "UnitFileState": "masked"},
}

SERVICES = """
what it is                                  | every | what systemd shows                                    | what fires
U01 no execute bit                          | 1m    | loop=30206 loop=30207 loop=30208                      | - UnitRestarting UnitRestarting
U01 at RestartSec=10min                     | 1m    | loop=1 loop=1 loop=1 loop=1                           | - UnitRestarting UnitRestarting UnitRestarting
one crash, up again at once                 | 1m    | up=0@9d loop=0 up=1@50s up=1@110s up=1@170s           | - - - - -
U02 restarts between looks, always active   | 1m    | up=16699@9s up=16703@9s up=16707@9s up=16711@9s       | - - UnitRestarting UnitRestarting
up all the time, crashed often long ago     | 1m    | up=16699@9d up=16699@9d up=16699@9d                   | - - -
a loop of ten minutes a run                 | 10m   | up=0@9m up=1@9m up=2@9m up=3@9m up=4@9m               | - - - - UnitRestarting
a worker made to end every ten minutes      | 10m   | always=0@9m always=1@9m always=2@9m always=3@9m always=4@9m | - - - - -
a crash once a day                          | 1d    | up=0@9h up=1@9h up=2@9h up=3@9h up=4@9h               | - - - - -
a loop that gets over it                    | 1m    | up=0@9s up=4@9s up=8@9s up=8@69s up=8@6m              | - - UnitRestarting UnitRestarting UnitRestarting
U03 counter reset by hand, started again    | 1m    | up=9@9s up=0@8s up=0@7s up=0@6s up=0@5s               | - - - - UnitRestarting
counter reset by hand, nothing started      | 1m    | up=9@1m up=0@2m up=0@3m up=0@4m                       | - - - -
U04 ends with 0 until the start limit       | 1m    | limit=5 limit=5 limit=5                               | - UnitDown UnitDown
U05 enabled, inactive for ten days          | 1m    | off=0 off=0 off=0                                     | - UnitDown UnitDown
switched off by hand                        | 1m    | disabled=0 disabled=0 disabled=0                      | - - -
a job that ended well                       | 1m    | job=0 job=0 job=0                                     | - - -
a job that failed                           | 1m    | failedjob=0 failedjob=0 failedjob=0                   | - UnitDown UnitDown
a job whose result was taken away           | 1m    | stayingjob=0 stayingjob=0 stayingjob=0                | - UnitDown UnitDown
what its timer starts                       | 1m    | timed=0 timed=0 timed=0                               | - - -
U06 killed for memory                       | 1m    | oom=0 oom=0 oom=0                                     | - UnitDown UnitDown
U08 a module is missing                     | 1m    | crashed=0 crashed=0 crashed=0                         | - UnitDown UnitDown
a name nobody has                           | 1m    | gone=0 gone=0 gone=0                                  | - UnitDown UnitDown
masked on purpose                           | 1m    | masked=0 masked=0 masked=0                            | - - -
restarted in a deploy                       | 1m    | up=0@9d off=0 up=0@30s up=0@90s                       | - - - -
"""  # fmt: skip


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSystemctl:
    """A systemctl that stands before the machine's own on PATH."""
    fake = FakeSystemctl(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{fake.folder}{os.pathsep}{os.environ['PATH']}")
    return fake


def shown(state: str, at: datetime) -> str:
    """Return what systemctl says of ``state=restarts@age``; age is how long the process has run."""
    name, _, numbers = state.partition("=")
    restarts, _, age = numbers.partition("@")
    told = HEALTHY | STATES[name] | {"NRestarts": restarts}
    if age:
        began = f"{at - parse_duration(age):%a_%Y-%m-%d_%H:%M:%S}_UTC"
        told |= {"ActiveEnterTimestamp": began, "ExecMainStartTimestamp": began, "InvocationID": began}
    return " ".join(f"{key}={value}" for key, value in told.items())


@pytest.mark.parametrize(
    ("every", "states", "fires"), [r[1:] for r in rows(SERVICES)], ids=[r[0] for r in rows(SERVICES)]
)
def test_services(systemctl: FakeSystemctl, every: str, states: str, fires: str) -> None:
    """A state is ``name=restarts@age of the process``; what fires stands below its look."""
    watched, fired = Watched("quantum-rl-trainer.service"), []
    for number, state in enumerate(states.split()):
        now = NOW + number * parse_duration(every)
        systemctl.says(shown(state, now))
        fired.append("+".join(sorted(watched.look(now))) or "-")
    assert fires.split() == fired


# The clock stands at 01:50:25 at the first look; a timer is looked at three times, a minute apart.
TIMERS = """
what it is                              | expects | sub     | file     | since | last  | next      | what fires
hourly, at work                         |         | waiting | enabled  | 00:10 | 01:00 | 02:00     | - - -
U07 its next moment passed              |         | waiting | enabled  | 00:10 | 01:00 | 01:40     | TimerLate TimerLate TimerLate
its job runs right now                  |         | running | enabled  | 00:10 | 01:50 | 01:50     | - - -
U07 started, but never will trigger     |         | elapsed | enabled  | 00:10 |       |           | - TimerLate TimerLate
triggers once after boot, and did       |         | elapsed | enabled  | 00:10 | 00:15 |           | - - -
has not had its first moment yet        |         | waiting | enabled  | 01:45 |       | 02:00     | - - -
U07 late by what is expected            | 10m     | waiting | enabled  | 00:10 | 01:20 | 02:20     | - TimerLate TimerLate
punctual by what is expected            | 1h      | waiting | enabled  | 00:10 | 01:20 | 02:20     | - - -
U07 never started, its service enabled  | 1h      | dead    | disabled |       |       |           | - TimerLate TimerLate
never started, nothing expected         |         | dead    | disabled |       |       |           | - - -
U07 not started since the boot          |         | dead    | enabled  |       | 00:00 |           | - UnitDown UnitDown
"""


def clock(time: str) -> str:
    """Return a moment of the day as systemctl prints it."""
    return f"Thu_2026-02-19_{time}:00_UTC" if time else ""


@pytest.mark.parametrize("drawn", [r[1:] for r in rows(TIMERS)], ids=[r[0] for r in rows(TIMERS)])
def test_timers(systemctl: FakeSystemctl, drawn: tuple[str, ...]) -> None:
    """By its own schedule, and by what the file expects of it."""
    expects, sub, file, since, last, coming, fires = drawn
    systemctl.says(
        f"LoadState=loaded ActiveState={'inactive' if sub == 'dead' else 'active'} SubState={sub} "
        f"Result=success UnitFileState={file} ActiveEnterTimestamp={clock(since)} AccuracyUSec=1min "
        f"LastTriggerUSec={clock(last)} NextElapseUSecRealtime={clock(coming)} NextElapseUSecMonotonic=infinity"
    )
    watched = Watched("policy.timer", **({"expect_every": expects} if expects else {}))
    fired = [
        "+".join(sorted(watched.look(NOW + number * timedelta(minutes=1)))) or "-" for number in range(3)
    ]
    assert fires.split() == fired


def test_a_job_that_blocks_its_timer(systemctl: FakeSystemctl) -> None:
    """While its job runs a timer sets no next moment; the period it showed before tells that it is late."""
    told = "LoadState=loaded ActiveState=active Result=success UnitFileState=enabled"
    watched = Watched("policy.timer")
    systemctl.says(
        f"{told} SubState=waiting LastTriggerUSec={clock('01:45')} NextElapseUSecRealtime={clock('01:55')}"
    )
    assert watched.look(NOW) == set()
    systemctl.says(
        f"{told} SubState=running LastTriggerUSec={clock('01:55')} NextElapseUSecRealtime={clock('01:55')}"
    )
    looks = [watched.look(NOW + timedelta(minutes=minutes)) for minutes in (5, 15, 25, 27)]
    assert looks == [set(), set(), set(), {"TimerLate"}]


DEPLOYS = """
what changed                                | process | fires
nothing                                     | old     | -
the unit file                               | old     | UnitOutdated
a drop-in                                   | old     | UnitOutdated
the env file                                | old     | UnitOutdated
the script an interpreter runs              | old     | UnitOutdated
code the file names                         | old     | UnitOutdated
a file it is told to write                  | old     | -
the script, and it was restarted            | new     | -
the script was put there with an old date   | old     | UnitOutdated
a link now leads to another release         | old     | UnitOutdated
"""


@pytest.mark.parametrize("drawn", rows(DEPLOYS), ids=[r[0] for r in rows(DEPLOYS)])
def test_old_code_after_a_deploy(systemctl: FakeSystemctl, tmp_path: Path, drawn: tuple[str, ...]) -> None:
    """U09: real files, changed ten minutes into the watch; 20 minutes later the process has to be restarted."""
    change, process, fires = drawn
    began, changed = NOW - timedelta(days=3), NOW + timedelta(minutes=10)
    names = {
        "the unit file": "trainer.service",
        "a drop-in": "over ride.conf",
        "the env file": "trainer.env",
        "the script an interpreter runs": "releases/1/train.py",
        "the script, and it was restarted": "releases/1/train.py",
        "code the file names": "lib/model.py",
        "a file it is told to write": "state.json",
    }
    for name in {*names.values(), "releases/2/train.py"}:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("old")
        os.utime(path, times=((began - timedelta(days=9)).timestamp(),) * 2)
    (tmp_path / "current").symlink_to(tmp_path / "releases/1")
    os.utime(tmp_path / "current", times=(began.timestamp() - 9,) * 2, follow_symlinks=False)
    argv = f"/opt/venv/bin/python3 -u {tmp_path}/current/train.py --state {tmp_path}/state.json"

    def say(start: datetime) -> None:
        stamp = f"{start:%a %Y-%m-%d %H:%M:%S} UTC"
        files = {
            "FragmentPath": f"{tmp_path}/trainer.service",
            "DropInPaths": f'"{tmp_path}/over ride.conf"',
            "EnvironmentFiles": f"{tmp_path}/trainer.env (ignore_errors=no)",
            "ExecStart": f"{{ path=/opt/venv/bin/python3 ; argv[]={argv} ; ignore_errors=no ; status=0/0 }}",
        }
        systemctl.prints(HEALTHY | files | {"ExecMainStartTimestamp": stamp, "InvocationID": stamp})

    say(began)
    watched = Watched("trainer.service", code=f"[{tmp_path}/lib/**]")
    assert watched.look(NOW) == set()
    if change in names:
        os.utime(tmp_path / names[change], times=(changed.timestamp(),) * 2)
    elif "old date" in change:
        fresh = tmp_path / "fresh.py"
        fresh.write_text("new code")
        os.utime(fresh, times=(began.timestamp() - 9,) * 2)
        fresh.replace(tmp_path / "releases/1/train.py")
    elif "link" in change:
        (tmp_path / "current").unlink()
        (tmp_path / "current").symlink_to(tmp_path / "releases/2")
        os.utime(tmp_path / "current", times=(began.timestamp() - 9,) * 2, follow_symlinks=False)
    if process == "new":
        say(changed + timedelta(seconds=20))
    assert watched.look(changed + timedelta(minutes=1)) == set(), "patience"
    assert watched.look(changed + timedelta(minutes=20)) == ({fires} - {"-"})


def test_what_changed_is_in_the_evidence(systemctl: FakeSystemctl, tmp_path: Path) -> None:
    """Which file, since when, and whether systemd has to read it first."""
    unit_file = tmp_path / "trainer.service"
    unit_file.write_text("[Service]\n")
    os.utime(unit_file, times=((NOW - timedelta(hours=1)).timestamp(),) * 2)
    began = {"ExecMainStartTimestamp": "Wed 2026-02-18 01:50:25 UTC", "NeedDaemonReload": "yes"}
    systemctl.prints({**HEALTHY, **began, "FragmentPath": str(unit_file)})
    watched = Watched("trainer.service")
    assert watched.look(NOW) == {"UnitOutdated"}
    evidence = watched.reading.evidence
    told_of = [evidence[name] for name in ("newer_file", "changed_at", "daemon_reload")]
    assert [str(unit_file), "2026-02-19T00:50:25Z", "needed"] == told_of
    assert watched.reading.values["outdated"] == 3600.0
    assert datetime.fromtimestamp(unit_file.stat().st_mtime, UTC) == NOW - timedelta(hours=1)
