"""An Alertmanager for the sidecar's alerts, or those of the exported rules: routes, and who inhibits whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from watchdog.config import Config
from watchdog.export.promql import among
from watchdog.topology import Needs, inverted, upstream

HEADING = """\
# An Alertmanager for {path}. Made by: watchdog export alertmanager
#
# It takes alerts from the watchdog (a receiver `alertmanager`) or from a Prometheus with the exported rules;
# whoever tells people must be one of them only. docs/how-to/prometheus.md says more.
#
# The receivers here tell nobody: write yours (slack_configs, pagerduty_configs, email_configs, …) below their
# names, with secrets in files of their own, and check it: amtool check-config alertmanager.yml
"""


def alertmanager_file(config: Config) -> str:
    """Return the configuration: a route a severity, and for each service what its failure explains."""
    body: dict[str, Any] = {
        "route": {
            "receiver": "watchers",
            "group_by": ["alertname", "service"],
            "group_wait": "10s",
            "group_interval": "1m",
            "repeat_interval": "4h",
            "routes": [
                {"matchers": ['severity = "critical"'], "receiver": "pager", "repeat_interval": "1h"},
                {"matchers": ['severity = "info"'], "receiver": "notes", "repeat_interval": "1d"},
            ],
        },
        "inhibit_rules": list(inhibitions(config.policy.needs)),
        "receivers": [{"name": name} for name in ("pager", "watchers", "notes")],
    }
    path = config.path.rpartition("/")[2]
    text = yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=1_000)
    return f"{HEADING.format(path=path)}\n{text}"


def inhibitions(needs: Needs) -> Iterator[dict[str, Any]]:
    """Yield for each service that others need: while it has a critical alert, they are not told of."""
    needed_by = inverted(needs)
    for cause in sorted(needed_by):
        yield {
            "source_matchers": [among("service", [cause]), 'severity="critical"'],
            "target_matchers": [among("service", sorted(upstream(cause, needed_by)))],
        }
