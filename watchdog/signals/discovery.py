"""`discovery`: what one item of `discover` finds; there for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import ClassVar

from watchdog.model import Held, Labels, Measure, Reading, SignalKey, Since, seconds, value
from watchdog.signals.base import Signal, SignalConfig

SHOWN = 10


class DiscoveryConfig(SignalConfig):
    """`discovery` has no keys of its own: what is looked for is the file's `discover:`."""

    def labels(self) -> Labels:
        """Return none: the patterns are put there for it."""
        return Labels()

    def offered(self) -> Mapping[str, Measure]:
        """Return every measure."""
        return Discovery.MEASURES


class Discovery(Signal[DiscoveryConfig]):
    """Tells what discovery found, what vanished and what it leaves out; the scout says so."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "found": value("Streams, groups and heartbeats that fit, those included that the file declares"),
        "missing": value("Those of them that are no longer there"),
        "left_out": value("How many more there are than `limit` allows"),
        "skipped": value("Keys whose names are too long or no text"),
        "age": seconds("Time since all keys were last gone over", grows=True),
    }
    Config = DiscoveryConfig


def reading(
    key: SignalKey,
    now: datetime,
    *,
    whole_at: datetime | None,
    found: int,
    missing: Iterable[str],
    left_out: int,
    skipped: int,
    elsewhere: int = 0,
    trouble: str | None,
) -> Reading:
    """
    Return what was found until *now*; before all keys were gone over for once, nothing is certain.

    Where all there is belongs *elsewhere*, to other shards, `found` does not apply.
    """
    if trouble is not None:
        return Reading(key, now, trouble=trouble)
    names = list(missing)
    certain = whole_at is not None
    values: dict[str, Held] = {
        "found": float(found) if found or certain else None,
        "missing": float(len(names)),
        "left_out": float(left_out) if certain else None,
        "skipped": float(skipped) if certain else None,
        "age": Since(whole_at.timestamp()) if whole_at is not None else None,
    }
    if elsewhere and not found:
        del values["found"]
    return Reading(key, now, values, evidence={"missing": list(islice(names, SHOWN))} if names else {})
