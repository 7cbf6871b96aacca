"""`queue`: a Redis list that producers push to and workers pop from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import Field

from watchdog.plugin import (
    Labels,
    Look,
    Measure,
    Reading,
    RedisSignal,
    Reply,
    SignalConfig,
    Value,
    parse_timestamp,
    require,
    seconds,
    text,
    value,
)

ENDS = {"tail": -1, "head": 0}


class QueueConfig(SignalConfig):
    """Keys of `queue`."""

    key: str = Field(min_length=1, description="the list", examples=["orders:todo"])
    timestamp: str | None = Field(
        None,
        description="the field of an item, which is JSON, that says since when it waits",
        examples=["ts"],
    )
    oldest: Literal["tail", "head"] = Field("tail", description="the end that workers take items from")

    def labels(self) -> Labels:
        """Return the list's key."""
        return Labels(key=self.key)

    def offered(self) -> Mapping[str, Measure]:
        """Return every measure; `age` only where items say since when they wait."""
        absent = set() if self.timestamp else {"age"}
        return {name: found for name, found in Queue.MEASURES.items() if name not in absent}

    def reads(self) -> tuple[str, ...]:
        """Return nothing: a list that is empty is not there, and all is well."""
        return ()


class Queue(RedisSignal[QueueConfig]):
    """Tells how much waits in a list, and for how long."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "length": value("Items that wait"),
        "age": seconds("For how long the oldest item has waited, 0 if none waits", grows=True),
    }
    Config = QueueConfig
    RULES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "QueueStuck": {
            "when": ["queue.age > 5m"],
            "for": "1m",
            "severity": "critical",
            "summary": "{service} leaves work in {key}: {queue.length} items, the oldest for {queue.age}",
            "runbook": "https://example.com/runbooks/QueueStuck",
        },
    }

    def look(self, now: datetime) -> Look:
        """Ask how long the list is and what stands at its end, in one round trip."""
        key, end = self.config.key, ENDS[self.config.oldest]
        replies = yield [("LLEN", key), ("LINDEX", key, end)]
        length = require(replies[0], f'list "{key}"')
        item = require(replies[1], f'list "{key}"')
        values: dict[str, Value] = {"length": None if length is None else float(length)}
        if self.config.timestamp:
            values["age"] = 0.0 if length == 0 else self._age(item, now)
        return Reading(self.key, now, values)

    def _age(self, item: Reply, now: datetime) -> float | None:
        """Return how long *item* has waited, or None, which is unknown, if it does not say."""
        try:
            stated = json.loads(text(item))[self.config.timestamp]
        except (ValueError, KeyError, TypeError):
            return None
        at = parse_timestamp(str(stated))
        return None if at is None else max(0.0, (now - at).total_seconds())
