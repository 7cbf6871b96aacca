"""The template, installed as a user would: its signal and its receiver are there like any of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.plugins.conftest import TEMPLATE
from watchdog.demo.server import start_server

RULES = """
redis: {{url: "{url}"}}
services:
  orders:
    queue: {{key: "orders:todo", timestamp: ts}}
    rules:
      TooMany: {{when: queue.length > 2}}
rules:
  - {{alert: TooMany, when: queue.length > 100, summary: "{{service}}: {{queue.length}} in {{key}}"}}
receivers:
  phone: {{ntfy: {{url: "http://127.0.0.1:9/", topic: trading}}}}
"""
COMMANDS = (
    "check --rules-in-force",
    "check --connect",
    "audit --format json",
    "explain signal queue",
    "explain measure queue.age",
    "explain receiver ntfy",
    "export schema",
    "export prometheus",
)
ALL = f"""
import json, sys
from typer.testing import CliRunner
from watchdog.cli import app
import watchdog.commands.table as table
ran = {{}}
for line in {COMMANDS!r}:
    words = line.split()
    told = [] if words[0] == "explain" or words[-1] == "schema" else ["--rules", sys.argv[1]]
    found = CliRunner().invoke(app, [*words, *told], env={{"COLUMNS": "200"}})
    ran[line] = [found.exit_code, found.stdout, found.stderr, repr(found.exception)]
from watchdog.audit import audit
from watchdog.clock import utc_now
from watchdog.config import load
from watchdog.web.measures import signal_pieces
ran["metrics"] = [0, "".join(signal_pieces(audit(load(sys.argv[1]), utc_now()))), "", ""]
print(json.dumps(ran))
"""


@pytest.fixture(scope="module")
def ran(template: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Run every command once, in one process that has the template, on a server with a list of work."""
    folder = tmp_path_factory.mktemp("orders")
    with start_server() as server:
        client = redis.Redis.from_url(server.url)
        client.lpush("orders:todo", *['{"ts": "2026-02-19T01:50:00Z"}'] * 3)
        rules = folder / "rules.yaml"
        rules.write_text(RULES.format(url=server.url))
        told = subprocess.run(
            [sys.executable, "-c", ALL, str(rules)],
            env={**os.environ, "PYTHONPATH": str(template)},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        client.close()
    assert told.returncode == 0, told.stderr
    found: dict[str, list[Any]] = json.loads(told.stdout)
    return found


SAID = {
    "check --rules-in-force": [
        'orders: QueueStuck (critical, built in): queue.age > 5m for 1m  key="orders:todo"',
        'orders: TooMany (warning, file): queue.length > 2  key="orders:todo"',
        "ok: 1 services",
    ],
    "check --connect": ["there        orders: queue: needs no key to be there"],
    "explain signal queue": ["Tells how much waits in a list", "timestamp", "QueueStuck", "age"],
    "explain measure queue.age": ["For how long the oldest item has waited", "watchdog_queue_age_seconds"],
    "explain receiver ntfy": ["Publishes to a topic of ntfy", "topic"],
    "export schema": ['"queue"', '"ntfy"', "the topic that phones subscribe to"],
    "export prometheus": ["watchdog_queue_age_seconds", "QueueStuck"],
    "metrics": [
        "# HELP watchdog_queue_age_seconds For how long the oldest item has waited, 0 if none waits",
        'watchdog_queue_length{key="orders:todo",service="orders"} 3',
    ],
}


@pytest.mark.parametrize("command", SAID)
def test_a_foreign_signal_is_there_like_any_of_ours(ran: dict[str, list[Any]], command: str) -> None:
    """Each command knows it by its words, its rules by their names, and its values by their metrics."""
    status, out, err, failure = ran[command]
    assert status == 0, (err, failure)
    for said in SAID[command]:
        assert said in out


def test_an_audit_judges_a_foreign_signal(ran: dict[str, list[Any]]) -> None:
    """Its value is under its service, and the rule that it brings along fires beside that of the file."""
    status, out, err, _ = ran["audit --format json"]
    assert status == 2, err
    found = json.loads(out)
    (signal,) = (one for one in found["services"]["orders"]["signals"] if one["signal"] == "queue")
    assert signal["values"]["length"] == 3
    told = {alert["labels"]["alertname"]: alert["summary"] for alert in found["alerts"]}
    assert told["TooMany"] == "orders: 3 in orders:todo"
    assert told["QueueStuck"].startswith("orders leaves work in orders:todo: 3 items, the oldest for ")


def test_the_template_passes_its_own_tests(template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an author copies begins green."""
    monkeypatch.syspath_prepend(str(template))
    found: dict[str, Any] = {}
    source = (TEMPLATE / "tests" / "test_contract.py").read_text()
    exec(compile(source, "test_contract.py", "exec"), found)
    tests = [test for name, test in found.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()
