"""A sidecar with every kind of signal on a real server, and the programs the drop-ins are made for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from watchdog.clock import utc_now
from watchdog.config import parse
from watchdog.demo.server import EmbeddedServer, free_port, start_server, tethered
from watchdog.sidecar import Sidecar

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "prometheus"
DASHBOARD = ROOT / "grafana/dashboards/watchdog.json"
PACKAGES = {"prometheus": "prometheus", "promtool": "prometheus", "amtool": "prometheus-alertmanager"}
SYSTEMCTL = """#!/bin/sh
cat <<END
Id=worker.service
LoadState=loaded
ActiveState=active
SubState=running
Result=success
ExecMainStatus=0
NRestarts=0
ActiveEnterTimestamp=Thu 2026-02-19 01:00:00 UTC
UnitFileState=enabled
InvocationID=1
END
"""
RULES = """
redis: {{url: "{redis}"}}
every: 1s
state: "{directory}/watchdog.db"
services:
  worker:
    heartbeat: {{key: beat, ttl: 30s}}
    stream: {{key: results, expect_every: 1h, timestamp: at, fields: {{price: {{range: [1, 9]}}}}}}
    consumes: {{stream: work, group: workers}}
    executions: {{stream: results, success: {{status: filled}}, reason: error, input: work}}
    log: {{path: "{directory}/worker.log", expect_every: 1h, patterns: {{late: late}}}}
    unit: {{name: worker.service}}
    health: {{url: "http://127.0.0.1:{closed_port}/health"}}
    settings: {{file: "{directory}/worker.env", require: {{MODE: live}}}}
    flag: {{key: stop}}
  broken:
    needs: [worker]
    heartbeat: {{key: nobody_beats}}
    log: {{path: "{directory}/there is no such file"}}
rules:
  - {{alert: HeartbeatMissing, when: heartbeat.present == 0, severity: critical}}
receivers:
  ops: {{webhook: {{url: "http://127.0.0.1:{closed_port}/"}}}}
"""


def program(name: str) -> str:
    """Return the path of a program that a drop-in is made for; without it nothing here is worth a pass."""
    path = shutil.which(name)
    if path is None:
        pytest.fail(
            f"{name} is not installed, and the drop-ins are tested with it: apt-get install {PACKAGES[name]}"
        )
    return path


def run(name: str, *arguments: str | Path, stdin: bytes = b"") -> tuple[int, str]:
    """Run a program and return its exit status and all it said."""
    done = subprocess.run(
        tethered([program(name), *map(str, arguments)]),
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.decode()


@dataclass(frozen=True)
class Bench:
    """A pipeline of one worker, as its files and streams have it, and the sidecar that looks at it."""

    sidecar: Sidecar
    client: Any
    directory: Path

    def work(self) -> None:
        """Let something happen: offers, a success, a refusal, a beat, two lines in the log."""
        now = utc_now()
        self.client.set("beat", f"{now.timestamp():.0f}", ex=30)
        for result in ({"status": "filled", "price": "5"}, {"status": "rejected", "error": "no_position"}):
            self.client.xadd("work", {"symbol": "AAAUSDT"})
            self.client.xadd("results", {**result, "at": now.isoformat()})
        self.client.xreadgroup("workers", "one", {"work": ">"}, noack=True)
        with (self.directory / "worker.log").open("a", encoding="utf-8") as log:
            for level in ("INFO", "ERROR"):
                log.write(f"{now:%Y-%m-%d %H:%M:%S},000 | {level:<8} | worker | late\n")


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """An embedded server with a memory limit, so that there is a ratio to show."""
    with start_server(extra=["--maxmemory", "64mb"]) as started:
        yield started


@pytest.fixture
def bench(server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The sidecar before its first look, at a pipeline that has done some work."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "systemctl").write_text(SYSTEMCTL, encoding="utf-8")
    (tools / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    (tmp_path / "worker.env").write_text("MODE=dry_run\n", encoding="utf-8")
    client: Any = redis.Redis.from_url(server.url)
    client.flushall()
    client.xgroup_create("work", "workers", "0", mkstream=True)
    text = RULES.format(redis=server.url, directory=tmp_path, closed_port=free_port())
    made = Bench(Sidecar(parse(text), utc_now), client, tmp_path)
    made.work()
    return made


@dataclass(frozen=True)
class Query:
    """One query of the dashboard: whose, and what it asks once the variables are filled in."""

    panel: str
    expr: str


FILLED_IN = {"$service": ".*", "$worker": "worker", "$__rate_interval": "1m"}


def dashboard() -> Mapping[str, Any]:
    """Return the dashboard as it is in the repository."""
    loaded: Mapping[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return loaded


def queries() -> list[Query]:
    """Return every query of every panel, as Grafana would send it."""
    found = []
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            expr = target["expr"]
            for variable, value in FILLED_IN.items():
                expr = expr.replace(variable, value)
            found.append(Query(panel["title"], expr))
    return found


def alerting_rules() -> list[Mapping[str, Any]]:
    """Return the rules for Prometheus."""
    loaded = yaml.safe_load((PROMETHEUS / "rules/watchdog.yml").read_text(encoding="utf-8"))
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def metrics_in(text: str) -> set[str]:
    """Return the names of our metrics that *text*, an expression, asks for."""
    return set(re.findall(r"\bwatchdog_\w+", text))
