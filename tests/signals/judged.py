"""What the built-in rules say of services on a bench."""

from __future__ import annotations

from collections.abc import Sequence

from tests.signals.conftest import Bench
from watchdog.audit import audit
from watchdog.config import parse
from watchdog.notifications import Notice


def notices(bench: Bench, services: str, more: str = "") -> Sequence[Notice]:
    """Return what an audit has to say of *services* in YAML when the test begins, with *more* in the file."""
    indented = "\n".join(f"  {line}" for line in services.splitlines())
    config = parse(f"redis: {bench.url}\nservices:\n{indented}\n{more}\n")
    return audit(config, bench.began).notices


def alerts(bench: Bench, services: str, more: str = "") -> set[str]:
    """Return the names of the alerts, those included that wait for their `for`."""
    return {notice.alert.labels["alertname"] for notice in notices(bench, services, more)}
