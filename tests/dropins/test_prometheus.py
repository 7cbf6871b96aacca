"""The files for Prometheus and Alertmanager, by their own tools, and against what the sidecar exports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from watchdog.clock import utc_now
from watchdog.config import parse
from watchdog.sidecar import Sidecar
from watchdog.web.metrics import render

from .conftest import PROMETHEUS, Bench, alerting_rules, dashboards, metrics_in, queries, run

FILES = {
    "config": ("promtool", "check", "config", PROMETHEUS / "prometheus.yml"),
    "rules": ("promtool", "check", "rules", PROMETHEUS / "rules/watchdog.yml"),
    "rule tests": ("promtool", "test", "rules", PROMETHEUS / "tests/watchdog_test.yml"),
    "alertmanager": ("amtool", "check-config", PROMETHEUS / "alertmanager.yml"),
}


@pytest.mark.parametrize("command", FILES.values(), ids=FILES)
def test_their_own_tools_accept_the_files(command: tuple[str, str | Path]) -> None:
    """What is handed out loads as it is, and the rules do what their tests draw."""
    status, said = run(*map(str, command))
    assert status == 0, said


def test_each_alert_says_what_a_person_needs() -> None:
    """Severity, how long, one sentence, an explanation, and the runbook of that very alert."""
    for rule in alerting_rules():
        name, annotations = rule["alert"], rule["annotations"]
        assert rule["labels"]["severity"] in ("critical", "warning"), name
        assert "for" in rule, name
        assert annotations["summary"], name
        assert annotations["description"], name
        assert annotations["runbook_url"].endswith(f"/docs/runbooks/{name}.md"), name


def test_each_alert_is_tested_to_come_and_to_stay_away() -> None:
    """No rule without a picture of its silence and of its noise."""
    tests = (PROMETHEUS / "tests/watchdog_test.yml").read_text(encoding="utf-8")
    for rule in alerting_rules():
        name = rule["alert"]
        assert f"alertname: {name}, exp_alerts: []" in tests, f"{name} is not tested to stay quiet"
        assert f"alertname: {name}\n" in tests, f"{name} is not tested to fire"


RARE = {
    "watchdog_self_set_aside_seconds",
    "watchdog_consumes_time_to_loss_seconds",
    "watchdog_shards",
    "watchdog_pair_role",
    "watchdog_signs_of_life_total",
    "watchdog_traces_exported_total",
}
"""Only there after the state file was broken, while a group is about to lose entries, and where it is asked for."""


@pytest.fixture
async def exposition(bench: Bench) -> AsyncIterator[bytes]:
    """What a sidecar exports after a look at everything there is to look at."""
    bench.client.set("stop", "1")
    await bench.sidecar.fleet.discover(utc_now())
    await bench.sidecar.tick(utc_now())
    while len(bench.sidecar.history.latest) < len(bench.sidecar.fleet.figures):  # some are slow to look at
        await asyncio.sleep(0.1)
        await bench.sidecar.tick(utc_now())
    yield render(bench.sidecar)
    await bench.sidecar.fleet.close()


async def test_every_metric_that_is_asked_for_exists(exposition: bytes) -> None:
    """No rule, panel or variable asks for a metric that nobody exports: that one could never fire."""
    boards = dashboards().values()
    variables = [str(var.get("definition", "")) for board in boards for var in board["templating"]["list"]]
    asked = "\n".join(
        [*(r["expr"] for r in alerting_rules()), *(q.expr for q in queries(boards)), *variables]
    )
    lines = exposition.decode().splitlines()
    exported = {line.partition("{")[0].partition(" ")[0] for line in lines if not line.startswith("#")}
    assert metrics_in(asked) - exported - RARE == set()


async def test_promtool_finds_nothing_to_say_about_the_metrics(exposition: bytes) -> None:
    """Names, types and help texts are as the linter wants them."""
    assert run("promtool", "check", "metrics", stdin=exposition) == (0, "")


def test_a_sidecar_before_its_first_tick_is_linted_as_well() -> None:
    """The page that Prometheus sees first has all of the sidecar's own metrics."""
    idle = Sidecar(parse("services: {a: {heartbeat: {key: k}}}"), lambda: datetime(2026, 2, 19, tzinfo=UTC))
    exported = render(idle)
    assert run("promtool", "check", "metrics", stdin=exported) == (0, "")
    assert b"\nwatchdog_last_tick_timestamp_seconds 0.0\n" in exported
