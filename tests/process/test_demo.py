"""The demo: a fault is named by exactly the alerts it deserves, and without one nothing is said."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.docs.commands import Typed, check, typed_on
from tests.docs.pages import DOCS, fences
from tests.process.conftest import until, watchdog
from watchdog.demo.faults import FAULTS
from watchdog.demo.server import free_port

SAME_AS_G01 = "U01"
RUN = ["W01", "G01"]
RUNS = {"": "35s", "W01": "5m", "G01": "45s"}
"""With real processes; all others are lived through in tests/incident, most of them by hand."""


LESSON = DOCS / "tutorial" / "first-outage.md"


@dataclass(frozen=True)
class Terminal:
    """The second terminal of the tutorial: in the folder of a demo, and with nothing but that."""

    folder: Path
    redis_port: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)

    def here(self, text: str) -> str:
        """Return *text* of the page with the folder that this demo has."""
        return re.sub(r"/tmp/watchdog-demo-\w+", str(self.folder), text)


@dataclass(frozen=True)
class Demos:
    """One demo for each fault, side by side, and where the sidecar of each listens."""

    processes: Mapping[str, subprocess.Popen[str]]
    ports: Mapping[str, int]

    def folder(self, fault: str) -> Path | None:
        """Return where the files of a demo are, once they are."""
        files = Path(tempfile.gettempdir()).glob("watchdog-demo-*/rules.yaml")
        place = f'listen: "127.0.0.1:{self.ports[fault]}"'
        return next((file.parent for file in files if place in file.read_text(encoding="utf-8")), None)


@pytest.fixture(scope="module")
def demos() -> Iterator[Demos]:
    """Run every fault, and the healthy twin."""
    ports = {fault: free_port() for fault in RUNS}
    processes = {
        fault: subprocess.Popen(
            [
                *(sys.executable, "-m", "watchdog", "demo", "--for", duration, "--format", "json"),
                *("--port", str(ports[fault])),
                *(("--fault", fault) if fault else ()),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for fault, duration in RUNS.items()
    }
    yield Demos(processes, ports)
    for process in processes.values():
        process.terminate()  # it takes its server, its pipeline and its files along
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def lesson(demos: Demos) -> str:
    """Follow the tutorial on the demo of W01 and end that with Ctrl-C; give what went wrong, if anything did."""
    problem = ""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WATCHDOG_TOKEN", "WATCHDOG_URL"):
            patch.delenv(name, raising=False)
        try:
            terminal = Terminal(until(lambda: demos.folder("W01"), 60))
            patch.chdir(terminal.folder)
            follow(terminal)
        except AssertionError as exc:
            problem = str(exc)
    demos.processes["W01"].send_signal(signal.SIGINT)
    return problem


@pytest.fixture(scope="module")
def reports(demos: Demos, lesson: str) -> dict[str, tuple[int, dict[str, Any]]]:
    """Return exit status and report of each."""
    said = {fault: process.communicate(timeout=150) for fault, process in demos.processes.items()}
    for fault, (out, err) in said.items():
        assert (fault, len(out.splitlines()), err) == (fault, 1, "")
    return {fault: (demos.processes[fault].returncode, json.loads(out)) for fault, (out, _) in said.items()}


def test_the_tutorial_can_be_followed(lesson: str) -> None:
    """Command for command, while the demo runs: what the page shows is what is printed."""
    assert lesson == ""


def follow(terminal: Terminal) -> None:
    """Type what the page says, in its order; AssertionError says which command does not do what it should."""
    for fence in fences(LESSON):
        for command in typed_on(fence.text, fence.language):
            if fence.mark == "in time":
                until(partial(works, terminal, command), 60, every=0.5)
            else:
                check(terminal, command, elsewhere=False)


def works(terminal: Terminal, command: Typed) -> bool:
    """Say whether *command* prints by now what the page shows."""
    try:
        check(terminal, command, elsewhere=False)
    except AssertionError:
        return False
    return True


def test_the_healthy_pipeline_raises_nothing(reports: dict[str, Any]) -> None:
    """Nothing expected, nothing detected, nothing unexpected."""
    status, report = reports[""]
    assert (status, report) == (
        0,
        {"fault": None, "broken_at": None, "expected": [], "detected": [], "unexpected": [], "ok": True},
    )


@pytest.mark.parametrize("fault", RUN)
def test_a_fault_is_named_by_exactly_its_alerts(reports: dict[str, Any], fault: str) -> None:
    """All that were expected, nothing else, within seconds."""
    status, report = reports[fault]
    assert (report["unexpected"], report["ok"], status) == ([], True, 0), report
    detected = {(found["alertname"], found["service"]) for found in report["detected"]}
    assert set(FAULTS[fault].expected) <= detected
    assert report["expected"] == list(dict.fromkeys(name for name, _ in FAULTS[fault].expected))
    assert all(0 < found["after_seconds"] < 50 for found in report["detected"])
    datetime.fromisoformat(report["broken_at"])


def test_the_cause_of_the_refusals_is_the_trainer(reports: dict[str, Any]) -> None:
    """G01: its own alerts have no cause and are told; every symptom names it and is held back."""
    _, report = reports["G01"]
    causes = {(found["service"], found["cause"]) for found in report["detected"]}
    assert causes == {("rl_trainer", None), ("apply_layer", "rl_trainer")}
    told = {found["service"] for found in report["detected"] if found["notified_after_seconds"] is not None}
    assert told == {"rl_trainer"}


def test_the_page_follows_the_alert_within_a_second(reports: dict[str, Any]) -> None:
    """W01: what fires is at the receiver at once."""
    _, report = reports["W01"]
    (found,) = (f for f in report["detected"] if f["alertname"] == "NoExecutions")
    assert found["notified_after_seconds"] - found["after_seconds"] < 2


def test_the_faults_are_listed() -> None:
    """With an id and a sentence each."""
    assert [line.split()[0] for line in watchdog("demo", "--list-faults").out.splitlines()] == list(FAULTS)


def test_the_two_names_of_one_break_are_one_break() -> None:
    """U01 is the unit's side of G01."""
    assert FAULTS[SAME_AS_G01].breaks is FAULTS["G01"].breaks
