"""The unit signal on a real systemd with a real journal: rows U01 to U09, each beside its healthy twin."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.signals.realsystemd import RealSystemd, real_systemd, why_not
from tests.signals.units import Watched

MINUTE = timedelta(minutes=1)
LIVES = ["Restart=always", "RestartSec=10min"]


@pytest.fixture(scope="module")
def systemd() -> Iterator[RealSystemd]:
    """One systemd for all tests of this file, with all its units; where there can be none it says why."""
    if (why := why_not()) is not None:
        pytest.skip(why)
    with real_systemd() as started:
        lay_out(started)
        yield started


@pytest.fixture(autouse=True)
def _speaks_to_it(systemd: RealSystemd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{systemd.bin}{os.pathsep}{os.environ['PATH']}")


def lay_out(systemd: RealSystemd) -> None:
    """Write and start all units, so that what takes its time does so while others are looked at."""
    stay = systemd.script("stay.sh", "exec sleep 300")
    noexec = systemd.script("noexec.sh", "exec sleep 300")
    noexec.chmod(0o644)
    crlf = systemd.script("crlf.sh", "exec sleep 300")
    crlf.write_bytes(crlf.read_bytes().replace(b"\n", b"\r\n"))
    (systemd.folder / "fine.env").write_text("A=1\n")
    install = ["[Install]", "WantedBy=default.target"]
    units: Mapping[str, list[str]] = {
        "well": [f"ExecStart={stay}", f"EnvironmentFile={systemd.folder}/fine.env", *LIVES],
        "noexec": [f"ExecStart={noexec}", *LIVES],
        "crlf": [f"ExecStart={crlf}", *LIVES],
        "nodir": [f"ExecStart={stay}", f"WorkingDirectory={systemd.folder}/none", *LIVES],
        "nolog": [f"ExecStart={stay}", f"StandardOutput=append:{systemd.folder}/none/x.log", *LIVES],
        "noenv": [f"ExecStart={stay}", f"EnvironmentFile={systemd.folder}/none.env"],
        "nomodule": ["ExecStart=/usr/bin/env python3 -c 'import no_such_module'"],
        "library": ["ExecStart=/bin/true", "Restart=always", "RestartSec=1ms"],
        "off": [f"ExecStart={stay}"],
        "disabled": [f"ExecStart={stay}"],
        "deployed": [f"ExecStart={stay}", f"EnvironmentFile={systemd.folder}/fine.env"],
        "job": ["Type=oneshot", "ExecStart=/bin/true"],
        "badjob": ["Type=oneshot", "ExecStart=/bin/false"],
    }
    for name, lines in units.items():
        systemd.write(f"{name}.service", "[Service]", *lines, *install)
    timers = {
        "once": ["OnActiveSec=50ms", "AccuracySec=1ms"],
        "hourly": ["OnCalendar=hourly"],
        "often": ["OnActiveSec=50ms", "OnUnitActiveSec=1h", "AccuracySec=1ms"],
        "waits": ["OnUnitActiveSec=1h"],
        "forgotten": ["OnCalendar=hourly"],
    }
    for name, lines in timers.items():
        job = "waits-job" if name == "waits" else "job"
        systemd.write(f"{name}.timer", "[Timer]", f"Unit={job}.service", *lines, *install)
    systemd.write("waits-job.service", "[Service]", "Type=oneshot", "ExecStart=/bin/true")
    (systemd.units / "masked.service").symlink_to("/dev/null")
    off = {"disabled", "deployed"}
    systemd.ctl("daemon-reload")
    systemd.ctl(
        "enable", *(n for n in units if n not in off), *(f"{n}.timer" for n in timers if n != "forgotten")
    )
    systemd.ctl("start", "--no-block", *(n for n in units if n not in {"off", "disabled"}))
    systemd.ctl("start", "--no-block", *(f"{n}.timer" for n in timers if n != "forgotten"))
    until(systemd, "library.service", "ActiveState=failed")
    until(systemd, "badjob.service", "ActiveState=failed")
    until(systemd, "nomodule.service", "ActiveState=failed")
    until(systemd, "once.timer", "SubState=elapsed")


def until(systemd: RealSystemd, unit: str, shows: str) -> None:
    """Wait until systemd says so of *unit*."""
    deadline = time.monotonic() + 20
    while shows not in (said := systemd.ctl("show", unit)).splitlines():
        assert time.monotonic() < deadline, said
        time.sleep(0.02)


ROWS = {
    "U01 no execute bit": ("noexec.service", "UnitRestarting", "203/EXEC", "{d}/scripts/noexec.sh has no execute bit"),
    "CRLF in the script": ("crlf.service", "UnitRestarting", "203/EXEC", "the lines of {d}/scripts/crlf.sh end with CRLF"),
    "its directory is gone": ("nodir.service", "UnitRestarting", "200/CHDIR", "its WorkingDirectory cannot be entered"),
    "no place for its log": ("nolog.service", "UnitRestarting", "209/STDOUT", "StandardOutput=append:{d}/none/x.log cannot"),
    "its env file is gone": ("noenv.service", "UnitDown", "0", "EnvironmentFile={d}/none.env does not exist"),
    "U04 exit 0 until start-limit": ("library.service", "UnitDown", "0", "it ended 5 times within 10s, the last time with"),
    "U05 enabled but inactive": ("off.service", "UnitDown", "0", ""),
    "U08 a module is missing": ("nomodule.service", "UnitDown", "1", ""),
    "a job that failed": ("badjob.service", "UnitDown", "1", ""),
    "a name nobody has": ("misspelt.service", "UnitDown", "0", "Unit misspelt.service not found."),
    "U07 never will trigger": ("waits.timer", "TimerLate", "", ""),
    "healthy: it runs": ("well.service", "", "0", ""),
    "healthy: disabled by hand": ("disabled.service", "", "0", ""),
    "healthy: masked": ("masked.service", "", "0", ""),
    "healthy: a job that ended well": ("job.service", "", "0", ""),
    "healthy: a timer by the calendar": ("hourly.timer", "", "", ""),
    "healthy: a timer by the uptime": ("often.timer", "", "", ""),
    "healthy: a timer for once": ("once.timer", "", "", ""),
    "healthy: a timer nobody wants": ("forgotten.timer", "", "", ""),
}  # fmt: skip


@pytest.mark.parametrize(("name", "fires", "status", "culprit"), ROWS.values(), ids=ROWS.keys())
def test_rows(systemd: RealSystemd, name: str, fires: str, status: str, culprit: str) -> None:
    """What fires after a minute and for which reason, or that nothing does."""
    watched, now = Watched(name, user="true"), datetime.now(UTC)
    watched.look(now)
    fired = watched.look(now + MINUTE)
    assert fired == ({fires} - {""}), watched.reading
    evidence = watched.reading.evidence
    assert str(evidence["exit_status"] or "") == status if status else "exit_status" not in evidence
    assert str(evidence.get("culprit", "")).startswith(culprit.format(d=systemd.folder)), evidence


def test_a_forgotten_timer_is_late_once_something_is_expected(systemd: RealSystemd) -> None:
    """U07: its service is there, the timer was neither enabled nor started."""
    watched, now = Watched("forgotten.timer", user="true", expect_every="1h"), datetime.now(UTC)
    watched.look(now)
    assert watched.look(now + MINUTE) == {"TimerLate"}


LAST = {
    "nomodule.service": "ModuleNotFoundError: No module named 'no_such_module'",
    "noexec.service": "noexec.service: Failed at step EXEC spawning {d}/scripts/noexec.sh: Permission denied",
    "noenv.service": "noenv.service: Failed to load environment files: No such file or directory",
}


@pytest.mark.parametrize(("name", "last"), LAST.items())
def test_the_journals_last_words(systemd: RealSystemd, name: str, last: str) -> None:
    """U08: what the program or systemd itself said stands in the evidence, of this run and no other."""
    watched = Watched(name, user="true")
    deadline = time.monotonic() + 5  # journald writes a little later than systemd ends
    expected = last.format(d=systemd.folder)
    while (found := look_anew(watched).get("last_error")) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def look_anew(watched: Watched) -> Mapping[str, object]:
    """Look with nothing found before."""
    fresh = Watched(watched.signal.config.name, user="true")
    fresh.look(datetime.now(UTC))
    return fresh.reading.evidence


def test_restarts_by_hand_are_counted(systemd: RealSystemd) -> None:
    """U03: the counter stands at 0 all the time, the starts tell; the twin is not touched."""
    restarted, twin, now = Watched("deployed.service", user="true"), Watched("well.service", user="true"), datetime.now(UTC)  # fmt: skip
    systemd.ctl("start", "deployed")
    for look in range(4):
        restarted.look(now + look * MINUTE)
        twin.look(now + look * MINUTE)
        systemd.ctl("restart", "deployed")
        systemd.ctl("reset-failed", "deployed")
    assert restarted.look(now + 4 * MINUTE) == {"UnitRestarting"}
    assert twin.look(now + 4 * MINUTE) == set()


def test_old_code_until_the_restart(systemd: RealSystemd) -> None:
    """U09 and its twin: the env file changes and the process does not, until it is restarted."""
    systemd.ctl("start", "deployed")
    file, now = systemd.folder / "fine.env", datetime.now(UTC)
    os.utime(file, times=((now + 2 * MINUTE).timestamp(),) * 2)
    watched = Watched("deployed.service", user="true")
    assert watched.look(now) == set()
    assert watched.look(now + 18 * MINUTE) == {"UnitOutdated"}
    assert watched.reading.evidence["newer_file"] == str(file)
    os.utime(file, times=((now - MINUTE).timestamp(),) * 2)
    systemd.ctl("restart", "deployed")
    assert watched.look(now + 19 * MINUTE) == set()


def test_a_restart_loop_that_looks_active(systemd: RealSystemd, tmp_path: Path) -> None:
    """U02: killed again and again and up again before the next look, at any of which it is active."""
    stay = systemd.folder / "scripts/stay.sh"
    systemd.write("flaps.service", "[Service]", f"ExecStart={stay}", "Restart=always", "RestartSec=1ms", "StartLimitBurst=99")  # fmt: skip
    systemd.ctl("daemon-reload")
    systemd.ctl("start", "flaps")
    watched, now = Watched("flaps.service", user="true"), datetime.now(UTC)
    fired = []
    for look in range(4):
        fired.append(watched.look(now + look * MINUTE))
        assert watched.reading.values["state"] == "active"
        for _ in range(2):
            before = systemd.ctl("show", "-p", "NRestarts", "flaps")
            systemd.ctl("kill", "--signal=KILL", "flaps")
            while systemd.ctl("show", "-p", "NRestarts", "flaps") == before:
                time.sleep(0.01)
            until(systemd, "flaps.service", "ActiveState=active")
    assert fired == [set(), set(), set(), {"UnitRestarting"}]
    systemd.ctl("stop", "flaps")
