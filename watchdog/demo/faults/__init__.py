"""The incident library as faults: how each breaks the pipeline, and which alerts must name it."""

from __future__ import annotations

from collections.abc import Mapping

from watchdog.demo.faults import (
    beats,
    deploys,
    first,
    gates,
    groups,
    hollow,
    logs,
    monitoring,
    readers,
    settings,
    streams,
    work,
)
from watchdog.demo.faults.fault import Fault

__all__ = ["FAULTS", "Fault"]
_ALL = (
    *first.FAULTS,
    *work.FAULTS,
    *hollow.FAULTS,
    *gates.FAULTS,
    *streams.FAULTS,
    *groups.FAULTS,
    *readers.FAULTS,
    *beats.FAULTS,
    *logs.FAULTS,
    *deploys.FAULTS,
    *settings.FAULTS,
    *monitoring.FAULTS,
)
FAULTS: Mapping[str, Fault] = {fault.id: fault for fault in _ALL}
