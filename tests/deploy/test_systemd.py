"""The unit and its drop-ins, read by systemd's own tools; test_installed.py runs it."""

from __future__ import annotations

import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.deploy.wheels import ROOT
from watchdog.config import parse
from watchdog.errors import ConfigError

SHIPPED = ROOT / "deploy/systemd"
UNIT = "pipeline-watchdog.service"
ALLOWED = 2.0
NEWER = "notify-reload.conf"
"""For systemd 253 and later, which this need not be."""
DROP_INS = sorted(path.name for path in (SHIPPED / "drop-ins").iterdir())


def place(into: Path, *drop_ins: str) -> Path:
    """Lay the unit out as installed, with *drop_ins*, and a program where it expects one."""
    program = into / "opt/pipeline-watchdog/bin/watchdog"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = (SHIPPED / UNIT).read_text().replace("/opt/", f"{into}/opt/")
    (into / UNIT).write_text(text)
    folder = into / f"{UNIT}.d"
    folder.mkdir()
    for name in drop_ins:
        shutil.copy(SHIPPED / "drop-ins" / name, folder)
    return into / UNIT


def analyse(verb: str, unit: Path) -> str:
    """Return what `systemd-analyze` says of *unit*."""
    argv = ["systemd-analyze", "--no-pager", *verb.split(), str(unit)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    return done.stdout + done.stderr


def exposure(unit: Path) -> float:
    """Return the number that `systemd-analyze security` gives to *unit*, which is out of ten."""
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", analyse("security --offline=true", unit))
    assert found
    return float(found[1])


def test_the_unit_is_hardened(tmp_path: Path) -> None:
    """At most 2.0 of 10, which tells of each directive that is taken away."""
    assert exposure(place(tmp_path)) <= ALLOWED


def test_secrets_are_read_from_credentials(tmp_path: Path) -> None:
    """The lines that the page and the example give: each file of the folder is `secret_NAME` for the process."""
    secrets = {
        "redis": "redis://:hush@127.0.0.1:1/0",
        "tokens": "me: 0123456789abcdef",
        "slack": "https://hooks.example/x",
    }
    for name, secret in secrets.items():
        (tmp_path / f"secret_{name}").write_text(f"{secret}\n")
    page = (ROOT / "docs/how-to/systemd.md").read_text()
    (lines,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    services = "services: {orders: {heartbeat: {key: beat}}}\n"
    told = {"CREDENTIALS_DIRECTORY": str(tmp_path), "STATE_DIRECTORY": str(tmp_path)}
    config = parse(services + textwrap.dedent(lines), environment=told)
    assert (config.tokens, set(config.receivers)) == ({"0123456789abcdef": "me"}, {"ops"})
    assert "hush" not in repr(config)
    example = parse((ROOT / "deploy/rules.yaml").read_text(), environment=told)
    assert str(example.state) == str(tmp_path / "watchdog.db")
    with pytest.raises(ConfigError, match="secret_slack cannot be read"):
        parse((ROOT / "deploy/rules.yaml").read_text(), environment={"CREDENTIALS_DIRECTORY": "/nowhere"})


@pytest.mark.parametrize("name", [n for n in DROP_INS if n != NEWER])
def test_what_a_drop_in_costs(tmp_path: Path, name: str) -> None:
    """Opening one thing does not open the rest, and systemd understands every line."""
    unit = place(tmp_path, name)
    assert exposure(unit) <= ALLOWED
    assert analyse("verify", unit) == ""


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    """A misspelt directive would be ignored, with a line in the journal that nobody reads."""
    unit = place(tmp_path)
    assert analyse("verify", unit) == ""
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHomes="))
    assert "Unknown key 'ProtectHomes'" in analyse("verify", unit)
