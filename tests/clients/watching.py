"""The watchdog as its users see it: the words of `audit --format json`, from a sidecar on the moved clock."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import httpx

from tests.clients.workers import Workers
from watchdog.forms import FORMS
from watchdog.sidecar import Sidecar

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
CLIENT = httpx.Client(timeout=5, verify=False, limits=httpx.Limits(max_keepalive_connections=0))


class Watch:
    """The watchdog on the moved clock, asked in the words of `audit --format json`."""

    def __init__(self, sidecar: Sidecar, workers: Workers, rules: Path) -> None:
        self.sidecar = sidecar
        self.workers = workers
        self.clock = workers.place.clock
        self.rules = rules
        self.raised: set[str] = set()

    async def look(self) -> str:
        """Tick once, a second after whatever was before, and return the verdict."""
        self.clock.advance(SECOND)
        await self.sidecar.tick(self.clock.now())
        while late := [task for task in asyncio.all_tasks() if task.get_name().startswith("look ")]:
            await asyncio.wait(late, timeout=10)  # a busy machine: on a moved clock it would be hours late
            await self.sidecar.tick(self.clock.now())
        self.raised |= set(self.alerts())
        return str(self.value("verdict"))

    def value(self, name: str) -> Any:
        """Return a value of the group's signal, as it was last."""
        said = self.said()
        assert name in said["values"], said
        return said["values"][name]

    def said(self) -> dict[str, Any]:
        """Return what the group's signal said last."""
        return group_of(self._audit())

    def alerts(self) -> dict[str, str]:
        """Return the alerts that are not over, and their state."""
        return alerts_of(self._audit())

    def _audit(self) -> dict[str, Any]:
        assert self.sidecar.latest is not None
        return cast("dict[str, Any]", json.loads(FORMS["json"](self.sidecar.latest)))

    async def pass_by(
        self,
        span: timedelta,
        step: timedelta = 15 * SECOND,
        *,
        put: str = "",
        settle: bool = True,
        left: int = 0,
        kept: int = 0,
    ) -> list[str]:
        """
        Let *span* pass in steps and return the verdicts seen, each once in a row.

        At each step one order to do *put* is put and settled, then the watchdog looks: *left* entries were
        pending before, and each order leaves *kept* more.
        """
        seen: list[str] = []
        for number in range(span // step):
            self.clock.advance(step - SECOND)
            if put:
                self.workers.put(put)
            if put and settle:
                self.workers.settle(left + kept * (number + 1))
            verdict = await self.look()
            seen += [verdict] if seen[-1:] != [verdict] else []
        return seen

    def first_audit(self) -> tuple[int, dict[str, Any]]:
        """Run `watchdog audit`, which knows nothing of before: its exit status and what it says of the group."""
        command = [sys.executable, "-m", "watchdog", "audit", "--rules", str(self.rules), "--format", "json"]
        done = subprocess.run(
            command, env=self.workers.place.environment(), capture_output=True, check=False, timeout=30
        )
        assert not done.stderr, done.stderr
        return done.returncode, group_of(json.loads(done.stdout))


class Running:
    """A sidecar as a process of its own, on the moved clock."""

    def __init__(self, url: str) -> None:
        self.url = url

    def status(self) -> dict[str, Any] | None:
        """Return what the API says, or None as long as it says nothing."""
        try:
            found = CLIENT.get(f"{self.url}/api/v1/status")
        except httpx.TransportError:
            return None
        return cast("dict[str, Any]", found.json()) if found.status_code == 200 else None

    def verdict(self) -> str | None:
        """Return the verdict on the group, or None as long as there is none."""
        status = self.status()
        signals = status["services"]["orders"]["signals"] if status else []
        verdicts = (found["values"].get("verdict") for found in signals if found["signal"] == "consumes")
        return next(verdicts, None)

    def alerts(self) -> dict[str, str]:
        """Return the alerts that are not over, and their state."""
        return alerts_of(self.status() or {"alerts": []})


def group_of(audit: Mapping[str, Any]) -> dict[str, Any]:
    """Return what *audit* says of the group."""
    signals = audit["services"]["orders"]["signals"]
    (found,) = (signal for signal in signals if signal["signal"] == "consumes")
    return cast("dict[str, Any]", found)


def alerts_of(audit: Mapping[str, Any]) -> dict[str, str]:
    """Return the alerts in *audit* that are not over, and their state."""
    states = {alert["labels"]["alertname"]: alert["state"] for alert in audit["alerts"]}
    return {name: state for name, state in states.items() if state != "resolved"}
