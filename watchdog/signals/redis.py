"""`redis`: the server itself; always there, one for all signals that are read from it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import ClassVar

from watchdog.model import Counted, Labels, Measure, Reading, SignalKey, Value, counter, seconds, value
from watchdog.signals.base import LATENCY, Look, RedisSignal, Refused, SignalConfig
from watchdog.signals.replies import require, text
from watchdog.units import Unit


class RedisConfig(SignalConfig):
    """`redis` has no keys of its own: the connection is the file's `redis:`."""

    def labels(self) -> Labels:
        """Return none: there is one."""
        return Labels()

    def offered(self) -> Mapping[str, Measure]:
        """Return every measure; `memory_ratio` applies while the server has a limit."""
        return RedisServer.MEASURES


class RedisServer(RedisSignal[RedisConfig]):
    """Asks INFO; the reader adds how long the answer took."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "up": value("1 while Redis answers"),
        "latency": seconds("Round trip of a PING"),
        "memory_ratio": value("Memory used of the configured limit", Unit.RATIO),
        "evicted": counter("Keys evicted"),
        "uptime": seconds("Time since Redis started", grows=True),
        "clients": value("Connected clients"),
    }
    Config = RedisConfig

    def __init__(self, key: SignalKey, config: RedisConfig, keep: timedelta) -> None:
        super().__init__(key, config, keep)
        self._since: datetime | None = None
        self._evicted: float | None = None

    def look(self, now: datetime) -> Look:
        """Ask for the round trip and for INFO."""
        latency, reply = yield [LATENCY, ("INFO",)]
        values: dict[str, Value] = {"up": 1.0, "latency": float(latency)}
        if isinstance(reply, Refused) and reply.code == "NOPERM":
            return Reading(
                self.key, now, values, evidence={"info": "INFO is not allowed for this Redis user"}
            )
        info = parse_info(text(require(reply, "INFO")))
        values["uptime"] = float(info.get("uptime_in_seconds", 0))
        values["clients"] = float(info.get("connected_clients", 0))
        limit = float(info.get("maxmemory", 0))
        if limit:
            values["memory_ratio"] = float(info.get("used_memory", 0)) / limit
        self._since = self._since or now
        evicted = float(info.get("evicted_keys", 0))
        before = evicted if self._evicted is None else self._evicted
        gained = evicted - before if evicted >= before else evicted  # fewer: it restarted and began at 0
        self._evicted = evicted
        counts = {("evicted", ""): Counted(self._since, ((now, gained),) if gained else ())}
        return Reading(self.key, now, values, counts, evidence={"version": version(info)})


def parse_info(reply: str) -> dict[str, str]:
    """Return INFO's lines ``name:value`` as a mapping."""
    lines = (line.partition(":") for line in reply.splitlines() if line and not line.startswith("#"))
    return {name: found for name, _, found in lines}


def version(info: Mapping[str, str]) -> str:
    """Return the server's own version: Valkey's where it is one."""
    return info.get("valkey_version") or info.get("redis_version") or "unknown"


def away(signal: SignalKey, now: datetime, why: str) -> Reading:
    """Return the reading of a server that does not answer."""
    return Reading(signal, now, {"up": 0.0}, evidence={"error": why})
