"""A sidecar on files of its own, whose clock is moved by hand and whose rules file is another one at any time."""

from __future__ import annotations

import gc
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.outgoing import Hands
from watchdog.alerts import Alert
from watchdog.changing import change
from watchdog.config import Config, parse
from watchdog.sidecar import Sidecar
from watchdog.state import StateFile

MINUTE = timedelta(minutes=1)
HEAD = """
redis: redis://127.0.0.1:1
every: 1m
builtin_rules: off
receivers: {hook: {webhook: {url: "http://127.0.0.1:9/hook"}}}
notifications: {group_wait: 0s, group_interval: 0s}
"""
SERVICES = """
services:
  a: {settings: {file: FOLDER/a, require: {MODE: "live"}}}
  b: {settings: {file: FOLDER/b, require: {MODE: "live"}}}
"""
RULES = """
rules:
  - {alert: Wrong, when: settings.violations > 0, severity: critical}
"""
WHOLE = HEAD + SERVICES + RULES


@dataclass
class Rig:
    """One sidecar, that nothing leaves: what it tells waits."""

    folder: Path
    hands: Hands = field(default_factory=Hands)
    state: str = ":memory:"
    rules: str = ""
    places: dict[str, str] = field(default_factory=dict)
    configs: dict[str, Config | None] = field(default_factory=dict)
    sidecar: Sidecar = field(init=False)

    def begin(self, rules: str | Config = WHOLE) -> Rig:
        """Begin to watch by *rules*."""
        self.rules = rules if isinstance(rules, str) else self.rules
        config = self.parsed(rules) if isinstance(rules, str) else rules
        self.sidecar = Sidecar(config, self.hands, StateFile(self.state, self.hands))
        self.sidecar._patience = 30.0
        return self

    def parsed(self, rules: str) -> Config:
        """Return *rules* as they are read, with where the files are; what is read often is kept."""
        if self.configs.get(rules) is None:
            kept = rules in self.configs
            config = parse(rules.replace("FOLDER", str(self.folder)))
            self.configs[rules] = config if kept else None
            return config
        return self.configs[rules]  # type: ignore[return-value]

    def write(self, **modes: str) -> None:
        """Have services be in *modes*."""
        for service, mode in modes.items():
            (self.folder / service).write_text(f"MODE={mode}\n")

    def log(self, *levels: str, at: datetime | None = None) -> None:
        """Have lines logged now."""
        with (self.folder / "log").open("a") as file:
            for level in levels:
                moment = (at or self.hands()).isoformat().replace("+00:00", "Z")
                file.write(json.dumps({"timestamp": moment, "level": level, "event": "x"}) + "\n")

    async def tick(self, passed: timedelta = MINUTE, **modes: str) -> None:
        """Let time pass, then look once."""
        self.write(**modes)
        self.hands.pass_(passed.total_seconds())
        await self.sidecar.tick(self.hands())

    async def reload(self, rules: str = "") -> None:
        """Have another file take the place of the one in force, without a look."""
        self.rules = rules or self.rules
        await change(self.sidecar, self.parsed(self.rules))
        self.sidecar._patience = 30.0

    def told(self, receiver: str = "hook") -> list[str]:
        """Return what waits for a receiver: alert, service, reason, and why it ended if not by itself."""
        return [
            " ".join(filter(None, (n.alert.name, n.alert.service, str(n.reason), n.alert.ended)))
            for message in self.sidecar.outbox.waiting(receiver)
            for n in message.notices
            if n.reason
        ]

    @property
    def alerts(self) -> Mapping[str, Alert]:
        """Return all alerts by name and service."""
        return {f"{alert.name} {alert.service}": alert for alert in self.sidecar.alerts.values()}

    @property
    def states(self) -> dict[str, str]:
        """Return how each alert stands."""
        return {name: str(alert.state) for name, alert in self.alerts.items()}


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Nothing is kept for good: else every reload of a later test goes over all that pytest holds."""
    gc.unfreeze()
    yield
    gc.unfreeze()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Services `a` and `b` that are as they should be, and nobody who looks yet."""
    rig = Rig(tmp_path)
    rig.write(a="live", b="live")
    yield rig
    if hasattr(rig, "sidecar"):
        await rig.sidecar.stop()
