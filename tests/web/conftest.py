"""A sidecar whose clock stands still, and whoever may ask it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.drawn import T0
from watchdog.config import Config, parse
from watchdog.sidecar import Sidecar
from watchdog.state import StateFile
from watchdog.web.app import build_app
from watchdog.web.guard import access_to

TOKEN = "0123456789abcdef0123456789abcdef"
HERE = "http://127.0.0.1:9821"
RULES = """
redis: {{url: "redis://127.0.0.1:1", timeout: 500ms}}
every: 1s
state: "{directory}/state"
services:
  worker: {{log: {{path: "{directory}/worker.log"}}}}
  shop: {{needs: [worker], log: {{path: "{directory}/shop.log"}}}}
rules:
  - {{alert: Quiet, when: "log.lines[5m] == 0", severity: critical}}
  - {{alert: Loud, when: "log.errors[5m] > 0", severity: warning, summary: "{{service}} is loud"}}
receivers:
  ops: {{webhook: {{url: "http://127.0.0.1:1/ops"}}}}
  boss: {{webhook: {{url: "http://127.0.0.1:1/boss"}}}}
routes: [{{severity: critical, to: [ops, boss]}}, {{to: [ops]}}]
api: {{tokens: "ana: {token}"}}
"""
Ask = Callable[..., Awaitable[httpx.Response]]


def config_in(directory: Path, more: str = "") -> Config:
    """Return the rules with two logs to be quiet or loud."""
    return parse(RULES.format(directory=directory, token=TOKEN) + more)


class Hands:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.time = T0

    def now(self) -> datetime:
        """Return what the hands show."""
        return self.time


@dataclass(frozen=True)
class Desk:
    """A sidecar, its clock and the logs it reads."""

    sidecar: Sidecar
    clock: Hands
    directory: Path

    async def tick(self, seconds: float = 1) -> None:
        """Let time pass, and have the sidecar look."""
        self.clock.time += timedelta(seconds=seconds)
        await self.sidecar._tick_safely()

    def log(self, service: str, text: str, level: str = "INFO") -> None:
        """Have *service* log a line now."""
        at = f"{self.clock.time:%Y-%m-%d %H:%M:%S},000"
        with (self.directory / f"{service}.log").open("a", encoding="utf-8") as file:
            file.write(f"{at} | {level:<8} | {service} | {text}\n")

    def fingerprint(self, name: str, service: str = "worker") -> str:
        """Return the fingerprint of an alert that is there."""
        return next(
            alert.labels.fingerprint
            for alert in self.sidecar.alerts.values()
            if (alert.name, alert.service) == (name, service)
        )


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A sidecar on two empty logs, before its first look."""
    for name in ("worker", "shop"):
        (tmp_path / f"{name}.log").touch()
    config, clock = config_in(tmp_path), Hands()
    sidecar = Sidecar(config, clock.now, StateFile(str(tmp_path / "state"), clock.now))
    sidecar._patience = 30.0  # on a busy machine a first look may take longer than half an interval
    yield Desk(sidecar, clock, tmp_path)
    await sidecar.stop()


@asynccontextmanager
async def asking(sidecar: Sidecar) -> AsyncIterator[Ask]:
    """Ask *sidecar* over HTTP, with the token unless told otherwise."""
    access = access_to(sidecar.config, "127.0.0.1", sidecar.config.tokens)
    transport = httpx.ASGITransport(build_app(sidecar, access), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:

        async def ask(
            method: str, path: str, body: Any = None, token: str | None = TOKEN, **more: Any
        ) -> httpx.Response:
            headers = {"authorization": f"Bearer {token}"} if token is not None else {}
            headers |= {"content-type": "application/json"} if body is not None else {}
            content = body if isinstance(body, bytes) or body is None else json.dumps(body)
            headers |= more.pop("headers", {})
            return await client.request(method, path, content=content, headers=headers, **more)

        yield ask


@pytest.fixture
async def ask(desk: Desk) -> AsyncIterator[Ask]:
    """Ask the sidecar over HTTP."""
    async with asking(desk.sidecar) as ask:
        yield ask
