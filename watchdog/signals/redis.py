"""`redis`: the server itself; always there, one for each that the file names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from watchdog.model import Counted, Labels, Measure, Reading, SignalKey, Value, counter, seconds, value
from watchdog.signals.base import LATENCY, Look, RedisSignal, Refused, Reply, SignalConfig
from watchdog.signals.nodes import Away, OfNodes
from watchdog.signals.replies import require, text
from watchdog.units import Unit


class RedisConfig(SignalConfig):
    """`redis` has no keys of its own: the connection is the file's `redis:`."""

    def labels(self) -> Labels:
        """Return none: whoever has several servers names them (`redis: {main: …}`)."""
        return Labels()

    def offered(self) -> Mapping[str, Measure]:
        """Return every measure; `memory_ratio` applies while the server has a limit."""
        return RedisServer.MEASURES


class RedisServer(RedisSignal[RedisConfig]):
    """
    Tells whether a server answers, how full it is, and whether it throws keys away.

    Asks INFO, of every master where Redis is a cluster; the reader adds how long the answer took.
    """

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
        self._evicted: dict[str, float] = {}

    def look(self, now: datetime) -> Look:
        """Ask for the round trip and for INFO; of a cluster every master answers."""
        latency, reply = yield [LATENCY, ("INFO",)]
        of_nodes = reply if isinstance(reply, OfNodes) else {"": reply}
        gone = [found.why for found in of_nodes.values() if isinstance(found, Away)]
        if gone:
            return away(self.key, now, "; ".join(gone))
        values: dict[str, Value] = {"up": 1.0, "latency": float(latency)}
        if any(isinstance(found, Refused) and found.code == "NOPERM" for found in of_nodes.values()):
            return Reading(
                self.key, now, values, evidence={"info": "INFO is not allowed for this Redis user"}
            )
        nodes = {place: read_node(found) for place, found in of_nodes.items()}
        values["uptime"] = min(node.uptime for node in nodes.values())
        values["clients"] = sum(node.clients for node in nodes.values())
        if limited := [node.memory_ratio for node in nodes.values() if node.memory_ratio is not None]:
            values["memory_ratio"] = max(limited)
        self._since = self._since or now
        gained = sum(self._evicted_since(place, node.evicted) for place, node in nodes.items())
        counts = {("evicted", ""): Counted(self._since, ((now, gained),) if gained else ())}
        evidence: dict[str, object] = {
            "version": ", ".join(sorted({node.version for node in nodes.values()}))
        }
        if isinstance(reply, OfNodes):
            evidence["masters"] = ", ".join(sorted(nodes))
        return Reading(self.key, now, values, counts, evidence=evidence)

    def _evicted_since(self, place: str, evicted: float) -> float:
        """Return how many keys the node at *place* has evicted since the last look."""
        before = self._evicted.get(place, evicted)
        self._evicted[place] = evicted
        return evicted - before if evicted >= before else evicted  # fewer: it restarted and began at 0


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What one server says of itself."""

    version: str
    uptime: float
    clients: float
    evicted: float
    memory_ratio: float | None


def read_node(reply: Reply) -> ServerInfo:
    """Read an INFO; what it does not tell counts as 0, a memory limit that is not set as None."""
    info = parse_info(text(require(reply, "INFO")))
    limit = float(info.get("maxmemory", 0))
    return ServerInfo(
        version=version(info),
        uptime=float(info.get("uptime_in_seconds", 0)),
        clients=float(info.get("connected_clients", 0)),
        evicted=float(info.get("evicted_keys", 0)),
        memory_ratio=float(info.get("used_memory", 0)) / limit if limit else None,
    )


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
