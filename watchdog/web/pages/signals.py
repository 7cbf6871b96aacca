"""The signals of a service as its page shows them: every measure, its curve, and the rules that watch it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from watchdog.conditions import find_measure, show_value
from watchdog.model import Kind, Labels, Measure, Value
from watchdog.notifiers.text import LOOK
from watchdog.report import SignalReport, Status
from watchdog.sidecar import Sidecar
from watchdog.trends import LINES, Line
from watchdog.units import Unit, show_duration
from watchdog.verdicts import VERDICTS, Verdict
from watchdog.web.pages.alerting import Proof, proof_of
from watchdog.web.pages.nearness import Guarding, rules_on, thresholds_of
from watchdog.web.pages.spark import Spark, spark_of

VERDICT_WORDS: Mapping[str, str] = {
    **{str(verdict): (holds.__doc__ or "") for verdict, holds in VERDICTS},
    Verdict.MISSING: "There is no such stream or group.",
    Verdict.OK: "Nothing of all that can be wrong with a group holds.",
}
"""What each verdict says, in the words of docs/explanation/consumer-groups.md."""


@dataclass(frozen=True, slots=True)
class Row:
    """One measure; *values* are what it is, each with its window if it has one."""

    name: str
    values: tuple[tuple[str, str], ...]
    unknown: bool
    help: str
    spark: Spark | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class SignalCard:
    """One signal; *id* names its place on the page, *resting* are the rules that are far from firing."""

    id: str
    kind: str
    labels: tuple[tuple[str, str], ...]
    status: Status
    at: datetime
    trouble: str
    rows: tuple[Row, ...]
    rules: tuple[Guarding, ...]
    resting: tuple[Guarding, ...]
    proof: Proof


def signal_card(report: SignalReport, sidecar: Sidecar, now: datetime) -> SignalCard:
    """Return the card of *report*'s signal as of *now*."""
    reading = report.reading
    key, binding = reading.signal, sidecar.fleet.binding
    offers = binding.offers.get(key.service, {}).get(key.kind, ())
    rules = rules_on(key, binding, sidecar.history, sidecar.alerts, now)
    measures = next((offer.measures for offer in offers if offer.key == key), {})
    return SignalCard(
        f"signal-{Labels(key.labels, signal=key.kind).fingerprint}",
        key.kind,
        tuple(key.labels.items()),
        report.status,
        reading.at,
        reading.trouble or "",
        tuple(_rows(report, measures, sidecar, thresholds_of(key, binding))),
        tuple(guarding for guarding in rules if guarding.near),
        tuple(guarding for guarding in rules if not guarding.near),
        proof_of(reading.evidence, reading.evidence.get(LOOK)),
    )


def _rows(
    report: SignalReport, measures: Mapping[str, Measure], sidecar: Sidecar, thresholds: Mapping[str, float]
) -> Iterator[Row]:
    """Yield a row a measure, in the order in which the documents list them."""
    key = report.reading.signal
    found: dict[str, dict[str, Value]] = {}
    for shown, value in {**report.values, **report.figures}.items():
        name, _, window = shown.partition("[")
        found.setdefault(name, {})[window.removesuffix("]")] = value
    lines = {name: sidecar.trends.line(key, name) for name in LINES.get(key.kind, ())}
    kept = [name for name, line in lines.items() if line is not None]
    order = {name: i for i, name in enumerate(measures)}
    for name in sorted(dict.fromkeys([*found, *kept]), key=lambda name: order.get(name, len(order))):
        measure = find_measure(name, measures)
        if measure is not None:
            row = _row(name, measure, found.get(name, {}), lines.get(name), thresholds.get(name))
            told = key.kind == "consumes" and name == "verdict"
            yield replace(row, note=VERDICT_WORDS.get(str(report.values.get(name)), "")) if told else row


def _row(
    name: str, measure: Measure, found: Mapping[str, Value], line: Line | None, threshold: float | None
) -> Row:
    counts = measure.kind is Kind.COUNTER
    spark = spark_of(line, measure.unit, counts=counts, threshold=threshold) if line else None
    unit = Unit.NUMBER if measure.unit is Unit.WORD else measure.unit
    values = [(f"in {window}" if window else "", show_value(value, unit)) for window, value in found.items()]
    if not values and line is not None:
        values = [(f"in {show_duration(line.step.total_seconds())}", show_value(line.points[-1], unit))]
    unknown = any(value is None for value in found.values())
    return Row(name, tuple(values), unknown, measure.help, spark)
