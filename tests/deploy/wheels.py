"""Wheel and sdist as they are published, and a venv that has the wheel and never sees the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BORN = "1700000000"
"""SOURCE_DATE_EPOCH of the builds: what is built from the same files at another time is the same."""
SEVERAL = """
import contextlib, io, json, sys
from pathlib import Path
import watchdog
from typer.testing import CliRunner
from watchdog.cli import app
ran = []
for arguments in json.load(sys.stdin):
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    ran.append([result.exit_code, result.stdout, result.stderr or repr(result.exception or "")])
json.dump({"home": str(Path(watchdog.__file__).parent), "ran": ran}, sys.stdout)
"""


def build(target: str, source: Path, into: Path) -> Path:
    """Build *target* (wheel or sdist) of the project in *source* and return the file."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(into)],
        cwd=source,
        env={**os.environ, "SOURCE_DATE_EPOCH": BORN},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (built,) = into.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


def contents(archive: Path) -> dict[str, str]:
    """Return the files in a wheel or an sdist with the hash of each; an sdist's without its folder."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return {name: sha256(wheel.read(name)).hexdigest() for name in wheel.namelist()}
    with tarfile.open(archive) as sdist:
        files = {
            member.name.partition("/")[2]: sdist.extractfile(member) for member in sdist if member.isfile()
        }
        return {name: sha256(file.read()).hexdigest() for name, file in files.items() if file}


@dataclass(frozen=True, slots=True)
class Installed:
    """A venv in *folder* with the wheel in it; all else is the locked packages the tests run with."""

    folder: Path

    @property
    def bin(self) -> Path:
        """Return where its programs are."""
        return self.folder / "bin"

    @property
    def site(self) -> Path:
        """Return where its packages are."""
        (found,) = self.folder.glob("lib/python*/site-packages")
        return found

    @property
    def locked(self) -> Path:
        """Return the file that says where all other packages are."""
        return self.site / "locked.pth"

    def python(self, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
        """Run its Python far from the checkout, with nothing of our environment."""
        return subprocess.run(
            [str(self.bin / "python"), *arguments],
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder)},
            input=said,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def commands(self, *each: list[str]) -> list[tuple[int, str, str]]:
        """Run several commands of the wheel in one process; return status, output and errors of each."""
        done = self.python("-c", SEVERAL, said=json.dumps(each))
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        assert Path(told["home"]) == self.site / "watchdog", "the checkout was imported, not the wheel"
        return [(status, out, err) for status, out, err in told["ran"]]


def install(wheel: Path, folder: Path) -> Installed:
    """Make a venv in *folder* and install *wheel* into it as a user does, but for its dependencies."""
    made = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(made, check=True, capture_output=True, timeout=60)
    installed = Installed(folder)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(installed.bin / "python"),
        "--disable-pip-version-check",
    ]
    done = subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", "--no-index", "--no-compile", str(wheel)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    installed.locked.write_text(f"{sysconfig.get_path('purelib')}\n")
    return installed
