"""The parts of a Grafana dashboard as plain dictionaries: a function for each type of panel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OK, WARNING, UNKNOWN, CRITICAL, QUIET, NEUTRAL = "green", "yellow", "purple", "red", "blue", "text"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
NOTHING_KNOWN = -1
"""The number that stands for *unknown* where a query has to say so itself."""

Panel = dict[str, Any]
Steps = Sequence[tuple[float | None, str]]
"""From which value on which colour; the first begins nowhere (None)."""


@dataclass(frozen=True, slots=True)
class Query:
    """What to ask; *legend* names each series."""

    expr: str
    legend: str = "__auto"
    instant: bool = False


@dataclass(frozen=True, slots=True)
class Says:
    """How a number is shown: as a word in a colour. *to* makes it a range."""

    number: float
    text: str
    colour: str
    to: float | None = None


def mappings(says: Iterable[Says]) -> list[dict[str, Any]]:
    """Return what numbers say, as Grafana has it; what is no number is unknown."""
    said = list(says)
    single = {
        _plain(s.number): {"text": s.text, "color": s.colour, "index": i}
        for i, s in enumerate(said)
        if s.to is None
    }
    ranges = [
        {
            "type": "range",
            "options": {
                "from": s.number,
                "to": s.to,
                "result": {"text": s.text, "color": s.colour, "index": i},
            },
        }
        for i, s in enumerate(said)
        if s.to is not None
    ]
    unknown = {"text": "unknown", "color": UNKNOWN, "index": len(said)}
    nothing = {"type": "special", "options": {"match": "null+nan", "result": unknown}}
    return [*([{"type": "value", "options": single}] if single else []), *ranges, nothing]


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def thresholds(steps: Steps) -> dict[str, Any]:
    """Return *steps* as Grafana has them."""
    return {"mode": "absolute", "steps": [{"value": at, "color": colour} for at, colour in steps]}


def panel(
    kind: str,
    title: str,
    description: str,
    queries: Sequence[Query],
    size: tuple[int, int],
    *,
    defaults: Mapping[str, Any],
    options: Mapping[str, Any],
    overrides: Sequence[Mapping[str, Any]] = (),
    **more: Any,
) -> Panel:
    """Return a panel of *kind*; its place in the grid is given to it by `laid_out`."""
    tables = kind == "table"
    targets = [
        {
            "refId": chr(ord("A") + i),
            "datasource": SOURCE,
            "expr": query.expr,
            "legendFormat": query.legend,
            "instant": query.instant,
            "range": not query.instant,
            "format": "table" if tables else "time_series",
        }
        for i, query in enumerate(queries)
    ]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "gridPos": {"x": 0, "y": 0, "w": size[0], "h": size[1]},
        "targets": targets,
        "fieldConfig": {"defaults": {"noValue": "unknown", **defaults}, "overrides": list(overrides)},
        "options": dict(options),
        **more,
    }


def stat(
    title: str,
    description: str,
    query: Query,
    size: tuple[int, int],
    *,
    steps: Steps,
    says: Sequence[Says] = (),
    unit: str = "none",
    mode: str = "background_solid",
) -> Panel:
    """Return a number, or the word it stands for, that one reads across the room."""
    return panel(
        "stat",
        title,
        description,
        [query],
        size,
        defaults={
            "unit": unit,
            "color": {"mode": "thresholds"},
            "thresholds": thresholds(steps),
            "mappings": mappings(says),
        },
        options={
            "colorMode": mode,
            "graphMode": "none",
            "justifyMode": "center",
            "orientation": "auto",
            "textMode": "value",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        },
    )


def curves(
    title: str,
    description: str,
    queries: Sequence[Query],
    size: tuple[int, int],
    *,
    unit: str,
    steps: Steps = ((None, "transparent"),),
    overrides: Sequence[Mapping[str, Any]] = (),
    highest: float | None = None,
    least: float | None = 0,
    **more: Any,
) -> Panel:
    """Return curves over time, from 0 on; a dashed line stands at each of *steps*, always in sight."""
    limits = [at for at, _ in steps if at is not None]
    custom: dict[str, Any] = {
        "drawStyle": "line",
        "lineWidth": 2,
        "fillOpacity": 8,
        "showPoints": "never",
        "spanNulls": False,
        "thresholdsStyle": {"mode": "dashed" if limits else "off"},
    }
    if limits and max(limits) > 0:
        custom["axisSoftMax"] = max(limits) * 1.1
    elif highest is not None:
        custom["axisSoftMax"] = highest
    return panel(
        "timeseries",
        title,
        description,
        queries,
        size,
        defaults={
            "unit": unit,
            **({} if least is None else {"min": least}),
            "color": {"mode": "palette-classic"},
            "custom": custom,
            "thresholds": thresholds(steps),
        },
        overrides=overrides,
        options={
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        **more,
    )


def fixed(name: str, colour: str, **custom: Any) -> Mapping[str, Any]:
    """Return the override that gives the series called *name* a *colour*."""
    properties = [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}]
    properties += [{"id": f"custom.{key}", "value": found} for key, found in custom.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}


def timeline(
    title: str, description: str, query: Query, size: tuple[int, int], says: Sequence[Says]
) -> Panel:
    """Return a bar for each series on which one reads which state it was in, and when."""
    return panel(
        "state-timeline",
        title,
        description,
        [query],
        size,
        defaults={
            "color": {"mode": "thresholds"},
            "thresholds": thresholds(((None, UNKNOWN),)),
            "mappings": mappings(says),
            "custom": {"fillOpacity": 80, "lineWidth": 0},
        },
        options={
            "alignValue": "left",
            "mergeValues": True,
            "rowHeight": 0.85,
            "showValue": "auto",
            "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "single"},
        },
    )


def bars(
    title: str,
    description: str,
    query: Query,
    size: tuple[int, int],
    *,
    unit: str,
    steps: Steps,
    says: Sequence[Says],
    highest: float | None = None,
) -> Panel:
    """Return a bar for each series as it is now, coloured by *steps*."""
    return panel(
        "bargauge",
        title,
        description,
        [query],
        size,
        defaults={
            "unit": unit,
            "min": 0,
            **({} if highest is None else {"max": highest}),
            "color": {"mode": "thresholds"},
            "thresholds": thresholds(steps),
            "mappings": mappings(says),
        },
        options={
            "displayMode": "basic",
            "orientation": "horizontal",
            "showUnfilled": True,
            "valueMode": "color",
            "namePlacement": "left",
            "minVizHeight": 16,
            "maxVizHeight": 32,
            "sizing": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        },
    )
