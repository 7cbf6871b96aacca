"""The signals: one file each, and one entry each in `SIGNALS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watchdog.signals.base import Signal
from watchdog.signals.command import Command
from watchdog.signals.consumes import Consumes
from watchdog.signals.discovery import Discovery
from watchdog.signals.executions import Executions
from watchdog.signals.flag import Flag
from watchdog.signals.health import Health
from watchdog.signals.heartbeat import Heartbeat
from watchdog.signals.log import Log
from watchdog.signals.receiver import Receiver
from watchdog.signals.redis import RedisServer
from watchdog.signals.settings import Settings
from watchdog.signals.stream import Stream
from watchdog.signals.trace import Trace
from watchdog.signals.unit import Unit
from watchdog.signals.watchdog import Watchdog

SIGNALS: Mapping[str, type[Signal[Any]]] = {
    "heartbeat": Heartbeat,
    "stream": Stream,
    "consumes": Consumes,
    "executions": Executions,
    "trace": Trace,
    "log": Log,
    "unit": Unit,
    "health": Health,
    "command": Command,
    "settings": Settings,
    "flag": Flag,
    "redis": RedisServer,
    "discovery": Discovery,
    "receiver": Receiver,
    "watchdog": Watchdog,
}
