"""Ready means: the last tick is young, and the outbox moves."""

from __future__ import annotations

import socket
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from watchdog.clock import utc_now
from watchdog.config import parse
from watchdog.fitness import STUCK
from watchdog.sidecar import Sidecar
from watchdog.web.app import build_app

RULES = """
redis: redis://127.0.0.1:1
services: {a: {log: {path: "%s"}}}
receivers: {hook: {webhook: {url: "http://127.0.0.1:%d/"}}}
rules: [{alert: Quiet, when: log.lines[5m] == 0, severity: critical}]
"""


class Hands:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.time = utc_now()

    def now(self) -> datetime:
        """Return what the hands show."""
        return self.time


def nobody_listens() -> int:
    """Return a port that refuses."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port: int = closed.getsockname()[1]
        return port


async def test_ready_falls_when_ticks_stop_or_nothing_is_taken(tmp_path: Path) -> None:
    """Each for its own reason; a stuck outbox does not make what was seen untrue."""
    (tmp_path / "log").touch()
    clock = Hands()
    began = clock.time
    sidecar = Sidecar(parse(RULES % (tmp_path / "log", nobody_listens())), clock.now)
    transport = httpx.ASGITransport(build_app(sidecar))
    async with httpx.AsyncClient(transport=transport, base_url="http://sidecar") as client:
        assert (await client.get("/-/ready")).text == "not ready: last tick never\n"
        await sidecar._tick_safely()
        assert ((await client.get("/-/ready")).status_code, sidecar.outbox.depth("hook")) == (200, 1)
        assert (await client.get("/health/a")).status_code == 503
        clock.time = began + timedelta(seconds=30)
        assert (await client.get("/-/ready")).text.startswith("not ready: last tick 2")
        assert (await client.get("/health/a")).json()["why"] == "no recent look"
        clock.time = began + STUCK + timedelta(seconds=1)
        await sidecar._tick_safely()
        stuck = await client.get("/-/ready")
        assert (stuck.status_code, stuck.text) == (503, "not ready: notifications wait and none is taken\n")
        assert (await client.get("/health/a")).json()["status"] == "critical"
        assert (await client.get("/-/healthy")).status_code == 200
    await sidecar.stop()
