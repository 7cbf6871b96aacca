"""What a command loads: times differ from machine to machine, what is in memory does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from watchdog.later import LOADER, PLUGINS, without_plugins

ROOT = Path(__file__).parents[2]
LOADED = """
import contextlib, io, json, sys
from watchdog.cli import main
said = io.StringIO()
try:
    with contextlib.redirect_stdout(said):
        main()
except SystemExit as end:
    assert end.code == 0, (said.getvalue(), end.code)
print(json.dumps(sorted(sys.modules)))
"""
NOT_FOR_CHECK = frozenset(
    """
    aiosmtplib apprise asyncio email h11 hiredis httpx importlib.metadata jinja2 logging markdown_it numpy prometheus_client redis rich smtplib
    sqlite3 ssl starlette structlog uvicorn
    watchdog.connecting watchdog.dividing watchdog.endpoints.question watchdog.logs.reader
    watchdog.notifiers.apprise watchdog.notifiers.email watchdog.reader watchdog.settings.files
    watchdog.sidecar watchdog.state watchdog.systemctl.show watchdog.telling watchdog.web watchdog.wire
    """.split()  # noqa: SIM905
)
"""What connects, shows or looks; and receivers that the repository's file does not name."""
COMMANDS = {
    "check": (("check", "--rules", str(ROOT / "rules.yaml")), NOT_FOR_CHECK, 110),
    "--help": (("--help",), NOT_FOR_CHECK | {"pydantic", "yaml", "watchdog.config"}, 10),
}
"""A command, what it must not load, and the most modules of ours: a new one costs everybody's every start."""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_loads_no_more_than_it_needs(command: str) -> None:
    """Nothing to connect with where nothing is connected to, so that `check` is quick enough for an editor."""
    arguments, needless, most = COMMANDS[command]
    told = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert told.returncode == 0, told.stderr
    found: set[str] = set(json.loads(told.stdout))
    assert not sorted(found & needless)
    ours = [name for name in found if name.partition(".")[0] == "watchdog"]
    assert len(ours) <= most, sorted(ours)


@pytest.mark.parametrize(("said", "stands_in"), [("__all__", True), ("logfire", False)], ids=["none", "some"])
def test_plugins_of_pydantic_are_for_those_who_name_some(
    said: str, stands_in: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What looks for them is not even loaded for all others."""
    monkeypatch.setenv(PLUGINS, said)
    monkeypatch.setattr(sys, "modules", {name: m for name, m in sys.modules.items() if name != LOADER})
    without_plugins()
    assert (LOADER in sys.modules) is stands_in
    assert not stands_in or list(sys.modules[LOADER].get_plugins()) == []
