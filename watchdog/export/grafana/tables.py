"""Tables: a row for each set of labels, a column for each query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watchdog.export.grafana.panels import NEUTRAL, Panel, Query, Says, Steps, mappings, panel, thresholds


@dataclass(frozen=True, slots=True)
class Column:
    """
    A column of a table: the field it is made of, its heading, how it is shown.

    *field* is a label, or the letter of a query. *loud* colours the whole cell.
    """

    field: str
    title: str
    unit: str = "none"
    steps: Steps = ((None, NEUTRAL),)
    says: Sequence[Says] = ()
    width: int = 0
    loud: bool = False
    link: str = ""


def table(
    title: str,
    description: str,
    queries: Sequence[str],
    size: tuple[int, int],
    columns: Sequence[Column],
    *,
    sort: Sequence[tuple[str, bool]] = (),
) -> Panel:
    """
    Return a table with a row for each set of labels.

    *sort* names headings, and whether the greatest is first.
    """
    called = {_field(c.field, len(queries)): c for c in columns}
    organize = {
        "renameByName": {field: column.title for field, column in called.items()},
        "indexByName": {field: i for i, field in enumerate(called)},
        "includeByName": dict.fromkeys(called, True),
    }
    return panel(
        "table",
        title,
        description,
        [Query(expr, instant=True) for expr in queries],
        size,
        defaults={
            "noValue": "–",
            "custom": {"align": "left", "filterable": False},
            "color": {"mode": "thresholds"},
            "thresholds": thresholds(((None, NEUTRAL),)),
        },
        overrides=[_shown(column) for column in columns],
        options={
            "showHeader": True,
            "cellHeight": "sm",
            "footer": {"show": False},
            "sortBy": [{"displayName": name, "desc": desc} for name, desc in sort],
        },
        transformations=[{"id": "merge", "options": {}}, {"id": "organize", "options": organize}],
    )


def _field(field: str, queries: int) -> str:
    """Return the name of a column before it has its heading: that of the only query is plain."""
    return f"Value #{field}" if len(field) == 1 and queries > 1 else "Value" if len(field) == 1 else field


def _shown(column: Column) -> Mapping[str, Any]:
    properties: list[dict[str, Any]] = []
    if len(column.field) == 1:
        cell = {"type": "color-background", "mode": "basic"} if column.loud else {"type": "color-text"}
        said = mappings(column.says)[:-1]  # an empty cell is what a row has not, not what is unknown
        properties = [
            {"id": "unit", "value": column.unit},
            {"id": "thresholds", "value": thresholds(column.steps)},
            {"id": "mappings", "value": said},
            {"id": "custom.cellOptions", "value": cell},
        ]
    if column.width:
        properties.append({"id": "custom.width", "value": column.width})
    if column.link:
        link = {"title": "Status page", "url": column.link, "targetBlank": True}
        properties.append({"id": "links", "value": [link]})
    return {"matcher": {"id": "byName", "options": column.title}, "properties": properties}
