"""Grafana's dashboards, made from what a rules file watches and from the rules in force."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from watchdog.config import Config
from watchdog.export.grafana.itself import itself
from watchdog.export.grafana.logs import logs
from watchdog.export.grafana.overview import overview
from watchdog.export.grafana.streams import streams
from watchdog.export.grafana.watched import Watched, watched

DASHBOARDS: Mapping[str, Callable[[Watched], dict[str, Any]]] = {
    "overview.json": overview,
    "streams.json": streams,
    "logs-units.json": logs,
    "watchdog.json": itself,
}
"""The dashboards by the names of their files."""


def grafana_files(config: Config) -> dict[str, str]:
    """Return all dashboards for *config* as the texts of their files."""
    seen = watched(config)
    return {name: as_text(build(seen)) for name, build in DASHBOARDS.items()}


def as_text(dashboard: Mapping[str, Any]) -> str:
    """Return a dashboard as the text of a file; the same dashboard is the same text."""
    return json.dumps(dashboard, indent=1, ensure_ascii=False) + "\n"
