"""A real Prometheus with the exported rules beside a real sidecar, and a real Alertmanager with the exported routes."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import yaml

from tests.dropins.conftest import program
from tests.notify.test_alertmanager import known, running
from watchdog.clock import utc_now
from watchdog.config import parse
from watchdog.demo.server import HOST, free_port, tethered
from watchdog.export.alertmanager import alertmanager_file
from watchdog.export.prometheus import rules_file
from watchdog.sidecar import Sidecar
from watchdog.web.app import build_app
from watchdog.web.server import WebServer, bind

WITHIN = 20.0
RULES = """
redis: {{url: "redis://127.0.0.1:1", timeout: 200ms}}
every: 200ms
state: "{directory}/watchdog.db"
services:
  worker:
    settings: {{file: "{directory}/worker.env", require: {{MODE: live}}}}
builtin_rules: off
rules:
  - {{alert: SettingsViolated, when: settings.violations > 0, severity: critical}}
  - {{alert: RedisDown, when: redis.up == 0}}
"""
Firing = frozenset[tuple[tuple[str, str], ...]]


class Both:
    """What the sidecar and Prometheus take for firing, each by its alerts' labels."""

    def __init__(self, sidecar: Sidecar, prometheus: httpx.AsyncClient, directory: Path) -> None:
        self.sidecar = sidecar
        self._prometheus = prometheus
        self._directory = directory

    def settings(self, text: str | None) -> None:
        """Write the worker's settings, or take them away."""
        path = self._directory / "worker.env"
        path.unlink() if text is None else path.write_text(text, encoding="utf-8")

    def ours(self) -> Firing:
        """Return the sidecar's alerts that fire, blind ones included."""
        return frozenset(tuple(sorted(a.labels.items())) for a in self.sidecar.alerts.values() if a.firing)

    async def theirs(self) -> Firing | None:
        """Return Prometheus' alerts that fire; None while it is not up."""
        try:
            answer = (await self._prometheus.get("alerts")).json()
        except (httpx.TransportError, ValueError):
            return None
        alerts = [alert for alert in answer["data"]["alerts"] if alert["state"] == "firing"]
        return frozenset(tuple(sorted(alert["labels"].items())) for alert in alerts)

    async def agree(self, names: set[str], so: Callable[[], bool] = lambda: True) -> None:
        """Wait until both say that just the alerts called *names* fire, by the same labels."""
        deadline = time.monotonic() + WITHIN
        while True:
            ours, theirs = self.ours(), await self.theirs()
            if ours == theirs and {dict(one)["alertname"] for one in ours} == names and so():
                return
            assert time.monotonic() < deadline, (names, ours, theirs)
            await asyncio.sleep(0.1)


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    """A sidecar that looks at a worker's settings, and a Prometheus with the same rules that scrapes it."""
    config = parse(RULES.format(directory=tmp_path))
    (tmp_path / "rules.yml").write_text(rules_file(config), encoding="utf-8")
    (tmp_path / "worker.env").write_text("MODE=live\n", encoding="utf-8")
    sidecar, listener = Sidecar(config, utc_now), bind(HOST, 0)
    web = WebServer(build_app(sidecar), listener)
    web.start()
    sidecar.start()
    target = f"{HOST}:{listener.getsockname()[1]}"
    scraping = {"job_name": "watchdog", "static_configs": [{"targets": [target]}]}
    every = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
    body = {"global": every, "rule_files": ["rules.yml"], "scrape_configs": [scraping]}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(body), encoding="utf-8")
    address = f"{HOST}:{free_port()}"
    command = [
        program("prometheus"),
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address={address}",
    ]
    silent = subprocess.DEVNULL
    with subprocess.Popen(tethered(command), stdin=silent, stdout=silent, stderr=silent) as process:
        async with httpx.AsyncClient(base_url=f"http://{address}/api/v1", timeout=5) as client:
            yield Both(sidecar, client, tmp_path)
        process.terminate()
    await web.stop()
    await sidecar.stop()


async def test_both_raise_and_end_the_same_alerts(both: Both) -> None:
    """Well but for Redis, broken, unseen (which ends nothing), well again."""
    await both.agree({"RedisDown"})
    both.settings("MODE=dry_run\n")
    await both.agree({"RedisDown", "SettingsViolated"})
    both.settings(None)
    seen = utc_now()

    def for_a_while() -> bool:
        states = {str(alert.state) for alert in both.sidecar.alerts.values() if alert.service == "worker"}
        return states == {"blind"} and utc_now() - seen > timedelta(seconds=3)

    await both.agree({"RedisDown", "SettingsViolated"}, for_a_while)
    both.settings("MODE=live\n")
    await both.agree({"RedisDown"})


def test_a_symptom_is_held_back_while_its_cause_fires(tmp_path: Path) -> None:
    """By a real Alertmanager: what needs the cause, be it through others, and nobody else."""
    chain = "services: {a: {heartbeat: {key: a}}, b: {needs: [a], heartbeat: {key: b}},"
    chain += " c: {needs: [b], heartbeat: {key: c}}, d: {heartbeat: {key: d}}}"
    with running(tmp_path, alertmanager_file(parse(chain))) as url:
        alerts = [
            {"labels": {"alertname": "Stopped", "service": service, "severity": severity}}
            for service, severity in (("a", "critical"), ("c", "critical"), ("d", "warning"))
        ]
        httpx.post(f"{url}/api/v2/alerts", json=alerts).raise_for_status()
        deadline = time.monotonic() + WITHIN
        inhibited: set[str] = set()
        while inhibited != {"c"}:
            assert time.monotonic() < deadline, inhibited
            found = known(url, alertname="Stopped")
            inhibited = {one["labels"]["service"] for one in found if one["status"]["inhibitedBy"]}
            time.sleep(0.1)
        assert {one["labels"]["service"] for one in found} == {"a", "c", "d"}
