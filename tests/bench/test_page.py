"""`bench.page` measures what it says and can fail; how fast anything was is no test's business."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.notify.child import BenchError
from bench.page.__main__ import load_table, open_table
from bench.page.measures import Cost, Load, measure_loads, measure_open, open_page
from bench.page.served import Ours, rules_text, running_sidecar
from watchdog.config import parse


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ours]:
    """A small sidecar in a process of its own."""
    with running_sidecar(tmp_path_factory.mktemp("page"), 6) as ours:
        yield ours


def test_every_service_has_five_signals_and_needs_the_one_before() -> None:
    """As many as the table says, in lines of five."""
    config = parse(rules_text(7))
    assert [sum(spec.key.service == name for spec in config.signals) for name in config.services] == [5] * 7
    assert [len(needed) for needed in config.policy.needs.values()] == [0, 1, 1, 1, 1, 0, 1]


def test_a_load_is_a_whole_page(ours: Ours) -> None:
    """With all services on it; what is no page is no figure."""
    (load,) = measure_loads(ours, "/", 1)
    assert load.first <= load.whole
    assert load.size > 6 * 1000
    with pytest.raises(BenchError, match="answered with 404"):
        measure_loads(ours, "/services/nobody", 1)


def test_an_open_page_hears_of_it_and_costs_something(ours: Ours) -> None:
    """It reads what comes at once, and the CPU is that of the sidecar."""
    with open_page(ours, "/") as reader:
        cost = measure_open(ours, "/", 0.5, 2, 0.2)
        assert not reader.ended.is_set()
    assert (cost.changing, cost.pages) == (0.5, 2)
    assert 0 <= cost.share < 1
    assert reader.ended.is_set()
    assert reader.received > 0


def test_what_a_page_costs_is_the_difference_to_none() -> None:
    """Of the same share of services that change."""
    found = [Cost(0.0, 0, 0.01, 0, 0), Cost(0.0, 1, 0.018, 300, 1), Cost(0.1, 1, 0.03, 20_000, 9)]
    assert list(open_table(found))[2:] == [
        "| 0% | 0 | 1.00% | – | – |",
        "| 0% | 1 | 1.80% | +0.80% | 0.3 kB/min |",
        "| 10% | 1 | 3.00% | – | 20.0 kB/min |",
    ]


def test_a_load_is_told_by_its_median_and_the_slowest_paint() -> None:
    """One slow load of three does not move the figures, but is told."""
    loads = [Load(0.001, 0.002, 26_400), Load(0.002, 0.003, 26_400), Load(0.9, 0.9, 26_400)]
    assert list(load_table({"/": (loads, [0.08, 0.09, 0.5])}))[2:] == [
        "| `/` | 2.0 ms | 3.0 ms | 90.0 ms (500.0 ms) | 26 kB |"
    ]
