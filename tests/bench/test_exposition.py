"""What was made fast says the same: `/metrics` against prometheus_client's own writer."""

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from watchdog.web.exposition import lines_of


class OneFamily(Collector):
    """A collector of one family."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric

    def collect(self) -> Iterator[Metric]:
        """Yield the family."""
        yield self.metric


def gauge(*numbers: float) -> Metric:
    family = GaugeMetricFamily("watchdog_stream_age_seconds", 'Age of "it", back\\slash\nand more')
    for i, number in enumerate(numbers):
        family.add_sample(family.name, {"stream": f"s{i}", "service": "Überwacht", "alpha": "b"}, number)
    return family


def labelled(text: str) -> Metric:
    family = CounterMetricFamily("watchdog_consumes_read", "Entries delivered")
    family.add_sample("watchdog_consumes_read_total", {"group": text}, 5.0)
    return family


FAMILIES = {
    "a gauge without labels": GaugeMetricFamily("watchdog_ready", "1 while ready", value=1),
    "numbers of all kinds": gauge(
        0, -1, 0.25, 1e-9, 999_999, 1_000_000, 12_345_678.5, 1e21, float("inf"), float("-inf"), float("nan")
    ),
    "no samples": gauge(),
    "a counter": CounterMetricFamily("watchdog_ticks", "Ticks finished", value=12),
    "an info": InfoMetricFamily("watchdog_build", "Which version runs", value={"version": "1.0"}),
    "quotes": labelled('say "hi"'),
    "a backslash": labelled("a\\b"),
    "a line end": labelled("a\nb"),
    "other scripts": labelled("グループ"),
}


@pytest.mark.parametrize("metric", FAMILIES.values(), ids=FAMILIES)
def test_a_family_is_written_as_prometheus_client_does(metric: Metric) -> None:
    """Names, help, types, labels and numbers come out byte for byte the same."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(OneFamily(metric))
    assert generate_latest(registry) == "".join(lines_of(metric)).encode()
