"""The demo: a fault is named by exactly the alerts it deserves, and without one nothing is said."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest

from tests.process.conftest import watchdog
from watchdog.demo.faults import FAULTS

SAME_AS_G01 = "U01"
RUN = ["W01", "G01"]
RUNS = {"": "35s", "W01": "35s", "G01": "45s"}
"""With real processes; all others are lived through in tests/incident, most of them by hand."""


@pytest.fixture(scope="module")
def reports() -> dict[str, tuple[int, dict[str, Any]]]:
    """Run every fault, and the healthy twin, side by side; return exit status and report of each."""
    processes = {
        fault: subprocess.Popen(
            [
                *(sys.executable, "-m", "watchdog", "demo", "--for", duration, "--format", "json"),
                *(("--fault", fault) if fault else ()),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for fault, duration in RUNS.items()
    }
    said = {fault: process.communicate(timeout=150) for fault, process in processes.items()}
    for fault, (out, err) in said.items():
        assert (fault, len(out.splitlines()), err) == (fault, 1, "")
    return {fault: (processes[fault].returncode, json.loads(out)) for fault, (out, _) in said.items()}


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
