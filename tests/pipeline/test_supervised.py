"""The whole pipeline as processes under the supervisor: healthy, and broken in three ways."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from watchdog.demo.layout import build_pipeline
from watchdog.demo.server import EmbeddedServer, free_port, start_server
from watchdog.demo.supervisor import Supervisor
from watchdog.demo.units import SupervisorError
from watchdog.pipeline import PORTS, names
from watchdog.pipeline.messages import body
from watchdog.pipeline.runtime import connect

from .conftest import eventually

pytestmark = pytest.mark.redis

RATE = 80.0  # ten times the demo's
NO_GRACE: Mapping[str, Mapping[str, str]] = {"apply_layer": {"RISK_BOOT_GRACE_SEC": "0.001"}}


@asynccontextmanager
async def pipeline(directory: Path, url: str, **settings: Mapping[str, str]) -> AsyncIterator[Supervisor]:
    """Run the pipeline with further *settings* for some of its services."""
    supervisor = build_pipeline(directory, url, rate=RATE, restart_seconds=0.1)
    for service, values in {**NO_GRACE, **settings}.items():
        with supervisor.env_files[service].open("a") as env:
            env.writelines(f"{key}={value}\n" for key, value in values.items())
    try:
        await supervisor.start()
        yield supervisor
    finally:
        await supervisor.stop()


def entries(redis: Any, stream: str, since: str = "-") -> list[dict[str, Any]]:
    """Return what the entries of a stream say."""
    return [body(fields) for _, fields in redis.xrange(stream, since)]


def last_id(redis: Any, stream: str) -> str:
    """Return from where on entries are new."""
    newest = redis.xrevrange(stream, count=1)
    return f"({newest[0][0]}" if newest else "-"


def fills(redis: Any, since: str = "-") -> int:
    """Return how many orders were filled."""
    return sum(
        result["status"] == "filled" and result["entry_price"] > 0 and result["position_size_usd"] > 0
        for result in entries(redis, names.EXECUTION_RESULT, since)
    )


def results(redis: Any, since: str = "-") -> Counter[str]:
    """Count the results by their explicit decision and the reason."""
    said = entries(redis, names.APPLY_RESULT, since)
    return Counter(f"{one.get('decision', '-')} {one.get('error', '')}".strip() for one in said)


def shapes(redis: Any) -> set[str]:
    """Return which shapes of apply.result have been seen."""
    return {shape_of(fields) for _, fields in redis.xrange(names.APPLY_RESULT)}


def shape_of(fields: Mapping[str, str]) -> str:
    """Name the shape of a result as incident/messages.md does."""
    if "details" in fields:
        return "5" if fields["executed"] == "true" else "5b"
    if "decision" in fields:
        return "1" if fields["decision"] == "SKIP" else "2"
    return "4" if "order_id" in fields else "3"


def health(supervisor: Supervisor, service: str) -> dict[str, Any]:
    """Return what a service says about itself."""
    with urllib.request.urlopen(f"http://127.0.0.1:{supervisor.ports[service]}/health") as answer:
        assert answer.status == 200
        said: dict[str, Any] = json.load(answer)
        return said


def caught_up(redis: Any) -> bool:
    """Say whether the execution service has read and acknowledged everything."""
    (group,) = (g for g in redis.xinfo_groups(names.APPLY_RESULT) if g["name"] == names.EXECUTION_GROUP)
    return (group["lag"], group["pending"]) == (0, 0)


LEVEL = re.compile(r"^[\d-]+ [\d:,]+ \| (\w+) ")


async def test_a_healthy_pipeline(directory: Path, server: EmbeddedServer, redis: Any) -> None:
    """One cycle of the mix shows every decision and shape, fills orders, skips most, and complains little."""
    async with pipeline(directory, server.url) as supervisor:
        await eventually(lambda: fills(redis) >= 8, "orders are filled")
        decisions = Counter(one.get("decision") for one in entries(redis, names.APPLY_RESULT))
        assert set(decisions) == {
            *("EXECUTE", "SKIP", "BLOCKED", "ERROR", "RECONCILE_CLOSE", "HALT", "DENIED", "REJECTED"),
            None,
        }
        assert shapes(redis) == {"1", "2", "3", "4", "5", "5b"}
        assert 0.9 < decisions["SKIP"] / decisions.total() < 0.96
        reasons = results(redis)
        assert {"SKIP duplicate_plan", "SKIP not_in_allowlist", "- no_position"} <= set(reasons)
        assert "EXECUTE risk_layer0_fail:heartbeat_missing" not in reasons

        assert {one["status"] for one in entries(redis, names.EXECUTION_RESULT)} == {"filled", "rejected"}
        for stream in (names.TRADE_EXECUTION_RES, names.EXITBRAIN_PNL, names.RL_REWARDS):
            await eventually(partial(redis.xlen, stream), f"{stream} is written")
        skipped = supervisor.logs["intent_bridge"].read_text()
        assert "Skip flat SELL: True" in skipped
        assert re.search(r"- INFO - Skip flat SELL \w+: no position", skipped)
        for service in PORTS:
            assert health(supervisor, service)["service"] == service
            assert health(supervisor, service)["last_execution"] is not None
            lines = supervisor.logs[service].read_text().splitlines()
            assert sum("ERROR" in line.replace("=ERROR", "") for line in lines) < 0.02 * len(lines)
            assert redis.pttl(names.heartbeat(service.replace("feedback", "feedback_v2"))) > 0
        await eventually(lambda: caught_up(redis), "nothing is pending")


async def test_w01_every_entry_parsed_as_an_order(
    directory: Path, server: EmbeddedServer, redis: Any
) -> None:
    """Every light is green, half of the lines are errors, nothing is filled; and it can be undone."""
    async with pipeline(directory, server.url) as supervisor:
        await eventually(lambda: fills(redis) >= 1, "orders are filled")
        await supervisor.set_setting("execution", "EXECUTION_PARSE_EVERY_ENTRY", "true")
        results_since, fills_since = (
            last_id(redis, names.APPLY_RESULT),
            last_id(redis, names.EXECUTION_RESULT),
        )
        lines_before = len(supervisor.logs["execution"].read_text().splitlines())
        await eventually(lambda: results(redis, results_since).total() > 100, "a cycle has passed")
        await eventually(lambda: caught_up(redis), "nothing is pending")

        assert fills(redis, fills_since) == 0
        lines = supervisor.logs["execution"].read_text().splitlines()[lines_before:]
        levels = Counter(found[1] for line in lines if (found := LEVEL.match(line)))
        assert levels["ERROR"] / levels.total() == pytest.approx(0.5, abs=0.02)
        missing = [line for line in lines if "missing 2 required positional arguments: 'action' and" in line]
        assert len(missing) > levels["ERROR"] / 2  # an entry that has an action lacks but one
        said = health(supervisor, "execution")
        assert (said["status"], said["last_execution"]) == ("ok", None)
        assert said["errors_last_hour"] >= 100

        await supervisor.set_setting("execution", "EXECUTION_PARSE_EVERY_ENTRY", "false")
        await eventually(lambda: fills(redis, fills_since) > 0, "orders are filled again")


async def test_g01_the_trainer_cannot_be_executed(
    directory: Path, server: EmbeddedServer, redis: Any
) -> None:
    """A script without its execute bit restarts for ever, its heartbeat expires, every order is refused."""
    async with pipeline(directory, server.url, rl_trainer={"HEARTBEAT_TTL_SEC": "1.5"}) as supervisor:
        await eventually(lambda: fills(redis) >= 1, "orders are filled")
        supervisor.scripts["rl_trainer"].chmod(0o644)
        await supervisor.kill("quantum-rl-trainer.service")
        await eventually(lambda: redis.get(names.KILL_SWITCH), "the kill switch is set")
        since, fills_since = last_id(redis, names.APPLY_RESULT), last_id(redis, names.EXECUTION_RESULT)
        refused = "EXECUTE risk_layer0_fail:heartbeat_missing"
        await eventually(lambda: results(redis, since)[refused] > 5, "orders are refused")
        assert {reason for reason in results(redis, since) if not reason.startswith("SKIP")} == {refused}
        assert fills(redis, fills_since) == 0

        looping = {"ActiveState": "activating", "SubState": "auto-restart", "ExecMainStatus": "203"}
        await eventually(
            lambda: looping.items() <= supervisor.unit_state("rl_trainer").items(), "the unit restarts"
        )
        assert supervisor.unit_state("rl_trainer")["Result"] == "exit-code"
        assert int(supervisor.unit_state("rl_trainer")["NRestarts"]) >= 3
        journal = supervisor.journal.read_text()
        for line in (
            "quantum-rl-trainer.service: Main process exited, code=killed, status=9/KILL",
            "quantum-rl-trainer.service: Main process exited, code=exited, status=203/EXEC",
            "quantum-rl-trainer.service: Scheduled restart job, restart counter is at 3.",
        ):
            assert re.search(
                rf"^\w{{3}} \d\d \d\d:\d\d:\d\d host systemd\[1\]: {re.escape(line)}$", journal, re.M
            )

        supervisor.scripts["rl_trainer"].chmod(0o755)
        await eventually(lambda: fills(redis, fills_since) > 0, "orders are filled again")
        assert redis.get(names.KILL_SWITCH) is None
        assert supervisor.unit_state("rl_trainer")["ActiveState"] == "active"


async def test_g20_flat_positions_are_sold(directory: Path, server: EmbeddedServer, redis: Any) -> None:
    """Without the skip the apply layer is flooded, and `no_position` is by far the most frequent reason."""
    async with pipeline(directory, server.url) as supervisor:
        await supervisor.set_setting("intent_bridge", "INTENT_BRIDGE_SKIP_FLAT_SELL", "false")
        since = last_id(redis, names.APPLY_RESULT)
        await eventually(lambda: results(redis, since)["- no_position"] > 100, "the flood has come")
        spoken = Counter({key: n for key, n in results(redis, since).items() if not key.startswith("SKIP")})
        assert spoken["- no_position"] / spoken.total() > 0.8
        assert "Skip flat SELL: False" in supervisor.logs["intent_bridge"].read_text()
        await eventually(lambda: fills(redis) > 0, "orders are filled nevertheless")


async def test_the_pipeline_survives_its_redis(directory: Path) -> None:
    """After a restart of Redis, which has forgotten everything, orders are filled as before."""
    with start_server() as first:
        from_before = connect_to(first)
        async with pipeline(directory, first.url) as supervisor:
            await eventually(lambda: fills(from_before) >= 1, "orders are filled")
            first.stop()
            await eventually(lambda: health(supervisor, "execution")["eventbus"] == "DOWN", "it is noticed")
            with start_server(port=first.port) as second:
                client = connect_to(second)
                await eventually(lambda: fills(client) >= 2, "orders are filled again")
                states = [supervisor.unit_state(service) for service in PORTS]
                assert [(state["ActiveState"], state["NRestarts"]) for state in states] == [
                    ("active", "0")
                ] * len(PORTS)


def connect_to(server: EmbeddedServer) -> Any:
    """Return a client of *server*."""
    return connect(server.url)


@pytest.mark.parametrize("service", ["execution", "rl_trainer"])
def test_a_service_ends_within_a_second(service: str, server: EmbeddedServer, tmp_path: Path) -> None:
    """SIGTERM ends a service cleanly, and its log says so."""
    log = tmp_path / "service.log"
    process = subprocess.Popen(
        [sys.executable, "-m", "watchdog.pipeline", service, "--redis", server.url, "--log", str(log)]
    )
    wait_for_line(log, "Connected to Redis")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=1.0) == 0
    assert "Stopped" in log.read_text().splitlines()[-1]


def wait_for_line(log: Path, text: str) -> None:
    """Return once *text* is in the log."""
    deadline = time.monotonic() + 10
    while not (log.exists() and text in log.read_text()):
        assert time.monotonic() < deadline, f"{text} is not in {log}"
        os.sched_yield()


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("EXECUTION_PARSE_EVERY_ENTRY=maybe", "EXECUTION_PARSE_EVERY_ENTRY=maybe: neither true nor false"),
        ("HEARTBEAT_TTL_SEC=0", "HEARTBEAT_TTL_SEC=0: not a positive number"),
        ("HEARTBEAT_TTL_SEC=long", "HEARTBEAT_TTL_SEC=long: not a number"),
    ],
)
def test_a_bad_setting_is_said(setting: str, complaint: str, tmp_path: Path) -> None:
    """A service that cannot use a setting does not start, and says which."""
    env = tmp_path / "execution.env"
    env.write_text(f"# settings\n{setting}\n")
    command = ["watchdog.pipeline", "execution", "--redis", "redis://127.0.0.1:1/0", "--env", str(env)]
    ended = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.endswith(f"| ERROR    | __main__ | Cannot start: {complaint}\n")


def test_an_unknown_unit_is_named(directory: Path) -> None:
    """A misspelt unit is an error that lists what there is."""
    supervisor = build_pipeline(directory, "redis://127.0.0.1:1/0")
    with pytest.raises(SupervisorError, match=r"no unit nope \(there are: quantum-rl-trainer\.service, "):
        supervisor.unit_state("nope")


async def test_a_unit_stopped_by_hand(directory: Path, server: EmbeddedServer, redis: Any) -> None:
    """A stopped unit is inactive though enabled, and comes back with its counter at zero."""
    async with pipeline(directory, server.url) as supervisor:
        await supervisor.stop_unit("rl_feedback")
        state = supervisor.unit_state("rl_feedback")
        assert (state["ActiveState"], state["SubState"], state["UnitFileState"]) == (
            "inactive",
            "dead",
            "enabled",
        )
        await supervisor.kill("rl_trainer")
        await eventually(lambda: supervisor.unit_state("rl_trainer")["NRestarts"] == "1", "it is restarted")
        await supervisor.restart("rl_trainer")
        await supervisor.start_unit("rl_feedback")
        for service in ("rl_trainer", "rl_feedback"):
            state = supervisor.unit_state(service)
            assert (state["ActiveState"], state["NRestarts"]) == ("active", "0")
            assert re.fullmatch(r"\w{3} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", state["ActiveEnterTimestamp"])


def test_ports_are_free() -> None:
    """A free port lies where the kernel does not put its clients."""
    assert free_port() < 32_000
