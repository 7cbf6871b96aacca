"""`/metrics`: a view of the latest snapshot; nothing to clean up when a stream or consumer goes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from watchdog import __version__
from watchdog.alerts import State
from watchdog.conditions import DEFAULT_WINDOW, find_measure
from watchdog.model import AtLeast, Kind, Measure
from watchdog.notifications import Reason
from watchdog.pair import Role
from watchdog.report import SignalReport, Snapshot, Status
from watchdog.rules import KNOWN
from watchdog.sidecar import SELF_TESTED, Sidecar
from watchdog.signals import SIGNALS
from watchdog.units import Unit, write_duration
from watchdog.web.views import counted

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SUFFIX = {Unit.SECONDS: "_seconds", Unit.BYTES: "_bytes"}
WRITTEN_AS = {"counter": ("_total", "counter"), "info": ("_info", "gauge")}
"""What the text format adds to a family's name, and what it calls its type, where that differs."""
GAUGES = (Kind.VALUE, Kind.WORD, Kind.RATIO, Kind.SHARE)
OWN_KIND = "watchdog"
"""The signal that is the sidecar itself; its name would stand twice in its measures' names."""
FAMILY_LABEL = {"matches": "pattern", "body": "field", "constant_share": "field"}
"""Under which label the variable part of ``matches.<name>`` and its like is exported."""
IN_WINDOW = f"[{write_duration(DEFAULT_WINDOW)}]"
"""How the name of a ratio over the default window ends."""


def metric_name(kind: str, measure: str, found: Measure) -> str:
    """Return the name under which *measure* of a signal is exported (SPEC §6), without ``_total``."""
    family = measure.partition(".")[0]
    if found.kind is Kind.COUNTER and family == "total":
        return f"watchdog_{kind}"  # its own name is the suffix: watchdog_executions_total
    if kind == OWN_KIND:
        kind, family = "self", family.removeprefix("self_")
    suffix = SUFFIX.get(found.unit, "")
    return f"watchdog_{kind}_{family}" + ("" if family.endswith("_ratio") else suffix)


def families(sidecar: Sidecar) -> Iterator[Metric]:
    """
    Yield every family, from what the sidecar published last.

    An unknown value is an absent series and `watchdog_signal_known` 0.
    """
    now = sidecar.clock()
    yield from own_metrics(sidecar, now)
    yield from telling_metrics(sidecar, now)
    if sidecar.latest is not None:
        yield from signal_metrics(sidecar.latest)
        yield from alert_metrics(sidecar.latest, fresh=sidecar.fresh(now))


def render(sidecar: Sidecar) -> bytes:
    """Return the exposition in Prometheus' text format."""
    return "".join(line for family in families(sidecar) for line in lines_of(family)).encode()


def lines_of(metric: Metric) -> Iterator[str]:
    """
    Yield the lines of one family, as prometheus_client's `generate_latest` writes them.

    That one asks of every name of every sample whether it is valid, which takes most of its time;
    ours are valid by construction.
    """
    suffix, type_ = WRITTEN_AS.get(metric.type, ("", metric.type))
    name = metric.name + suffix
    help_ = metric.documentation.replace("\\", "\\\\").replace("\n", "\\n")
    yield f"# HELP {name} {help_}\n# TYPE {name} {type_}\n"
    for sample in metric.samples:
        labels = ",".join([f'{label}="{escape(text)}"' for label, text in sorted(sample.labels.items())])
        shown = f"{sample.name}{{{labels}}}" if labels else sample.name
        yield f"{shown} {floatToGoString(sample.value)}\n"  # type: ignore[no-untyped-call]


@lru_cache(maxsize=16_384)
def escape(text: str) -> str:
    """Return *text* as a label's value is written."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


# ---- signals -----------------------------------------------------------------------------------


def signal_metrics(snapshot: Snapshot) -> Iterator[Metric]:
    """Yield a family for each measure, and whether each signal is known."""
    known = GaugeMetricFamily("watchdog_signal_known", KNOWN.help)
    gauges: dict[str, GaugeMetricFamily] = {}
    counters: dict[str, CounterMetricFamily] = {}
    for key, report in snapshot.signals.items():
        labels = {"service": key.service, **key.labels}
        measures = SIGNALS[key.kind].MEASURES
        known.add_sample(known.name, {**labels, "signal": key.kind}, float(report.reading.known is True))
        for name, total in report.totals.items():
            if (measure := find_measure(name, measures)) is not None and measure.kind is Kind.COUNTER:
                metric = metric_name(key.kind, name, measure)
                family = counters.get(metric)
                if family is None:
                    family = counters[metric] = CounterMetricFamily(metric, measure.help)
                family.add_sample(f"{metric}_total", {**labels, **part_label(name)}, total)
        for name, found in _present(report):
            measure = find_measure(name, measures)
            if measure is not None and measure.kind in GAUGES:
                metric = metric_name(key.kind, name, measure)
                gauge = gauges.get(metric)
                if gauge is None:
                    gauge = gauges[metric] = GaugeMetricFamily(metric, measure.help)
                _add_gauge(gauge, {**labels, **part_label(name)}, measure, found)
    yield known
    yield from gauges.values()
    yield from counters.values()


def _present(report: SignalReport) -> Iterator[tuple[str, float | str | AtLeast]]:
    """Yield what has a value now: the measures of now, and ratios over the default window."""
    if report.reading.trouble is not None:
        return
    ratios = {
        name.removesuffix(IN_WINDOW): v for name, v in report.figures.items() if name.endswith(IN_WINDOW)
    }
    for name, found in {**report.values, **ratios}.items():
        if found is not None:
            yield name, found


def part_label(measure: str) -> dict[str, str]:
    """Return the label for the variable part of ``matches.<name>`` and its like."""
    family, dot, part = measure.partition(".")
    return {FAMILY_LABEL.get(family, "part"): part} if dot else {}


def _add_gauge(
    gauge: GaugeMetricFamily, labels: dict[str, str], measure: Measure, found: float | str | AtLeast
) -> None:
    if measure.kind is Kind.WORD:
        for word in measure.words or (str(found),):
            gauge.add_sample(
                gauge.name, {**labels, gauge.name.rpartition("_")[2]: word}, float(word == found)
            )
    elif not isinstance(found, str):
        gauge.add_sample(gauge.name, labels, found.number if isinstance(found, AtLeast) else found)


# ---- alerts and services -----------------------------------------------------------------------


def alert_metrics(snapshot: Snapshot, *, fresh: bool) -> Iterator[Metric]:
    """Yield the alerts that are not over, and every service's status: unknown if the look is not *fresh*."""
    alerts = GaugeMetricFamily(
        "watchdog_alerts", "Alerts by state", labels=["alertname", "service", "severity", "state"]
    )
    counts: dict[tuple[str, str, str, str], int] = {}
    for notice in snapshot.notices:
        alert = notice.alert
        if alert.state is not State.RESOLVED:
            ticket = (alert.name, alert.service, str(alert.severity), str(alert.state))
            counts[ticket] = counts.get(ticket, 0) + 1
    for labels, count in counts.items():
        alerts.add_metric(list(labels), count)
    yield alerts
    statuses = GaugeMetricFamily(
        "watchdog_service_status", "1 for the status a service has", labels=["service", "status"]
    )
    for service, status in snapshot.services.items():
        for possible in Status:
            statuses.add_metric(
                [service, str(possible)], float(possible is (status if fresh else Status.UNKNOWN))
            )
    yield statuses


# ---- the sidecar itself ------------------------------------------------------------------------


def own_metrics(sidecar: Sidecar, now: datetime) -> Iterator[Metric]:
    """Yield what tells whether the watcher itself is well."""
    pulse = sidecar.pulse
    yield InfoMetricFamily("watchdog_build", "Which version runs", value={"version": __version__})
    yield _gauge(
        "watchdog_ready", "1 while the last tick is young and the outbox moves", float(sidecar.ready(now))
    )
    last = pulse.last_tick.timestamp() if pulse.last_tick else 0.0
    yield _gauge("watchdog_last_tick_timestamp_seconds", "When the last tick was, 0 before the first", last)
    yield _gauge(
        "watchdog_tick_interval_seconds", "How often a tick is due", sidecar.config.every.total_seconds()
    )
    yield _gauge("watchdog_tick_duration_seconds", "How long the last tick took", pulse.tick_seconds)
    yield _gauge(
        "watchdog_tick_duration_max_seconds", "How long the longest tick took", pulse.slowest_tick_seconds
    )
    yield _counter("watchdog_ticks", "Ticks finished", pulse.ticks)
    yield _counter("watchdog_ticks_failed", "Ticks that failed inside the watchdog", pulse.failed_ticks)
    yield _counter("watchdog_tick_seconds", "Time spent in ticks", pulse.spent_seconds)
    yield _counter(
        "watchdog_state_failures", "Times the state file could not be written", pulse.state_failures
    )
    failures = CounterMetricFamily(
        "watchdog_collect_failures", "Looks that brought no answer", labels=["signal", "reason"]
    )
    kinds = {spec.key.kind for spec in sidecar.config.signals}
    for kind in sorted(kinds):
        for reason in ("no_answer", "source_down"):
            failures.add_metric([kind, reason], pulse.collect_failures.get((kind, reason), 0))
    yield failures
    yield from watched_metrics(sidecar)


def watched_metrics(sidecar: Sidecar) -> Iterator[Metric]:
    """Yield what is known of the watcher being watched: signs of life, the partner, the last self-test."""
    signs = CounterMetricFamily(
        "watchdog_signs_of_life", "Signs to those who watch the watchdog", labels=["kind", "outcome"]
    )
    for (kind, outcome), count in sorted(sidecar.pulse.signs.items()):
        signs.add_metric([kind, outcome], count)
    yield signs
    if sidecar.pair is not None:
        roles = GaugeMetricFamily("watchdog_pair_role", "1 for what it is to its partner", labels=["role"])
        for role in Role:
            roles.add_metric([str(role)], float(role is sidecar.pair.role))
        yield roles
    tested = sidecar.done.get(SELF_TESTED)
    yield _gauge(
        "watchdog_self_test_last_success_timestamp_seconds",
        "When a self-test last reached every receiver, 0 if none has",
        tested.timestamp() if tested else 0.0,
    )


# ---- telling -----------------------------------------------------------------------------------


def telling_metrics(sidecar: Sidecar, now: datetime) -> Iterator[Metric]:
    """Yield what was decided, what became of it, what waits, and what people said."""
    outbox = sidecar.outbox
    decisions = CounterMetricFamily(
        "watchdog_decisions", "Decisions to tell, to spare or to wait", labels=["receiver", "reason"]
    )
    for receiver in sidecar.config.receivers:
        for why in Reason:
            decisions.add_metric([receiver, str(why)], sidecar.pulse.decisions[receiver, str(why)])
    yield decisions
    sent = CounterMetricFamily(
        "watchdog_notifications", "Notifications by what became of them", labels=["receiver", "outcome"]
    )
    for (receiver, outcome), count in sorted(outbox.outcomes.items()):
        sent.add_metric([receiver, outcome], count)
    yield sent
    yield _counter("watchdog_courier_failures", "Errors inside the watchdog while sending", outbox.failures)
    depth = GaugeMetricFamily("watchdog_outbox_depth", "Notifications that wait", labels=["receiver"])
    age = GaugeMetricFamily(
        "watchdog_outbox_oldest_seconds", "Age of the oldest notification that waits", labels=["receiver"]
    )
    for receiver in sidecar.config.receivers:
        oldest = outbox.oldest(receiver)
        depth.add_metric([receiver], outbox.depth(receiver))
        age.add_metric([receiver], max(0.0, (now - oldest).total_seconds()) if oldest else 0.0)
    yield depth
    yield age
    silences = GaugeMetricFamily("watchdog_silences", "Silences by how they stand", labels=["state"])
    for state, count in counted(sidecar.wishes.silences.values(), now).items():
        silences.add_metric([str(state)], count)
    yield silences
    seen = len(sidecar.wishes.acks)
    yield _gauge("watchdog_acknowledged_alerts", "Firing alerts that somebody has acknowledged", seen)


def _gauge(name: str, help_: str, number: float) -> Metric:
    return GaugeMetricFamily(name, help_, value=number)


def _counter(name: str, help_: str, number: float) -> Metric:
    return CounterMetricFamily(name, help_, value=number)
