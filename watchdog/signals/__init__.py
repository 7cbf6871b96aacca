"""The signals: one file each, and one entry each in `SIGNALS`; more come with other packages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from watchdog.kinds import Kinds

if TYPE_CHECKING:
    from watchdog.signals.base import Signal

SIGNALS: Kinds[Signal[Any]] = Kinds(
    "signal",
    "pipeline_watchdog.signals",
    {
        "heartbeat": "watchdog.signals.heartbeat:Heartbeat",
        "stream": "watchdog.signals.stream:Stream",
        "consumes": "watchdog.signals.consumes:Consumes",
        "executions": "watchdog.signals.executions:Executions",
        "trace": "watchdog.signals.trace:Trace",
        "log": "watchdog.signals.log:Log",
        "unit": "watchdog.signals.unit:Unit",
        "health": "watchdog.signals.health:Health",
        "command": "watchdog.signals.command:Command",
        "settings": "watchdog.signals.settings:Settings",
        "flag": "watchdog.signals.flag:Flag",
        "redis": "watchdog.signals.redis:RedisServer",
        "discovery": "watchdog.signals.discovery:Discovery",
        "receiver": "watchdog.signals.receiver:Receiver",
        "watchdog": "watchdog.signals.watchdog:Watchdog",
    },
    "watchdog.signals.fitting:why_no_signal",
)
