"""The states in which a person finds the pages: each a sidecar with drawn readings, there in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from tests.drawn import T0, minutes
from tests.web.outage import Outage, outage
from watchdog.model import Reading
from watchdog.reader import SOURCE

PIPELINE = """
redis: {url: "redis://127.0.0.1:1", timeout: 500ms}
every: 30s
services:
  intent_bridge:
    heartbeat: {key: "quantum:svc:intent_bridge:heartbeat", ttl: 30s}
    consumes: {stream: "quantum:stream:trade.intent", group: "quantum:group:intent_bridge"}
    stream: {key: "quantum:stream:apply.plan"}
    settings: {file: /etc/quantum/intent_bridge.env}
  rl_feedback:
    heartbeat: {key: "quantum:svc:rl_feedback_v2:heartbeat", ttl: 30s}
  rl_trainer:
    heartbeat: {key: "quantum:svc:rl_trainer:heartbeat", ttl: 30s}
    unit: {name: quantum-rl-trainer.service}
  apply_layer:
    needs: [intent_bridge, rl_trainer, rl_feedback]
    consumes: {stream: "quantum:stream:apply.plan", group: apply_layer_entry}
    executions:
      stream: "quantum:stream:apply.result"
      success: {executed: true}
      reason: error
      input: "quantum:stream:apply.plan"
  execution:
    needs: [apply_layer]
    consumes: {stream: "quantum:stream:apply.result", group: "quantum:group:execution:trade.intent"}
    executions:
      stream: "quantum:stream:execution.result"
      success: {status: filled}
      reason: error
      input: "quantum:stream:apply.result"
    log: {path: /var/log/quantum/execution.log}
    health: {url: "http://127.0.0.1:8002/health"}
    rules:
      NoExecutions: {when: [executions.age > 30m, "executions.offered[30m] > 0"]}
      OneReason: {off: "rejections here come in waves of one reason"}
receivers:
  ops: {webhook: {url: "http://127.0.0.1:1/ops"}}
routes: [{to: [ops]}]
"""
LOG_ERRORS = {
    "new_errors": [
        "apply refused: risk_layer0_fail:<word> (48 times, first at 01:41:02Z): apply refused: "
        "risk_layer0_fail:heartbeat_missing plan_id=9f2c symbol=BTCUSDT"
    ],
    "top_errors": ["48 × apply refused: risk_layer0_fail:<word>", "3 × order <n> not acknowledged in <n> ms"],
    "last_error": "2026-02-19 02:14:58,201 | ERROR | execution | apply refused: risk_layer0_fail:heartbeat_missing",
    "format": "pipes",
}
UNIT_FAILS = {
    "culprit": "ExecStart=/opt/quantum/rl/train.sh is not executable (chmod +x /opt/quantum/rl/train.sh)",
    "last_lines": [
        "quantum-rl-trainer.service: Failed to locate executable /opt/quantum/rl/train.sh: Permission denied",
        "quantum-rl-trainer.service: Failed at step EXEC spawning /opt/quantum/rl/train.sh: Permission denied",
        "quantum-rl-trainer.service: Main process exited, code=exited, status=203/EXEC",
        "quantum-rl-trainer.service: Scheduled restart job, restart counter is at 30206.",
    ],
    "look": "systemctl status quantum-rl-trainer.service; journalctl -u quantum-rl-trainer.service -n 50",
}
Change = Callable[[Reading], Reading]


def seen_through(world: Outage, change: Change) -> Outage:
    """Have the sidecar of *world* see every reading as *change* makes it."""

    async def ask(_: Sequence[Any], now: datetime) -> list[Reading]:
        return [change(reading) for reading in world.readings()]

    world.sidecar.sources = [replace(source, ask=ask) for source in world.sidecar.sources]
    return world


# ---- the reference pipeline --------------------------------------------------------------------


def pipeline(dead_after: float) -> Outage:
    """Return the reference pipeline, whose trainer dies after so many minutes."""
    world = outage(T0, dead_after, PIPELINE)

    def change(reading: Reading) -> Reading:
        service, kind = reading.signal.service, reading.signal.kind
        if kind == "health":
            return replace(reading, values={"up": 1.0, "status": 200.0, "latency": 0.004})
        if world.dead and kind == "unit":
            return replace(reading, evidence=UNIT_FAILS)
        if (service, kind) == ("execution", "log"):
            return replace(reading, evidence=LOG_ERRORS if world.dead else {})
        return reading

    return seen_through(world, change)


async def healthy() -> Outage:
    """Return the pipeline after three quarters of an hour in which it worked."""
    world = pipeline(dead_after=1e6)
    await world.go_on(minutes(45))
    return world


async def incident() -> Outage:
    """Return the outage of the incident, 35 minutes after the trainer died."""
    world = pipeline(dead_after=40)
    await world.go_on(minutes(75))
    return world


async def blind() -> Outage:
    """Return a pipeline that worked until Redis was away."""
    world = pipeline(dead_after=1e6)
    await world.go_on(minutes(20))
    await redis_away(world)
    return world


async def redis_away(world: Outage) -> None:
    """Have Redis not answer, until it is known for certain."""
    seen_through(world, without_redis)
    await world.go_on(minutes(4))


def without_redis(reading: Reading) -> Reading:
    """Return *reading* as it is while Redis does not answer."""
    why = "redis://127.0.0.1:6379/0 does not answer: connection refused"
    if reading.signal.kind == "redis":
        return replace(reading, values={"up": 0.0}, counts={}, evidence={"error": why})
    if reading.signal.kind in ("unit", "log", "health", "settings"):
        return reading
    return Reading(reading.signal, reading.at, trouble=why, down=SOURCE)


def beginning() -> Outage:
    """Return the pipeline before the first look."""
    return pipeline(dead_after=1e6)


# ---- many, and hostile ones --------------------------------------------------------------------


def many_rules(count: int) -> str:
    """Return the rules of *count* services in lines of five, with five signals each."""
    lines = ['redis: {url: "redis://127.0.0.1:1", timeout: 500ms}', "every: 30s", "services:"]
    for n in range(count):
        name = service_name(n)
        lines += [
            f"  {name}:",
            *([f"    needs: [{service_name(n - 1)}]"] if n % 5 else []),
            f'    heartbeat: {{key: "quantum:svc:{name}:heartbeat", ttl: 30s}}',
            f'    consumes: {{stream: "quantum:stream:{name}.in", group: "{name}"}}',
            f'    stream: {{key: "quantum:stream:{name}.out", expect_every: 2m}}',
            f"    unit: {{name: {name}.service}}",
            f"    log: {{path: /var/log/quantum/{name}.log}}",
        ]
    return "\n".join(
        [*lines, 'receivers: {ops: {webhook: {url: "http://127.0.0.1:1/ops"}}}', "routes: [{to: [ops]}]\n"]
    )


def service_name(n: int) -> str:
    """Return the name of service *n* of many."""
    return f"strategy-{n:03}-{('momentum', 'reversion', 'market_making_with_a_long_name')[n % 3]}"


BROKEN = frozenset(map(service_name, (3, 40, 41, 77, 120, 161, 198)))


async def many(count: int = 200) -> Outage:
    """Return many services, seven of which do not beat."""
    world = outage(T0, 1e6, many_rules(count))

    def change(reading: Reading) -> Reading:
        key = reading.signal
        if key.kind == "heartbeat" and key.service in BROKEN:
            return replace(reading, values={**reading.values, "present": 0.0})
        return reading

    seen_through(world, change)
    await world.go_on(minutes(2))
    return world


EVIL = (
    '<img src=x onerror="window.__pwned=1"><script>window.__pwned=1</script>\'"><svg onload=window.__pwned=1>'
)
HOSTILE = f"""
redis: {{url: "redis://127.0.0.1:1", timeout: 500ms}}
every: 30s
services:
  'evil"><script>window.__pwned=1</script>': {{log: {{path: "/var/log/{"x" * 120}.log"}}}}
  "a_name_{"of_many_words_" * 8}": {{needs: ['evil"><script>window.__pwned=1</script>'], log: {{path: /b}}}}
  "javascript:window.__pwned=1": {{log: {{path: /c}}}}
  rl_trainer: {{unit: {{name: quantum-rl-trainer.service}}}}
rules:
  - {{alert: Bad, when: "log.errors[5m] > 0", severity: critical, summary: '{{service}} {EVIL.replace("'", "")}', runbook: "javascript:window.__pwned=1"}}
"""


async def hostile() -> Outage:
    """Return services all of whose names, summaries and evidence want to harm whoever reads them."""
    world = outage(T0, 3, HOSTILE)

    def change(reading: Reading) -> Reading:
        shown = {"last_error": EVIL * 3, "long": "w" * 900, EVIL: EVIL}
        bad = replace(reading, evidence=shown)
        away = reading.signal.labels.get("path") == "/c"
        return Reading(reading.signal, reading.at, trouble=EVIL) if away and world.dead else bad

    seen_through(world, change)
    await world.go_on(minutes(8))
    return world
