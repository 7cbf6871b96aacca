"""`watchdog run` as a process: what it serves, what may hang beside it, and how it ends."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from pytest_httpserver import HTTPServer

from tests.process.conftest import Running, Started, until, watchdog
from watchdog.demo.server import EmbeddedServer, start_server

Start = Callable[..., Running]
RULES = """
redis: {{url: "{redis}", timeout: 1s}}
every: 200ms
state: "{state}"
services:
  trainer:
    heartbeat: {{key: beat}}
  execution:
    needs: [trainer]
    consumes: {{stream: in, group: g}}
    executions: {{stream: out, success: {{status: filled}}, reason: error, input: in}}
    log: {{path: "{state}.log"}}
{more}
rules:
  - {{alert: HeartbeatMissing, when: heartbeat.present == 0, severity: critical}}
"""


@pytest.fixture
def write(server: EmbeddedServer, tmp_path: Path) -> Callable[..., Path]:
    """Write rules for the server."""

    def write(more: str = "", url: str = server.url) -> Path:
        (tmp_path / "state.log").write_text("2026-02-19 01:33:50,123 | INFO | a | started\n")
        path = tmp_path / "rules.yaml"
        path.write_text(RULES.format(redis=url, state=tmp_path / "state", more=more))
        return path

    return write


@pytest.fixture
def working(client: redis.Redis) -> redis.Redis:
    """A pipeline that works, on the server."""
    now = int(time.time() * 1000)
    client.set("beat", int(time.time()))
    client.xadd("in", {"a": "b"}, id=f"{now - 2000}-0")
    client.xgroup_create("in", "g", id="$")
    client.xadd("out", {"status": "filled"}, id=f"{now - 1000}-0")
    return client


@pytest.fixture
def hanging() -> Iterator[str]:
    """An address that accepts and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def seen(running: Running, service: str = "execution") -> bool:
    """Say whether everything of the service has been looked at; ready means that it was tried."""
    signals = running.get("/api/v1/status").json()["services"][service]["signals"]
    return bool(signals) and not any(signal.get("trouble") for signal in signals)


def alerts(running: Running) -> dict[str, dict[str, Any]]:
    """Return the alerts the sidecar shows, by name."""
    return {alert["labels"]["alertname"]: alert for alert in running.get("/api/v1/alerts").json()["alerts"]}


@pytest.fixture
def started(write: Callable[..., Path], working: redis.Redis) -> Iterator[Running]:
    """A sidecar as a user starts it."""
    sidecar = Started(write())
    yield sidecar
    sidecar.kill()


def test_it_serves_what_it_knows(working: redis.Redis, started: Running) -> None:
    """Liveness, readiness, a service's health by work done, status, alerts and metrics."""
    sidecar = started
    until(sidecar.ready)
    until(lambda: seen(sidecar))
    assert sidecar.get("/-/healthy").status_code == 200
    healthy = sidecar.get("/health/execution")
    assert (healthy.status_code, healthy.json()["status"], healthy.json()["alerts"]) == (200, "ok", [])
    assert sidecar.get("/health/nobody").status_code == 404
    status = sidecar.get("/api/v1/status").json()
    assert (status["status"], set(status["services"]), status["redis"]["up"]) == (
        "ok",
        {"trainer", "execution"},
        True,
    )
    assert sidecar.get("/api/v1/alerts").json()["alerts"] == []
    assert "execution" in sidecar.get("/").text

    working.delete("beat")
    until(lambda: "HeartbeatMissing" in alerts(sidecar))
    down = sidecar.get("/health/trainer")
    assert (down.status_code, down.json()["status"]) == (503, "critical")
    alert = alerts(sidecar)["HeartbeatMissing"]
    assert (alert["state"], alert["affects"], alert["cause"]) == ("firing", ["execution"], None)
    assert sidecar.get(f"/api/v1/alerts?fingerprint={alert['fingerprint']}").json()["alerts"] == [alert]
    took, log = sidecar.stop()
    assert took < 2
    assert [line["event"] for line in log] == ["started", "alert", "stopped"]
    assert (log[1]["state"], log[1]["alertname"]) == ("firing", "HeartbeatMissing")


def test_the_metrics_are_what_promtool_accepts(
    write: Callable[..., Path], working: redis.Redis, run: Start
) -> None:
    """Names, units and types; an unknown value is absent, and said to be unknown."""
    working.xadd("in", {"a": "b"})
    working.xdel("in", working.xadd("in", {"a": "b"}))
    working.set("beat", "no time at all", ex=30)
    sidecar = run(write())
    until(sidecar.ready)
    until(lambda: seen(sidecar))
    text = sidecar.get("/metrics").text
    promtool = shutil.which("promtool")
    assert promtool, "promtool is needed (apt-get install prometheus)"
    linted = subprocess.run(
        [promtool, "check", "metrics"], input=text, text=True, capture_output=True, check=False
    )
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")
    lines = text.splitlines()
    assert 'watchdog_heartbeat_present{key="beat",service="trainer"} 1.0' in lines
    assert 'watchdog_signal_known{key="beat",service="trainer",signal="heartbeat"} 0.0' in lines
    assert not any(line.startswith("watchdog_heartbeat_age_seconds{") for line in lines)
    assert 'watchdog_service_status{service="trainer",status="unknown"} 1.0' in lines
    assert 'watchdog_executions_offered_total{service="execution",stream="out"} 0.0' in lines  # from now on
    assert 'watchdog_consumes_lag{group="g",service="execution",stream="in"} 1.0' in lines  # Redis says NULL
    assert any(line.startswith("watchdog_executions_age_seconds{") for line in lines)
    assert 'watchdog_consumes_verdict{group="g",service="execution",stream="in",verdict="ok"} 1.0' in lines
    assert "watchdog_ready 1.0" in lines


def test_an_alert_and_its_end_arrive_at_the_receivers(
    write: Callable[..., Path], working: redis.Redis, run: Start, httpserver: HTTPServer
) -> None:
    """Through webhook and Slack, each in its own form, first the beginning, then the end."""
    httpserver.expect_request("/hook").respond_with_data("")
    httpserver.expect_request("/slack").respond_with_data("ok")
    receivers = (
        f'receivers:\n  hook: {{webhook: {{url: "{httpserver.url_for("/hook")}"}}}}\n'
        f'  ops: {{slack: {{url: "{httpserver.url_for("/slack")}"}}}}\n'
        "routes: [{severity: critical, to: [hook, ops]}]\n"
    )
    sidecar = run(write(receivers))
    until(sidecar.ready)
    working.delete("beat")
    until(lambda: len(httpserver.log) == 2)
    working.set("beat", int(time.time()))
    until(lambda: len(httpserver.log) == 4)
    sidecar.stop()
    bodies = [(request.path, request.get_json()) for request, _ in httpserver.log]
    hooks = [body for path, body in bodies if path == "/hook"]
    slacks = [body for path, body in bodies if path == "/slack"]
    assert [body["status"] for body in hooks] == ["firing", "resolved"]
    assert [body["text"].split(":")[0].partition(" after ")[0] for body in slacks] == [
        "🔴 CRITICAL",
        "✅ RESOLVED",
    ]


def test_what_hangs_delays_nobody_else(
    write: Callable[..., Path], working: redis.Redis, run: Start, hanging: str, tmp_path: Path
) -> None:
    """A health endpoint that never answers and a receiver that hangs: the heartbeat's loss is still told at once."""
    more = (
        f'  web:\n    health: {{url: "http://{hanging}/", timeout: 30s}}\n'
        f'receivers: {{hook: {{webhook: {{url: "http://{hanging}/", timeout: 30s}}}}}}\n'
    )
    sidecar = run(write(more))
    until(sidecar.ready)
    working.delete("beat")
    until(lambda: "HeartbeatMissing" in alerts(sidecar), within=15)  # of the 30 s the others hang

    def web() -> dict[str, Any]:
        found: dict[str, Any] = sidecar.get("/api/v1/status").json()["services"]["web"]
        return found

    assert web()["status"] == "unknown"
    until(lambda: web()["signals"])
    assert web()["signals"][0]["trouble"].startswith("no answer for ")
    assert sidecar.get("/health/web").status_code == 503
    took, log = sidecar.stop()
    assert took < 2
    assert "undelivered_at_stop" in [line["event"] for line in log]


def test_a_redis_that_hangs_is_down_and_the_process_still_ends(
    write: Callable[..., Path], run: Start, hanging: str
) -> None:
    """It accepts and never answers: unknown, one alert, a clean end within two seconds."""
    sidecar = run(write(url=f"redis://{hanging}/0"))
    until(lambda: _answers(sidecar) and "RedisDown" in alerts(sidecar))
    status = sidecar.get("/api/v1/status").json()
    assert (status["services"]["trainer"]["status"], set(alerts(sidecar))) == ("unknown", {"RedisDown"})
    assert sidecar.stop()[0] < 2


def _answers(sidecar: Running) -> bool:
    try:
        return sidecar.get("/api/v1/alerts").status_code == 200
    except httpx.TransportError:
        return False


def test_redis_going_away_blinds_and_coming_back_clears(
    write: Callable[..., Path], run: Start, tmp_path: Path
) -> None:
    """A firing alert stays, marked blind; nothing else is raised but that Redis is down."""
    with start_server() as first:
        with redis.Redis(port=first.port) as client:
            client.xgroup_create("in", "g", id="$", mkstream=True)
            client.xadd("out", {"status": "filled"})
        sidecar = run(write(url=first.url))
        until(
            lambda: _answers(sidecar) and alerts(sidecar).get("HeartbeatMissing", {}).get("state") == "firing"
        )
    until(lambda: alerts(sidecar)["HeartbeatMissing"]["state"] == "blind")
    until(lambda: "RedisDown" in alerts(sidecar))
    assert set(alerts(sidecar)) == {"HeartbeatMissing", "RedisDown"}
    with start_server(port=first.port) as second, redis.Redis(port=second.port) as client:
        client.set("beat", int(time.time()))
        client.xgroup_create("in", "g", id="$", mkstream=True)
        client.xadd("out", {"status": "filled"})
        until(lambda: alerts(sidecar)["HeartbeatMissing"]["state"] == "resolved")
        sidecar.stop()


def test_a_restart_remembers_the_last_success(
    write: Callable[..., Path], working: redis.Redis, run: Start
) -> None:
    """The result stream has forgotten it, the state file has not."""
    rules = write()
    sidecar = run(rules)
    until(sidecar.ready)
    until(lambda: seen(sidecar))
    sidecar.stop()
    working.xadd("out", {"status": "rejected", "error": "x"})
    working.xtrim("out", maxlen=1, approximate=False)
    again = run(rules)
    until(again.ready)
    until(lambda: seen(again))
    executions = again.get("/api/v1/status").json()["services"]["execution"]["signals"][1]
    again.stop()
    assert (executions["signal"], "age" in executions.get("bounds", {})) == ("executions", False)
    assert executions["values"]["age"] < 60


def test_a_port_in_use_is_one_sentence(write: Callable[..., Path], client: redis.Redis) -> None:
    """And a bad address as well."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = watchdog("run", "--rules", str(write()), "--listen", f"127.0.0.1:{port}")
    assert (ran.status, ran.err.splitlines()[-1]) == (
        1,
        f"cannot listen on 127.0.0.1:{port}: Address already in use (choose another with --listen)",
    )


def test_a_state_file_that_cannot_be_used_is_one_sentence(
    write: Callable[..., Path], tmp_path: Path, run: Start
) -> None:
    """In a place that is none, another program's, in use by a watchdog that runs."""
    rules, state = write(), tmp_path / "state"
    state.mkdir()
    folder = watchdog("run", "--rules", str(rules), "--listen", "127.0.0.1:0")
    assert os.listdir(state) == []
    state.rmdir()
    with sqlite3.connect(state) as other:
        other.execute("CREATE TABLE orders (id)")
    other.close()
    foreign = watchdog("run", "--rules", str(rules), "--listen", "127.0.0.1:0")
    state.unlink()
    first = run(rules)
    until(lambda: _answers(first))
    second = watchdog("run", "--rules", str(rules), "--listen", "127.0.0.1:0")
    first.stop()
    assert [(ran.status, ran.err.splitlines()[-1]) for ran in (folder, foreign, second)] == [
        (1, f"the state file {state} cannot be used: it is no file (see state: in rules.yaml)"),
        (1, f"the state file {state} is another program's database (name another file in state:)"),
        (
            1,
            f"the state file {state} belongs to a running watchdog (stop it, or name another file in state:)",
        ),
    ]


def test_a_state_file_that_cannot_be_read_is_set_aside_and_told(
    write: Callable[..., Path], working: redis.Redis, run: Start, httpserver: HTTPServer, tmp_path: Path
) -> None:
    """The watchdog runs, with a new file, and the first it says to everybody is that it lost the old one."""
    httpserver.expect_request("/hook").respond_with_data("")
    rules = write(f'receivers:\n  hook: {{webhook: {{url: "{httpserver.url_for("/hook")}"}}}}\n')
    (tmp_path / "state").write_bytes(b"not a database at all, but long enough to be taken for one" * 20)
    sidecar = run(rules)
    until(sidecar.ready)
    until(lambda: httpserver.log)
    [told] = httpserver.log[0][0].get_json()["alerts"]
    log = sidecar.stop()[1]
    [aside] = [found for found in tmp_path.iterdir() if ".corrupt-" in found.name]
    assert (told["labels"]["alertname"], told["labels"]["severity"]) == ("StateLost", "critical")
    assert json.loads(told["annotations"]["evidence"]) == {"set_aside": str(aside)}
    assert (log[0]["event"], log[0]["level"], log[0]["aside"]) == ("state_set_aside", "error", str(aside))
    assert aside.read_bytes() == b"not a database at all, but long enough to be taken for one" * 20
