"""The dashboard of the watchdog itself shows all that the sidecar says of itself."""

from __future__ import annotations

import re
from pathlib import Path

METRICS = Path("docs/reference/metrics.md")
DASHBOARD = Path("grafana/dashboards/watchdog.json")


def test_every_own_metric_stands_on_a_panel() -> None:
    """Whoever adds one adds it to `watchdog/export/grafana/itself.py`, too."""
    own = METRICS.read_text().partition("## Telling")[2].partition("## The names of redis_exporter")[0]
    names = re.findall(r"^\| `(watchdog_\w+)`", own, re.MULTILINE)
    shown = DASHBOARD.read_text()
    assert len(names) > 20
    assert [name for name in names if name not in shown] == []
