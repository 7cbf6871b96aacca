"""`/metrics`: a view of the latest snapshot; nothing to clean up when a stream or consumer goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from watchdog import __version__
from watchdog.alerts import State
from watchdog.duties import SELF_TESTED
from watchdog.notifications import Reason
from watchdog.pair import Role
from watchdog.redisurl import parse_redis_url
from watchdog.report import Snapshot, Status
from watchdog.shards import LABEL
from watchdog.sidecar import Sidecar
from watchdog.web.compat import REDIS_EXPORTER, exporter_pieces
from watchdog.web.exposition import LINES, escape, head, in_pieces, labels, lines_of, number
from watchdog.web.measures import signal_pieces
from watchdog.web.views import counted


def pieces(sidecar: Sidecar) -> Iterator[str]:
    """
    Yield the exposition piece by piece, each a few milliseconds' work at most, from what was published last.

    What is published meanwhile is for the next one who asks. Some pieces are empty.
    """
    now, latest = sidecar.clock(), sidecar.latest
    for family in (*own_metrics(sidecar, now), *telling_metrics(sidecar, now)):
        yield "".join(lines_of(family))
    if latest is not None:
        yield from signal_pieces(latest)
        yield from alert_pieces(latest)
        yield from status_pieces(latest, fresh=sidecar.fitness.fresh(now))
        for name in sorted(sidecar.config.compat):
            yield from IN_OTHER_WORDS[name](sidecar)


def redis_exporter(sidecar: Sidecar) -> Iterator[str]:
    """Yield, piece by piece, what redis_exporter would say of the streams that are watched, and no more."""
    if sidecar.latest is not None:
        servers = sidecar.config.servers.items()
        urls = {name: parse_redis_url(server.url.get_secret_value()) for name, server in servers}
        yield from exporter_pieces(sidecar.latest, {name: url.db for name, url in urls.items()})


IN_OTHER_WORDS: Mapping[str, Callable[[Sidecar], Iterator[str]]] = {REDIS_EXPORTER: redis_exporter}
"""What `compat` adds."""


def render(sidecar: Sidecar) -> bytes:
    """Return the whole exposition at once."""
    return "".join(pieces(sidecar)).encode()


# ---- alerts and services -----------------------------------------------------------------------


def alert_pieces(snapshot: Snapshot) -> Iterator[str]:
    """Yield how many alerts there are that are not over, by what they are, whose, and how they stand."""
    name = "watchdog_alerts"
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for start in range(0, len(snapshot.notices), LINES):
        some = [notice.alert for notice in snapshot.notices[start : start + LINES]]
        counts.update((a.name, a.service, a.severity, a.state) for a in some if a.state is not State.RESOLVED)
        yield ""
    yield head(name, "gauge", "Alerts by state")
    names = ("alertname", "service", "severity", "state")
    yield from in_pieces(
        f"{name}{{{labels(zip(names, map(escape, ticket), strict=True))}}} {number(count)}\n"
        for ticket, count in counts.items()
    )


def status_pieces(snapshot: Snapshot, *, fresh: bool) -> Iterator[str]:
    """Yield every service's status: unknown if the look is not *fresh*."""
    name = "watchdog_service_status"
    yield head(name, "gauge", "1 for the status a service has")
    yield from in_pieces(
        f'{name}{{service="{escape(service)}",status="{possible}"}} '
        f"{float(possible is (status if fresh else Status.UNKNOWN))}\n"
        for service, status in snapshot.services.items()
        for possible in Status
    )


# ---- the sidecar itself ------------------------------------------------------------------------


def own_metrics(sidecar: Sidecar, now: datetime) -> Iterator[Metric]:
    """Yield what tells whether the watcher itself is well."""
    pulse = sidecar.pulse
    yield InfoMetricFamily("watchdog_build", "Which version runs", value={"version": __version__})
    yield _gauge(
        "watchdog_ready",
        "1 while the last tick is young and the outbox moves",
        float(sidecar.fitness.ready(now)),
    )
    if (shard := sidecar.config.shard) is not None:
        shards = GaugeMetricFamily(
            "watchdog_shards", "How many shards share the work, by which one this is", labels=[LABEL]
        )
        shards.add_metric([str(shard.number)], float(shard.of))
        yield shards
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
    loading = sidecar.loading
    yield _gauge(
        "watchdog_config_last_reload_successful",
        "1 if the rules file was taken when it was last read",
        float(loading.well),
    )
    yield _gauge(
        "watchdog_config_last_reload_success_timestamp_seconds",
        "When the rules file that is in force was read",
        loading.loaded_at.timestamp(),
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
    if sidecar.config.traces is not None:
        traces = CounterMetricFamily(
            "watchdog_traces_exported", "Finished traces by what became of them", labels=["outcome"]
        )
        for outcome, count in sorted(sidecar.pulse.exported.items()):
            traces.add_metric([outcome], count)
        yield traces
    if sidecar.pair is not None:
        roles = GaugeMetricFamily("watchdog_pair_role", "1 for what it is to its partner", labels=["role"])
        for role in Role:
            roles.add_metric([str(role)], float(role is sidecar.pair.role))
        yield roles
    tested = sidecar.duties.done.get(SELF_TESTED)
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
