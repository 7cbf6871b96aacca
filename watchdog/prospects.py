"""What discovery may bring: how the signals are configured that it makes, and which rules they could meet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from watchdog.discovery import GROUP, HEARTBEAT, NAMELESS, STREAM, Plan
from watchdog.model import Labels, SignalKey
from watchdog.rules import Offer
from watchdog.signals.base import SignalConfig
from watchdog.signals.consumes import ConsumesConfig
from watchdog.signals.heartbeat import HeartbeatConfig
from watchdog.signals.stream import StreamConfig

SOMEBODY = "{service}"
"""Stands for the services that a pattern may name."""
_SET = {STREAM: {"key", "expect_groups"}, GROUP: {"stream", "group"}, HEARTBEAT: {"key"}}
_NO_FIELDS: dict[str, Any] = {}


def config_of(kind: str, labels: Labels) -> SignalConfig:
    """
    Return how a signal is configured that was found under *labels*.

    Names come checked and there may be tens of thousands, so nothing is checked again, and what all
    have in common they share.
    """
    if kind == GROUP:
        return ConsumesConfig.model_construct(_SET[GROUP], stream=labels["stream"], group=labels["group"])
    if kind == STREAM:
        key = labels["stream"]
        return StreamConfig.model_construct(_SET[STREAM], key=key, expect_groups=True, fields=_NO_FIELDS)
    return HeartbeatConfig.model_construct(_SET[HEARTBEAT], key=labels["key"])


def prospects(plans: Iterable[Plan], named: Iterable[str]) -> Iterator[Offer]:
    """
    Yield what *plans* may come to offer, each kind of signal once for each service it may be of.

    *named* are the services that the file speaks of: where a pattern names the service it may be any.
    """
    names = tuple(dict.fromkeys((*named, SOMEBODY)))
    for plan in plans:
        for kind, patterns in ((STREAM, plan.streams), (GROUP, plan.streams), (HEARTBEAT, plan.heartbeats)):
            if not patterns:
                continue
            labels = Labels(stream="", group="", key="")
            offered = config_of(kind, labels).offered()
            nameless = not all(pattern.names_service for pattern in patterns)
            anybody = any(pattern.names_service for pattern in patterns)
            for service in (*((NAMELESS,) if nameless else ()), *(names if anybody else ())):
                yield Offer(SignalKey(service, kind, labels), offered)
