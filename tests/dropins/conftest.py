"""A sidecar with every kind of signal on a real server, and the programs the drop-ins are made for."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from watchdog.clock import utc_now
from watchdog.config import parse
from watchdog.demo.server import HOST, EmbeddedServer, free_port, start_server, tethered
from watchdog.sidecar import Sidecar
from watchdog.traceparent import Traceparent

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "prometheus"
DASHBOARDS = ROOT / "grafana/dashboards"
PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "amtool": "prometheus-alertmanager",
    "docker-compose": "docker-compose",
}
SYSTEMCTL = """#!/bin/sh
for name; do
case $name in *.service) kind="SubState=running
UnitFileState=enabled"; echo;; *.timer) kind="SubState=waiting
UnitFileState=enabled
LastTriggerUSec=$(date -u '+%a %Y-%m-%d %H:%M:%S UTC')
NextElapseUSecRealtime=$(date -u -d '+1 hour' '+%a %Y-%m-%d %H:%M:%S UTC')
AccuracyUSec=1min"; echo;; *) continue;; esac
cat <<END
Id=$name
LoadState=loaded
ActiveState=active
Result=success
ExecMainStatus=0
NRestarts=0
ActiveEnterTimestamp=Thu 2026-02-19 01:00:00 UTC
InvocationID=1
$kind
END
done
"""
RULES = """
redis: {{url: "{redis}"}}
every: 1s
state: "{directory}/watchdog.db"
discover: {{streams: "found:*", heartbeats: "beats:{{service}}"}}
services:
  worker:
    heartbeat:
      - {{key: beat, ttl: 30s}}
      - {{key: progress, expect_success: 1h}}
    stream:
      - {{key: results, expect_every: 1h, timestamp: at, fields: {{price: {{range: [1, 9]}}}}}}
      - {{key: ticker}}
    consumes: {{stream: work, group: workers}}
    executions:
      stream: results
      success: {{status: filled}}
      reason: error
      ignore: {{status: skipped}}
      decision: {{field: status, of: [filled], varies: true}}
      never: [impossible]
      fields: {{price: {{range: [1, 9]}}}}
      timestamp: at
      at_most: 10000/1h
      expect_every: 1h
      input: {{stream: work, all_answered: true}}
    trace: {{stages: {{work: work, done: results}}, at_most: 1h}}
    log: {{path: "{directory}/worker.log", expect_every: 1h, patterns: {{late: late}}}}
    unit: [{{name: worker.service}}, {{name: worker.timer, expect_every: 1d}}]
    health: {{url: "{url}", numbers: [waiting]}}
    command: {{run: [/bin/sh, -c, "echo 'OK | load=0.5;1;2'"]}}
    settings: {{file: "{directory}/worker.env", baseline: "{directory}/worker.env", require: {{MODE: live}}}}
    flag: {{key: stop}}
    rules:
      NoExecutions: {{when: [executions.age > 30m, "executions.offered[30m] > 0"]}}
  broken:
    needs: [worker]
    heartbeat: {{key: nobody_beats}}
    log: {{path: "{directory}/there is no such file"}}
rules:
  - {{alert: HeartbeatMissing, when: heartbeat.present == 0, severity: critical}}
  - {{alert: Late, when: "log.matches.late[5m] > 1000000", severity: warning}}
  - {{alert: Skewed, when: stream.skew > 1h, severity: warning}}
  - {{alert: Queue, when: health.body.waiting > 100, severity: warning}}
  - {{alert: Load, when: command.perf.load > 90, severity: warning}}
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
        self.client.set("beats:found", f"{now.timestamp():.0f}")
        self.client.set(
            "progress",
            json.dumps({"at": now.isoformat(), "last_success": now.isoformat(), "done": 3, "failed": 0}),
        )
        self.client.xadd("found:stream", {"symbol": "AAAUSDT"})
        for result in ({"status": "filled", "price": "5"}, {"status": "rejected", "error": "no_position"}):
            trace = {"traceparent": str(Traceparent(secrets.token_hex(16), secrets.token_hex(8)))}
            self.client.xadd("work", {"symbol": "AAAUSDT", **trace})
            self.client.xadd("results", {**result, "at": now.isoformat(), **trace})
        self.client.xreadgroup("workers", "one", {"work": ">"}, noack=True)
        with (self.directory / "worker.log").open("a", encoding="utf-8") as log:
            for level in ("INFO", "ERROR"):
                log.write(f"{now:%Y-%m-%d %H:%M:%S},000 | {level:<8} | worker | late\n")


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """An embedded server with a memory limit, so that there is a ratio to show."""
    with start_server(extra=["--maxmemory", "64mb"]) as started:
        yield started


class Well(BaseHTTPRequestHandler):
    """An endpoint that is always well."""

    def do_GET(self) -> None:
        """Say so."""
        body = b'{"status": "ok", "waiting": 3}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing more."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of an endpoint that is well."""
    listening = ThreadingHTTPServer((HOST, 0), Well)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    yield f"http://{HOST}:{listening.server_port}/health"
    listening.shutdown()
    thread.join()
    listening.server_close()


@pytest.fixture
def bench(server: EmbeddedServer, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
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
    for hours in range(240, 0, -6):  # long enough for its usual gap to be learnt
        client.xadd("ticker", {"price": "5"}, id=int((utc_now().timestamp() - hours * 3600) * 1000))
    client.xgroup_create("found:stream", "finders", "0", mkstream=True)
    text = RULES.format(redis=server.url, directory=tmp_path, closed_port=free_port(), url=endpoint)
    made = Bench(Sidecar(parse(text), utc_now), client, tmp_path)
    made.work()
    return made


Board = Mapping[str, Any]


@dataclass(frozen=True)
class Query:
    """One query of a dashboard: whose, and what it asks once the variables are filled in."""

    panel: str
    expr: str


FILLED_IN = {
    "$service": ".*",
    "$stream": ".*",
    "$group": ".*",
    "$worker": "worker",
    "$__rate_interval": "1m",
    "$__range": "5m",
}


def dashboards() -> dict[str, Board]:
    """Return the dashboards as they are in the repository, by the names of their files."""
    files = sorted(DASHBOARDS.glob("*.json"))
    return {file.name: json.loads(file.read_text(encoding="utf-8")) for file in files}


def panels_of(board: Board) -> list[Board]:
    """Return all panels but the headings of rows; those that are folded away as well."""
    shown = [one for one in board["panels"] if one["type"] != "row"]
    return shown + [one for row in board["panels"] if row["type"] == "row" for one in row["panels"]]


def queries(boards: Iterable[Board]) -> list[Query]:
    """Return every query of every panel, as Grafana would send it."""
    found = []
    for board in boards:
        fixed = {
            f"${{{v['name']}:raw}}": v["query"]
            for v in board["templating"]["list"]
            if v["type"] == "constant"
        }
        asked = [(one["title"], target["expr"]) for one in panels_of(board) for target in one["targets"]]
        for title, expr in asked:
            found.append(Query(f"{board['title']}: {title}", _filled_in(expr, {**fixed, **FILLED_IN})))
    return found


def _filled_in(expr: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        expr = expr.replace(name, value)
    return expr


def alerting_rules() -> list[Mapping[str, Any]]:
    """Return the rules for Prometheus."""
    loaded = yaml.safe_load((PROMETHEUS / "rules/watchdog.yml").read_text(encoding="utf-8"))
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def metrics_in(text: str) -> set[str]:
    """Return the names of our metrics that *text*, an expression, asks for."""
    return set(re.findall(r"\bwatchdog_\w+", text))
