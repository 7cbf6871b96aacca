"""What is around the panels of a dashboard: their places, variables, annotations, ways to the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watchdog.export.grafana.panels import SOURCE, Panel

TAG = "pipeline-watchdog"
WIDTH = 24


@dataclass(frozen=True, slots=True)
class Row:
    """A heading; what is *folded* into it is seen when it is opened."""

    title: str
    folded: Sequence[Sequence[Panel]] = ()


Line = Row | Sequence[Panel]


def laid_out(lines: Iterable[Line]) -> list[Panel]:
    """Return the panels of all *lines*, each line below the one before, numbered in reading order."""
    return _Grid().lay(lines)


class _Grid:
    """Squares that are filled line by line."""

    def __init__(self) -> None:
        self._y = 0
        self._number = 0

    def lay(self, lines: Iterable[Line]) -> list[Panel]:
        """Return *lines* as panels that have their places."""
        return [
            one for line in lines for one in (self._row(line) if isinstance(line, Row) else self._line(line))
        ]

    def _row(self, row: Row) -> list[Panel]:
        heading: Panel = {
            "type": "row",
            "title": row.title,
            "collapsed": bool(row.folded),
            "gridPos": {"w": WIDTH, "h": 1},
        }
        (placed,) = self._line([heading])
        return [{**placed, "panels": self.lay(row.folded)}]

    def _line(self, line: Sequence[Panel]) -> list[Panel]:
        placed, x = [], 0
        for one in line:
            self._number += 1
            grid = one["gridPos"]
            placed.append({"id": self._number, **one, "gridPos": {**grid, "x": x, "y": self._y}})
            x += grid["w"]
        self._y += max((one["gridPos"]["h"] for one in line), default=0)
        return placed


# ---- variables ---------------------------------------------------------------------------------

CHOICE_OF_SOURCE: Mapping[str, Any] = {
    "name": "datasource",
    "label": "Data source",
    "type": "datasource",
    "query": "prometheus",
    "regex": "",
    "multi": False,
    "includeAll": False,
    "refresh": 1,
    "hide": 0,
    "current": {},
    "options": [],
    "skipUrlSync": False,
}


def variable(name: str, label: str, query: str, *, hidden: bool = False) -> dict[str, Any]:
    """Return a variable whose values a query finds; all of them are chosen at first."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "definition": query,
        "refresh": 2,
        "regex": "",
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": None if hidden else ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 2 if hidden else 0,
        "options": [],
        "skipUrlSync": hidden,
    }


def constant(name: str, text: str) -> dict[str, Any]:
    """Return a variable that nobody sees and that is always *text*."""
    only = {"selected": True, "text": text, "value": text}
    return {
        "name": name,
        "type": "constant",
        "query": text,
        "current": only,
        "options": [only],
        "hide": 2,
        "skipUrlSync": True,
    }


# ---- annotations and links ---------------------------------------------------------------------


def _marks(name: str, severity: str, colour: str, *, shown: bool) -> dict[str, Any]:
    of = f'watchdog_alerts{{severity="{severity}", state=~"firing|blind", service=~"$service"}}'
    return {
        "name": name,
        "datasource": SOURCE,
        "enable": shown,
        "hide": False,
        "iconColor": colour,
        "expr": f"max by (alertname, service) ({of} > 0) unless on (alertname, service) ({of} offset 1m)",
        "step": "15s",
        "titleFormat": "{{alertname}}: {{service}}",
        "textFormat": "begins to fire",
        "tagKeys": "alertname,service",
    }


ALERTS: Sequence[Mapping[str, Any]] = (
    {
        "builtIn": 1,
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": True,
        "hide": True,
        "iconColor": "rgba(0, 212, 255, 1)",
        "name": "Annotations & Alerts",
        "type": "dashboard",
    },
    _marks("Critical alerts", "critical", "red", shown=True),
    _marks("Warnings", "warning", "yellow", shown=False),
)
"""Alerts as marks in every curve, where they begin to fire."""
BOARDS: Mapping[str, str] = {
    "pipeline-watchdog": "Overview",
    "pipeline-watchdog-streams": "Streams",
    "pipeline-watchdog-logs-units": "Logs, units, settings",
    "pipeline-watchdog-self": "The watchdog itself",
}
"""All dashboards: the last part of their addresses, and what links to them are called."""


def links(page: str, uid: str) -> list[dict[str, Any]]:
    """Return the ways from the dashboard *uid* to the others, keeping what is chosen, and to the *page*."""
    others = [
        _link(title, f"/d/{other}?${{service:queryparam}}", keeps=True)
        for other, title in BOARDS.items()
        if other != uid
    ]
    return [*others, _link("Status page", f"{page}/", keeps=False)]


def _link(title: str, url: str, *, keeps: bool) -> dict[str, Any]:
    return {
        "title": title,
        "type": "link",
        "icon": "dashboard" if keeps else "external link",
        "url": url,
        "targetBlank": not keeps,
        "tooltip": "",
        "asDropdown": False,
        "includeVars": False,
        "keepTime": keeps,
        "tags": [],
    }


def dashboard(
    uid: str, title: str, description: str, lines: Iterable[Line], *variables: Mapping[str, Any], page: str
) -> dict[str, Any]:
    """Return a whole dashboard, as it is put into a file; *page* is the address of the status page."""
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": [TAG],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "weekStart": "",
        "timezone": "",
        "refresh": "15s",
        "time": {"from": "now-3h", "to": "now"},
        "timepicker": {},
        "annotations": {"list": list(ALERTS)},
        "links": links(page, uid),
        "templating": {"list": [CHOICE_OF_SOURCE, *variables]},
        "panels": laid_out(lines),
    }


def panels_of(lines: Iterable[Line]) -> list[Panel]:
    """Return the panels of *lines*, those of folded rows included."""
    return [one for line in lines for one in (panels_of(line.folded) if isinstance(line, Row) else line)]
