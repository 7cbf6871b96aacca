"""What each measure is called as a metric (SPEC §6): for the page, and for whatever asks for it by name."""

from __future__ import annotations

from watchdog.model import Kind, Measure
from watchdog.units import Unit

KNOWN_NAME = "watchdog_signal_known"
"""1 while everything of a signal is known: the one metric that every signal has."""
AWAY_NAME = "watchdog_signal_away"
"""1 while the whole source is away from which a signal is read; absent otherwise."""
SUFFIX = {Unit.SECONDS: "_seconds", Unit.BYTES: "_bytes"}
OWN_KIND = "watchdog"
"""The signal that is the sidecar itself; its name would stand twice in its measures' names."""
FAMILY_LABEL = {
    "matches": "pattern",
    "body": "field",
    "constant_share": "field",
    "share": "decision",
    "stage": "stage",
    "perf": "label",
}
"""Under which label the variable part of ``matches.<name>`` and its like is exported."""


def metric_name(kind: str, measure: str, found: Measure) -> str:
    """Return the name under which *measure* of a signal is exported (SPEC §6), without ``_total``."""
    family = measure.partition(".")[0]
    if found.kind is Kind.COUNTER and family == "total":
        return f"watchdog_{kind}"  # its own name is the suffix: watchdog_executions_total
    if kind == OWN_KIND:
        kind, family = "self", family.removeprefix("self_")
    suffix = SUFFIX.get(found.unit, "")
    return f"watchdog_{kind}_{family}" + ("" if family.endswith("_ratio") else suffix)


def series_name(kind: str, measure: str, found: Measure) -> str:
    """Return the name of the series themselves: that of a counter ends with ``_total``."""
    return metric_name(kind, measure, found) + ("_total" if found.kind is Kind.COUNTER else "")


def word_label(metric: str) -> str:
    """Return the label that holds the word in the series of a measure that is one, exported as *metric*."""
    return metric.rpartition("_")[2]


def part_label(measure: str) -> tuple[str, str] | None:
    """Return label and value under which ``matches.late`` is told from others; None of a plain measure."""
    family, dot, part = measure.partition(".")
    return (FAMILY_LABEL.get(family, "part"), part) if dot else None
