"""
A machine of the tests' own: systemd as its first process, in namespaces, with our unit installed as it is shipped.

/etc is an overlay, /opt, /var/lib and /run are empty, and there is no unit but ours and the few it asks for,
so nothing of the machine that runs the tests is started or changed. It needs root, as containers do.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.wheels import Installed
from tests.signals.realsystemd import CGROUPS, END, NAMESPACES

OUTER = ("unshare", "--mount", "--propagation", "slave", "--fork", "--kill-child")
INNER = "unshare --cgroup --pid --uts --ipc --fork --kill-child --mount-proc"
HIDDEN = "/usr/lib/systemd/system /usr/lib/systemd/system-generators /etc/systemd/system /opt /var/lib /run"
WANTED = "sysinit.target basic.target network-online.target shutdown.target multi-user.target"
BOOT = f"""
set -e
umount /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup
mkdir -p "$1/etc" "$1/work" "$1/python" "$1/packages"
mount --bind "$2" "$1/python"  # wherever they are: in a home, below /opt or /tmp, where units see nothing
mount --bind "$3" "$1/packages"
mount -t overlay overlay -o lowerdir=/etc,upperdir="$1/etc",workdir="$1/work" /etc
for place in {HIDDEN}; do mount -t tmpfs tmpfs "$(realpath $place)"; done
mkdir -p /run/systemd/system /run/lock /opt/pipeline-watchdog /opt/python /opt/packages /etc/systemd/system/service.d
mount --bind "$1/installed" /opt/pipeline-watchdog
mount --bind "$1/python" /opt/python
mount --bind "$1/packages" /opt/packages
cd /opt/pipeline-watchdog/share/pipeline-watchdog/systemd
for target in {WANTED}; do
  printf '[Unit]\\nDefaultDependencies=no\\n' > /etc/systemd/system/$target
done
cat > /etc/systemd/system/service.d/machine.conf << END  # no journal here, and Python is not where it was built
[Service]
StandardOutput=append:$1/said
StandardError=append:$1/said
Environment=LD_LIBRARY_PATH=/opt/python/lib
END
cp pipeline-watchdog.service /etc/systemd/system/
cp pipeline-watchdog.default /etc/default/pipeline-watchdog
systemd-sysusers "$PWD"/pipeline-watchdog.sysusers
systemd-tmpfiles --create "$PWD"/pipeline-watchdog.tmpfiles
cd /
mount --make-rshared /  # as what contains a systemd does: credentials are mounted
container=lxc exec /lib/systemd/systemd --system --unit=basic.target > "$1/boot" 2>&1
"""
START = f"""
set -e
{CGROUPS}
echo $$ > /sys/fs/cgroup/"$1"/cgroup.procs
exec {INNER} sh -c "$2" sh "$3" "$4" "$5"
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """One whose first process is *first*, seen from here; *folder* is ours and is there under the same path."""

    folder: Path
    first: int

    def run(self, *argv: str, timeout: float = 60) -> str:
        """Run a program there as root and return what it prints; it must end well."""
        inside = ["nsenter", "-t", str(self.first), "-m", "-p", "-C", "-i", "-u", "--", *argv]
        done = subprocess.run(inside, capture_output=True, text=True, timeout=timeout, check=False)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}{self.said()}"
        return done.stdout

    def write(self, path: str, text: str) -> None:
        """Write a file there as root, for those who may read its folder."""
        staged = self.folder / "staged"
        staged.write_text(text)
        self.run("install", "-D", "-m", "0644", str(staged), path)

    def show(self, unit: str) -> dict[str, str]:
        """Return what systemd says of *unit*."""
        return dict(line.split("=", 1) for line in self.run("systemctl", "show", unit).splitlines())

    def said(self) -> str:
        """Return what its services have written."""
        said = self.folder / "said"
        return said.read_text() if said.exists() else (self.folder / "boot").read_text()


def _portable(installed: Installed, folder: Path) -> None:
    """Copy *installed* for /opt/pipeline-watchdog, with the Python and the packages of /opt."""
    subprocess.run(["cp", "-a", str(installed.folder), str(folder)], check=True, timeout=60)
    python = folder / "bin" / "python"
    python.unlink()
    python.symlink_to(f"/opt/python/bin/python{sys.version_info.major}.{sys.version_info.minor}")
    (folder / "pyvenv.cfg").write_text("home = /opt/python/bin\ninclude-system-site-packages = false\n")
    Installed(folder).locked.write_text("/opt/packages\n")
    program = folder / "bin" / "watchdog"
    program.write_text("#!/opt/pipeline-watchdog/bin/python\n" + program.read_text().partition("\n")[2])


def _only_child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


@contextmanager
def machine(installed: Installed) -> Iterator[Machine]:
    """Yield a machine that has booted, with the wheel and its unit installed; all on it ends with it."""
    with tempfile.TemporaryDirectory(prefix="wd") as short:
        folder = Path(short)
        folder.chmod(0o755)
        _portable(installed, folder / "installed")
        name = f"watchdog-{os.getpid()}-machine.slice"
        argv = [
            *OUTER,
            "sh",
            "-c",
            START,
            "sh",
            name,
            BOOT,
            short,
            sys.base_prefix,
            sysconfig.get_path("purelib"),
        ]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told, (folder / "boot").open("w") as log:
            told.bind(str(folder / "told"))
            told.settimeout(20)
            environment = {**os.environ, "NOTIFY_SOCKET": str(folder / "told")}
            process = subprocess.Popen(argv, stdout=log, stderr=log, env=environment)
            try:
                while b"READY=1" not in told.recv(4096).splitlines():  # so systemd speaks to what contains it
                    pass
                yield Machine(folder, _only_child(_only_child(process.pid)))
            except TimeoutError as exc:
                raise AssertionError((folder / "boot").read_text()) from exc
            finally:
                process.kill()
                process.wait()
                tidy = ["unshare", *NAMESPACES, "sh", "-c", END, "sh", name]
                subprocess.run(tidy, capture_output=True, timeout=20, check=False)
