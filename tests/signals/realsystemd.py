"""
A systemd of the tests' own: `systemd --user` and a journal in namespaces, with units that tests write.

It needs root, because a process may make neither mounts nor control groups otherwise.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("unshare", "nsenter", "systemd", "systemctl", "journalctl")
JOURNALD = "/lib/systemd/systemd-journald"
NAMESPACES = ("--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "slave")
CGROUPS = """\
mount -t tmpfs tmpfs /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && mkdir -p /sys/fs/cgroup/"$1\""""
FORBIDDEN = re.compile(r"(?i)permission denied|not permitted|read-only file system")
START = f"""
set -e
{CGROUPS}
echo $$ > /sys/fs/cgroup/"$1"/cgroup.procs
mkdir -p /sys/fs/cgroup/"$1"/user-0.slice/user@0.service  # by this journald tells which unit a process belongs to
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/systemd/journald.conf.d /run/log/journal /run/user/0
chmod 700 /run/user/0
mount --bind "$2/journal" /run/log/journal
printf '[Journal]\\nStorage=volatile\\nReadKMsg=no\\nAudit=no\\n' > /run/systemd/journald.conf.d/test.conf
{JOURNALD} &
until [ -S /run/systemd/journal/stdout ]; do sleep 0.02; done  # what is said before it is lost
export XDG_RUNTIME_DIR=/run/user/0 XDG_CONFIG_HOME="$2/config" HOME="$2"
unset DBUS_SESSION_BUS_ADDRESS
sh -c 'echo $$ > "$0" && exec systemd --user --log-target=journal' \\
  /sys/fs/cgroup/"$1"/user-0.slice/user@0.service/cgroup.procs &
until systemctl --user is-system-running > /dev/null 2>&1; do sleep 0.02; done
echo ready
wait
"""
END = f"""
{CGROUPS}
for try in $(seq 100); do  # what was killed is gone a moment later
  find /sys/fs/cgroup/"$1" -depth -type d -exec rmdir {{}} + 2> /dev/null && break
  sleep 0.02
done
"""


def why_not() -> str | None:
    """Say why no systemd can be started here, or None if it can be."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    missing += [] if Path(JOURNALD).exists() else [JOURNALD]
    if missing:
        return f"{', '.join(missing)} missing (apt-get install systemd util-linux)"
    if os.geteuid() != 0:
        return "a systemd of one's own needs root: mounts and control groups"
    name = f"watchdog-probe-{os.getpid()}.slice"
    probe = ["unshare", *NAMESPACES, "sh", "-c", f'{CGROUPS} && rmdir /sys/fs/cgroup/"$1"', "sh", name]
    tried = subprocess.run(probe, capture_output=True, text=True, timeout=20, check=False)
    if tried.returncode == 0:
        return None
    assert FORBIDDEN.search(tried.stderr), f"this probe is wrong: {tried.stderr}"
    return f"no namespaces of one's own here: {tried.stderr.strip()}"


class RealSystemd:
    """Where its units and the programs are that speak to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.units = folder / "config/systemd/user"
        self.bin = folder / "bin"
        for place in (self.units, self.bin, folder / "journal", folder / "scripts"):
            place.mkdir(parents=True)
        (self.units / "dbus.socket").symlink_to("/dev/null")  # a bus is started for no one

    def provide_programs(self, first: int) -> None:
        """Write a systemctl and a journalctl that ask this systemd; *first* is a process of its namespaces."""
        inside = f"exec nsenter -t {first} -m -p -- env"
        self.script("systemctl", f'{inside} XDG_RUNTIME_DIR=/run/user/0 /usr/bin/systemctl "$@"', self.bin)
        self.script("journalctl", f'exec /usr/bin/journalctl -D {self.folder}/journal "$@"', self.bin)

    def script(self, name: str, line: str, folder: Path | None = None) -> Path:
        """Write an executable shell script."""
        path = (folder or self.folder / "scripts") / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)
        return path

    def write(self, name: str, *lines: str) -> None:
        """Write a unit file."""
        (self.units / name).write_text("\n".join(lines) + "\n")

    def ctl(self, *arguments: str) -> str:
        """Run systemctl and return what it prints."""
        argv = [str(self.bin / "systemctl"), "--user", *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
        return done.stdout + done.stderr


@contextmanager
def real_systemd() -> Iterator[RealSystemd]:
    """Yield a systemd that runs; all it started ends with it."""
    with tempfile.TemporaryDirectory(prefix="wd") as short:
        made = RealSystemd(Path(short))
        name = f"watchdog-{os.getpid()}.slice"
        argv = ["unshare", *NAMESPACES, "sh", "-c", START, "sh", name, short]
        with (made.folder / "log").open("w") as log:
            process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said == "ready\n", (made.folder / "log").read_text()
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            made.provide_programs(int(children.split()[0]))
            yield made
        finally:
            process.kill()
            process.wait()
            tidy = ["unshare", *NAMESPACES, "sh", "-c", END, "sh", name]
            subprocess.run(tidy, capture_output=True, timeout=20, check=False)
