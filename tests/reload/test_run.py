"""`watchdog run` and its rules file: SIGHUP, a change of the file, a request; what is wrong with it is told."""

from __future__ import annotations

import contextlib
import html
import json
import signal
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.process.conftest import CLIENT, Running, until

TOKEN = "0123456789abcdef0123456789abcdef"
RULES = """
redis: redis://127.0.0.1:1
every: 200ms
state: "{folder}/state.db"
api: {{tokens: {{file: "{folder}/tokens"}}}}
receivers: {{hook: {{webhook: {{url: "http://127.0.0.1:9/hook"}}}}}}
services:
  a: {{settings: {{file: "{folder}/a", require: {{MODE: "live"}}}}}}
"""


class Sidecar(Running):
    """A running sidecar whose rules are changed."""

    @property
    def firing(self) -> dict[str, Any]:
        """Return the alerts that fire, by name."""
        alerts = self.get("/api/v1/alerts").json()["alerts"]
        return {a["labels"]["alertname"]: a for a in alerts if a["state"] == "firing"}

    def reload(self, token: str) -> httpx.Response:
        """Ask for the file to be read, as somebody who has a token, or none."""
        return CLIENT.post(f"{self.url}/-/reload", headers={"authorization": f"Bearer {token}"})

    def metric(self, name: str) -> float:
        """Return a figure of the sidecar's own."""
        (line,) = (line for line in self.get("/metrics").text.splitlines() if line.startswith(f"{name} "))
        return float(line.split()[1])

    @property
    def logged(self) -> list[dict[str, Any]]:
        """Return what it logged so far."""
        return [json.loads(line) for line in self.said()[1].splitlines()]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return what it logged under a name."""
        return [line for line in self.logged if line["event"] == name]

    def has_loaded(self, times: int) -> bool:
        """Say whether so many files were taken."""
        return self.said()[1].count('"config_loaded"') == times

    def hang_up(self) -> None:
        """Send SIGHUP, as `systemctl reload` does."""
        self.process.send_signal(signal.SIGHUP)

    @property
    def memory(self) -> int:
        """Return how many kilobytes it holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a service that is as it should be."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "a").write_text("MODE=live\n")
    (folder / "tokens").write_text(f"me: {TOKEN}\n")
    (folder / "rules.yaml").write_text(RULES.format(folder=folder))
    return folder


@pytest.fixture(scope="module")
def manager(folder: Path) -> Iterator[socket.socket]:
    """Who hears what the sidecar says of itself, as systemd does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "notify"))
        yield manager


@pytest.fixture(scope="module")
def running(folder: Path, manager: socket.socket) -> Iterator[Sidecar]:
    """The one sidecar of these tests, for a start costs more than all they ask of it."""
    sidecar = Sidecar(folder / "rules.yaml", environment={"NOTIFY_SOCKET": str(folder / "notify")})
    until(sidecar.ready)
    yield sidecar
    sidecar.kill()


@pytest.fixture
def sidecar(running: Sidecar, folder: Path) -> Iterator[Sidecar]:
    """That sidecar by the rules as they were, before and after."""
    yield running
    (folder / "tokens").write_text(f"me: {TOKEN}\n")
    (folder / "rules.yaml").write_text(RULES.format(folder=folder))
    running.hang_up()
    until(lambda: running.reload(TOKEN).status_code == 200)


def heard(manager: socket.socket) -> list[str]:
    """Return what was said to the manager by now, in order: that a file is read, and that this is over."""
    said = []
    with contextlib.suppress(BlockingIOError):
        while True:
            said += manager.recv(1 << 16, socket.MSG_DONTWAIT).decode().split("\n")
    names = (line.partition("=")[0] for line in said)
    return [name for name in names if name in ("RELOADING", "MONOTONIC_USEC", "READY")]


def test_a_bad_file_changes_nothing_until_there_is_a_good_one(
    folder: Path, sidecar: Sidecar, manager: socket.socket
) -> None:
    """It is an alert, a metric, a line on the page and in the status; systemd hears that a file was read."""
    rules = folder / "rules.yaml"
    good = rules.read_text()
    heard(manager)
    rules.write_text(good.replace("every: 200ms", "evry: 200ms"))
    sidecar.hang_up()
    until(lambda: "ConfigRejected" in sidecar.firing)
    problem = f'{rules}:3:1: unknown key "evry" (did you mean "every"?)'
    assert sidecar.firing["ConfigRejected"]["evidence"] == {"problems": [problem]}
    assert sidecar.metric("watchdog_config_last_reload_successful") == 0.0
    assert problem in html.unescape(sidecar.get("/").text)
    assert sidecar.get("/api/v1/status").json()["configuration"]["problems"] == [problem]
    assert sidecar.get("/health/a").status_code == 200

    rules.write_text(good.replace("a: {", "c: {") + "listen: 127.0.0.1:1\n")
    assert sidecar.reload("nobody").status_code == 401
    answer = sidecar.reload(TOKEN).json()
    assert (answer["problems"], answer["at_restart"]) == ([], [])  # it listens where --listen said
    until(lambda: "ConfigRejected" not in sidecar.firing)
    assert sidecar.metric("watchdog_config_last_reload_successful") == 1.0
    assert [sidecar.get(f"/health/{name}").status_code for name in "ac"] == [404, 200]

    assert heard(manager) == 2 * ["RELOADING", "MONOTONIC_USEC", "READY"]
    (folder / "tokens").write_text(f"me: {TOKEN[::-1]}\n")
    until(lambda: sidecar.reload(TOKEN[::-1]).status_code == 200)
    assert sidecar.reload(TOKEN).status_code == 401


def test_many_hangups_cost_no_memory(folder: Path, sidecar: Sidecar) -> None:
    """Each is taken, no tick fails, and what is held in the end is what was held after the first few."""
    rules, held, before = folder / "rules.yaml", 0, len(sidecar.events("config_loaded"))
    good = rules.read_text()
    for number in range(25):
        rules.write_text(good.replace('"live"', f'"live{number}"'))
        sidecar.hang_up()
        until(partial(sidecar.has_loaded, before + number + 1))
        held = sidecar.memory if number == 10 else held
    assert sidecar.memory - held < 2_000
    assert sidecar.metric("watchdog_ticks_failed_total") == 0.0
    assert "ERROR" not in [
        line["level"].upper() for line in sidecar.logged if line["event"] != "config_rejected"
    ]
