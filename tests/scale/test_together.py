"""Two shards, one Redis, one real Alertmanager: a cause at one and its symptom at the other are one notification."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import redis
import yaml
from pytest_httpserver import HTTPServer

from tests.notify.test_alertmanager import known, running
from watchdog.clock import utc_now
from watchdog.config import parse
from watchdog.demo.server import EmbeddedServer, start_server
from watchdog.dividing import share
from watchdog.export.alertmanager import alertmanager_file
from watchdog.shards import Shard
from watchdog.sidecar import Sidecar
from watchdog.state import StateFile
from watchdog.web.app import build_app
from watchdog.web.metrics import render

WITHIN = 20.0
RULES = """
redis: {{url: "{redis}", timeout: 500ms}}
every: 100ms
heartbeat: {{key: "watchdog:alive", ttl: 4s}}
builtin_rules: off
services:
  feeder: {{heartbeat: {{key: feeder}}}}
  orders: {{needs: [feeder], heartbeat: {{key: orders}}}}
rules:
  - {{alert: HeartbeatMissing, when: heartbeat.present == 0, severity: critical}}
  - {{alert: RedisDown, when: redis.up == 0, severity: critical}}
receivers: {{am: {{alertmanager: {{url: "{alertmanager}", resend: 1s}}}}}}
"""
"""Of two shards the first has `redis` and `orders`, the second has `feeder`."""


def quick(config: str, hook: str) -> str:
    """Return what `watchdog export alertmanager` says, told to a webhook and without its waiting times."""
    body = yaml.safe_load(config)
    body["route"] |= {"receiver": "hook", "group_wait": "2s", "group_interval": "1s", "routes": []}
    body["receivers"] = [{"name": "hook", "webhook_configs": [{"url": hook}]}]
    return yaml.safe_dump(body)


@dataclass
class Two:
    """Both shards, what they look at, and what came out behind Alertmanager."""

    shards: list[Sidecar]
    server: EmbeddedServer
    alertmanager: str
    hook: HTTPServer

    def told(self) -> list[tuple[str, str, str]]:
        """Return every notification: of what, of whom, and whether it fires."""
        bodies = [json.loads(request.data) for request, _ in self.hook.log]
        return [(b["groupLabels"]["alertname"], b["groupLabels"]["service"], b["status"]) for b in bodies]

    async def until(self, holds: Callable[[], Any]) -> None:
        """Wait until *holds* does."""
        deadline = time.monotonic() + WITHIN
        while not await asyncio.to_thread(holds):
            assert time.monotonic() < deadline, (self.told(), [list(s.alerts) for s in self.shards])
            await asyncio.sleep(0.05)

    def known(self) -> dict[str, bool]:
        """Return the alerts Alertmanager takes for firing by what they are about, and which it holds back."""
        alerts = known(self.alertmanager)
        return {
            a["labels"].get("key", a["labels"]["alertname"]): bool(a["status"]["inhibitedBy"]) for a in alerts
        }


@asynccontextmanager
async def two(directory: Path, hook: HTTPServer) -> AsyncIterator[Two]:
    """Run Redis, Alertmanager with the exported routes, and both shards."""
    hook.expect_request("/").respond_with_data("")
    with start_server() as server:
        text = RULES.format(redis=server.url, alertmanager="http://127.0.0.1:1")
        with running(directory, quick(alertmanager_file(parse(text)), hook.url_for("/"))) as url:
            config = parse(RULES.format(redis=server.url, alertmanager=url))
            found = []
            for number in (1, 2):
                state = StateFile(str(directory / f"{number}.db"), utc_now)
                found.append(Sidecar(share(config, Shard(number, 2)), utc_now, state))
            with redis.Redis.from_url(server.url) as client:
                client.mset({"feeder": "1", "orders": "1"})
            for sidecar in found:
                sidecar.start()
            try:
                yield Two(found, server, url, hook)
            finally:
                for sidecar in found:
                    await sidecar.stop()


async def test_a_cause_elsewhere_holds_its_symptoms_back_and_a_lost_shard_is_told_by_its_neighbour(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    """What `export alertmanager` writes does across shards what each of them does for its own services."""
    async with two(tmp_path, httpserver) as world:
        with redis.Redis.from_url(world.server.url) as client:
            await world.until(lambda: client.exists("watchdog:alive:1", "watchdog:alive:2") == 2)
            client.delete("feeder", "orders")
            await world.until(lambda: world.known() == {"feeder": False, "orders": True})
            await world.until(lambda: world.told() == [("HeartbeatMissing", "feeder", "firing")])
            client.mset({"feeder": "1", "orders": "1"})
            await world.until(lambda: world.told()[1:] == [("HeartbeatMissing", "feeder", "resolved")])

            lost = world.shards.pop()
            await lost.stop()  # its neighbour misses its heartbeat within its `ttl`
            await world.until(lambda: world.told()[2:] == [("HeartbeatMissing", "watchdog", "firing")])
        assert world.known() == {"watchdog:alive:2": False}

    labels = [{dict(labels)["alertname"] for labels in shard.alerts} for shard in world.shards]
    assert labels == [{"HeartbeatMissing"}]


def asked(sidecar: Sidecar, path: str) -> httpx.Response:
    """Ask what *sidecar* serves."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(build_app(sidecar))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9821") as client:
            return await client.get(path)

    return asyncio.run(ask())


def test_a_shard_says_which_one_it_is_and_whose_a_service_is() -> None:
    """On its page, among its metrics, and to a probe: what others watch is not well here, it is not here."""
    config = parse(RULES.format(redis="redis://127.0.0.1:1", alertmanager="http://127.0.0.1:1"))
    sidecar = Sidecar(share(config, Shard(1, 2)), utc_now)
    asyncio.run(sidecar._tick_safely())
    assert 'watchdog_shards{shard="1"} 2.0\n' in render(sidecar).decode()
    elsewhere = asked(sidecar, "/health/feeder")
    assert (elsewhere.status_code, elsewhere.json()) == (
        404,
        {"error": "this service is watched by shard 2 of 2"},
    )
    assert asked(sidecar, "/health/nobody").json() == {"error": "there is no such service"}
    assert asked(sidecar, "/health/orders").status_code == 503  # Redis is away
    assert "shard 1 of 2: 1 of 2 services" in asked(sidecar, "/").text
    assert "shard 2 of 2 watches it" in asked(sidecar, "/services/feeder").text
    whole = Sidecar(config, utc_now)
    assert "watchdog_shards" not in render(whole).decode()
