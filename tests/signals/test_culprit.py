"""Why a unit does not run, found by looking at real files and at the end of its journal."""

from __future__ import annotations

import os
import pwd
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from tests.signals.units import NOW, FakeSystemctl, unit
from watchdog.systemctl.culprit import culprit
from watchdog.systemctl.executables import Account, account, why_not_executable

NOBODY = Account("nobody", 65534, frozenset({65534}))
ELF = b"\x7fELF\x02\x01\x01" + bytes(9)


def script(path: Path, content: bytes = b"#!/bin/sh\nexit 0\n", mode: int = 0o755) -> Path:
    """Write a program that can be run."""
    path.write_bytes(content)
    path.chmod(mode)
    return path


def dangling(path: Path) -> Path:
    """Make a link that leads nowhere."""
    path.symlink_to(path.parent / "releases/9/run.sh")
    return path


def loaderless(path: Path) -> Path:
    """Write the beginning of a binary whose loader is not here."""
    header = ELF + struct.pack("<HHIQQQIHHHHHH", 3, _machine(), 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 3, 4, 120, 0, 0, 20, 20, 1)
    return script(path, header + segment + b"/lib/ld-musl-zz.so.1\0")


def _machine() -> int:
    return int.from_bytes(Path("/proc/self/exe").read_bytes()[18:20], "little")


BROKEN: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "no such file": (lambda p: p, "{p} does not exist"),
    "a link to nowhere": (dangling, "{p} is a link to {d}/releases/9/run.sh, which does not exist"),
    "a directory": (lambda p: p.mkdir(), "{p} is a directory, not a program"),
    "no execute bit": (lambda p: script(p, mode=0o644), "{p} has no execute bit (chmod +x {p})"),
    "empty": (lambda p: script(p, b""), "{p} is empty"),
    "CRLF": (
        lambda p: script(p, b"#!/bin/sh\r\nexit 0\r\n"),
        "the lines of {p} end with CRLF, so \"/bin/sh\\r\" is looked for (sed -i 's/\\r$//' {p})",
    ),
    "CRLF behind env": (
        lambda p: script(p, b"#!/usr/bin/env python3\r\n"),
        "the lines of {p} end with CRLF, so \"python3\\r\" is looked for (sed -i 's/\\r$//' {p})",
    ),
    "no interpreter named": (lambda p: script(p, b"#!\nexit\n"), "{p} names no interpreter behind its #!"),
    "no such interpreter": (
        lambda p: script(p, b"#!/opt/venv/bin/python3\nprint()\n"),
        "the interpreter of {p} cannot be run: /opt/venv/bin/python3 does not exist:"
        " there is no directory /opt/venv",
    ),
    "no path to it": (lambda p: script(p, b"#!python3\n"), "{p} names its interpreter python3 without a path"),
    "a text": (
        lambda p: script(p, b"import os\n"),
        "{p} is neither a binary nor a script that begins with #! (add a line like #!/bin/sh)",
    ),
    "a byte order mark": (
        lambda p: script(p, b"\xef\xbb\xbf#!/bin/sh\n"),
        "{p} begins with a byte order mark, so its #! is not seen (save it as UTF-8 without BOM)",
    ),
    "a blank before it": (lambda p: script(p, b" #!/bin/sh\n"), "{p} begins with a blank before its #! (remove it)"),
    "another architecture": (
        lambda p: script(p, ELF + struct.pack("<HH", 2, 22) + bytes(80)),
        "{p} is a binary for s390x, and this machine is {m}",
    ),
    "another libc": (loaderless, "{p} wants the loader /lib/ld-musl-zz.so.1, which does not exist (another libc?)"),
    "cut off": (lambda p: script(p, ELF), "{p} is a binary that was cut off"),
}  # fmt: skip


@pytest.mark.parametrize(("breaks", "why"), BROKEN.values(), ids=BROKEN.keys())
def test_why_a_file_cannot_be_executed(tmp_path: Path, breaks: Callable[[Path], object], why: str) -> None:
    """The kernel agrees: what has a sentence here cannot be started, and a sentence names the cure."""
    path = tmp_path / "run.sh"
    breaks(path)
    expected = why.format(p=path, d=tmp_path, m=os.uname().machine)
    assert expected == why_not_executable(path, _we())
    try:
        ended = subprocess.run([path], capture_output=True, check=False).returncode
    except OSError:
        return
    assert ended == 127, "only env itself could be started"


@pytest.mark.parametrize("content", [b"#!/bin/sh\nexit 0\n", b"#! /usr/bin/env sh\nexit 0\n", None])
def test_what_can_be_executed_has_no_fault(tmp_path: Path, content: bytes | None) -> None:
    """The healthy twin: two scripts and a binary that run."""
    path = script(tmp_path / "run.sh", content) if content else Path(os.path.realpath(sys.executable))
    assert why_not_executable(path, _we()) is None
    assert subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0


def _we() -> Account:
    found = account("")
    assert isinstance(found, Account)
    return found


def test_what_another_user_may(tmp_path: Path) -> None:
    """The unit's user counts, not the watchdog's: its file, and every directory on the way."""
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    path = script(home / "run.sh", mode=0o750)
    for folder in tmp_path.parents:
        if folder.stat().st_mode & 0o1 == 0:
            folder.chmod(folder.stat().st_mode | 0o11)  # pytest makes its own for one user
    tmp_path.chmod(0o755)
    us = pwd.getpwuid(os.geteuid()).pw_name
    expected = f"user nobody may not execute {path} (-rwxr-x---, owner {us})"
    assert expected == why_not_executable(path, NOBODY)
    home.chmod(0o700)
    assert why_not_executable(path, NOBODY) == f"user nobody may not enter {home}, so it cannot reach {path}"
    home.chmod(0o755)
    path.chmod(0o755)
    assert why_not_executable(path, NOBODY) is None


def test_a_file_system_mounted_noexec(tmp_path: Path) -> None:
    """A script with all its bits lies where nothing may be executed."""
    asks = "import sys; from pathlib import Path; from watchdog.systemctl import executables as e"
    mounted = f"""
mount -t tmpfs -o noexec none {tmp_path}
printf '#!/bin/sh\\n' > {tmp_path}/run.sh
chmod 755 {tmp_path}/run.sh
exec {sys.executable} -c '{asks}; print(e.why_not_executable(Path(sys.argv[1]), e.account("root")))' {tmp_path}/run.sh
"""
    argv = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", mounted]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    expected = (
        f"{tmp_path}/run.sh lies on a file system that is mounted noexec (move it, or mount it with exec)"
    )
    assert expected == told.strip()


def command(path: Path, status: int = 203) -> str:
    """Return a command as systemctl shows it."""
    return f"{{ path={path} ; argv[]={path} ; ignore_errors=no ; start_time=[n/a] ; code=exited ; status={status} }}"


FAILURES = {
    "not executable": (
        {"Result": "exit-code", "ExecMainStatus": "203", "ExecStart": "COMMAND"},
        "{d}/run.sh has no execute bit (chmod +x {d}/run.sh)",
    ),
    "its user is gone": (
        {"Result": "exit-code", "ExecMainStatus": "217", "User": "quantum-no-such"},
        'there is no user "quantum-no-such" on this machine (User= and Group= of the unit)',
    ),
    "its group is gone": (
        {"Result": "exit-code", "ExecMainStatus": "216", "Group": "quantum-no-such"},
        'there is no group "quantum-no-such" on this machine (User= and Group= of the unit)',
    ),
    "its directory is gone": (
        {"Result": "exit-code", "ExecMainStatus": "200", "WorkingDirectory": "{d}/app"},
        "its WorkingDirectory cannot be entered: {d}/app does not exist",
    ),
    "its output has no directory": (
        {"Result": "exit-code", "ExecMainStatus": "209", "FragmentPath": "{d}/x.service"},
        "StandardOutput=append:{d}/logs/x.log cannot be opened: {d}/logs does not exist",
    ),
    "its namespace names nothing": (
        {"Result": "exit-code", "ExecMainStatus": "226", "ReadWritePaths": "-{d}/a {d}/b"},
        "ReadWritePaths= names {d}/b, which does not exist (make it, or write -{d}/b)",
    ),
    "its env file is gone": (
        {
            "Result": "resources",
            "ExecMainStatus": "0",
            "EnvironmentFiles": "{d}/x.env (ignore_errors=yes)\n{d}/y.env (ignore_errors=no)",
        },
        "EnvironmentFile={d}/y.env does not exist",
    ),
    "out of memory": (
        {"Result": "oom-kill", "ExecMainStatus": "9", "MemoryMax": "536870912"},
        "the kernel killed it at its memory limit of 512 MiB (MemoryMax=)",
    ),
    "a library run as a service": (
        {"Result": "start-limit-hit", "ExecMainStatus": "0", "StartLimitBurst": "5", "StartLimitIntervalUSec": "10s"},
        "it ended 5 times within 10s, the last time with exit status 0, so nothing in it stays running,"
        " and systemd gave up",
    ),
    "gave up on a script": (
        {"Result": "start-limit-hit", "ExecMainStatus": "203", "ExecStart": "COMMAND"},
        "{d}/run.sh has no execute bit (chmod +x {d}/run.sh)",
    ),
    "misspelt": (
        {"LoadState": "not-found", "LoadError": 'org.freedesktop.systemd1.NoSuchUnit "Unit x.service not found."'},
        "Unit x.service not found.",
    ),
    "its program says why": ({"Result": "exit-code", "ExecMainStatus": "1"}, "None"),
    "repaired meanwhile": ({"Result": "exit-code", "ExecMainStatus": "203", "ExecStart": "FINE"}, "None"),
    "in an image": ({"Result": "exit-code", "ExecMainStatus": "203", "RootImage": "/x.raw"}, "None"),
}  # fmt: skip


@pytest.mark.parametrize(("told", "why"), FAILURES.values(), ids=FAILURES.keys())
def test_what_keeps_a_unit_from_running(tmp_path: Path, told: Mapping[str, str], why: str) -> None:
    """One sentence from what systemd tells and what is found on disk, or none."""
    broken = command(script(tmp_path / "run.sh", mode=0o644))
    fine = command(script(tmp_path / "fine.sh"))
    (tmp_path / "x.service").write_text(f"[Service]\nStandardOutput=append:{tmp_path}/logs/x.log\n")
    filled = {
        key: text.replace("{d}", str(tmp_path)).replace("COMMAND", broken).replace("FINE", fine)
        for key, text in told.items()
    }
    assert why.format(d=tmp_path) == str(culprit(filled))


# ---- the journal -----------------------------------------------------------------------------------

CRASHED = (
    "LoadState=loaded ActiveState=failed SubState=failed Result=exit-code ExecMainStatus=1"
    " NRestarts=0 UnitFileState=enabled ExecMainStartTimestamp=Thu_2026-02-19_01:50:00_UTC"
)
SERVICE = "quantum-rl-trainer.service"


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSystemctl:
    """A systemctl and a journalctl that stand before the machine's own on PATH."""
    fake = FakeSystemctl(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{fake.folder}{os.pathsep}{os.environ['PATH']}")
    return fake


LAST_WORDS = {
    "a traceback": (
        [f"6 Started {SERVICE}.", "6   import torch", "6 ModuleNotFoundError: No module named torch",
         f"5 {SERVICE}: Main process exited, code=exited, status=1/FAILURE", f"4 {SERVICE}: Failed with result x."],
        "ModuleNotFoundError: No module named torch",
    ),
    "systemd knows better": (
        [f"3 {SERVICE}: Failed at step EXEC spawning /opt/run.sh: Permission denied",
         f"5 {SERVICE}: Main process exited, code=exited, status=203/EXEC"],
        f"{SERVICE}: Failed at step EXEC spawning /opt/run.sh: Permission denied",
    ),
    "a secret": (["6 login with password=hunter2 failed"], "login with password=*** failed"),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "last"), LAST_WORDS.values(), ids=LAST_WORDS.keys())
def test_last_words(systemctl: FakeSystemctl, lines: list[str], last: str) -> None:
    """U08: exit status and the line that tells most stand in the evidence, secrets do not."""
    systemctl.says(CRASHED)
    systemctl.journal(*lines)
    found = unit(SERVICE).look_here(NOW).evidence
    assert (last, "1") == (found["last_error"], found["exit_status"])
    shown = found["last_lines"]
    assert isinstance(shown, list)
    assert "hunter2" not in str(found)
    assert len(shown) == min(5, len(lines))
    assert f"--since=@1771465800.000000 -u {SERVICE}" in systemctl.journal_asked[0]


def test_the_journal_is_asked_once_for_each_failure(systemctl: FakeSystemctl) -> None:
    """Nothing while the unit is well, once when it fails, again after a minute or when it fails otherwise."""
    signal = unit(SERVICE)
    asked = []
    up = (
        CRASHED.replace("failed", "active")
        .replace("SubState=active", "SubState=running")
        .replace("exit-code", "success")
    )
    killed = CRASHED.replace("exit-code", "oom-kill")
    for seconds, said in enumerate([up, up, CRASHED, CRASHED, killed, killed, up]):
        systemctl.says(said)
        systemctl.journal("3 broken")
        found = signal.look_here(NOW + timedelta(seconds=5 * seconds)).evidence
        asked.append(len(systemctl.journal_asked))
        assert ("last_error" in found) == (said != up)
    assert asked == [0, 0, 1, 1, 2, 2, 2]
    systemctl.says(killed)
    signal.look_here(NOW + timedelta(seconds=60))
    signal.look_here(NOW + timedelta(seconds=121))
    assert len(systemctl.journal_asked) == 4


def test_a_journal_that_may_not_be_read(systemctl: FakeSystemctl) -> None:
    """Who is to be put into which group is said, and the unit's state is known all the same."""
    systemctl.says(CRASHED)
    systemctl.journal(warning="No journal files were opened due to insufficient permissions.\n")
    found = unit(SERVICE).look_here(NOW)
    assert found.values["state"] == "failed"
    assert "systemd-journal" in str(found.evidence["journal"])


def test_many_that_fail_do_not_hold_up_the_look(systemctl: FakeSystemctl) -> None:
    """What is not looked into in time has its turn at the next look; the states are all told at once."""
    systemctl.says(CRASHED)
    told = {"ActiveState": "failed", "Result": "exit-code"}
    signal = unit(SERVICE)
    assert "last_error" not in signal.read(told, NOW, stop=0.0).evidence
    systemctl.journal("3 broken")
    assert signal.read(told, NOW, stop=float("inf")).evidence["last_error"] == "broken"
