"""`bench.race` tells who told when, and can fail; how fast anybody was is no test's business."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from bench.notify.child import BenchError
from bench.poll.streams import GROUPS, World, running_world
from bench.race.__main__ import costs_table, times_table
from bench.race.faults import LEFT, MOST, STUCK_GROUP, Saboteur, moments, traffic
from bench.race.measures import Finish, Heat, Meter
from bench.race.postbox import ALERT, Postbox, running_postbox
from bench.race.sides import Runner, Timing, alertmanager_text, prometheus_rules, prometheus_text, rules_text
from watchdog.config import parse

HEAT = Heat(100, Timing(15, 15, 30), (1, 5), 2, 10.0)


def page(*alerts: str, name: str = ALERT) -> bytes:
    """Return a webhook's body; ``a+`` is the beginning of the alert of stream a, ``a-`` its end."""
    states = {"+": "firing", "-": "resolved"}
    told = [{"status": states[a[-1]], "labels": {"alertname": name, "stream": a[:-1]}} for a in alerts]
    return json.dumps({"alerts": told}).encode()


# ---- the receiver ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postbox() -> Iterator[Postbox]:
    """A receiver that runs."""
    with running_postbox() as box:
        yield box


def test_a_page_counts_from_when_it_first_came(postbox: Postbox) -> None:
    """Of each stream, at each path; ends, other alerts and repetitions count for nothing."""
    began = time.perf_counter()
    with httpx.Client(verify=False) as client:
        for body in (page("a-"), page("a+", name="Other"), page("b+"), page("b+", "a+")):
            client.post(postbox.url("/one"), content=body).raise_for_status()
    came = postbox.arrivals("/one")
    assert began < came["b"] < came["a"] < time.perf_counter()
    assert postbox.wait_for(["/one"], ["a", "b"], 0)
    assert not postbox.wait_for(["/one", "/two"], ["a", "b"], 0)
    postbox.forget("a")
    assert postbox.arrivals("/one").keys() == {"b"}


# ---- the fault ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Twelve streams that nobody broke."""
    with running_world(12) as world:
        yield world


def pending(world: World, stream: str) -> list[int]:
    """Return what each group holds."""
    rows = {row["name"].decode(): row for row in world.client.xinfo_groups(stream)}
    return [rows[group]["pending"] for group in GROUPS]


def test_a_broken_stream_is_beyond_the_threshold_and_no_other(world: World) -> None:
    """One group of it, at once, and no matter how the others go on."""
    broken, *others = world.names
    before = {stream: pending(world, stream) for stream in others}
    at = Saboteur(world).break_one(broken)
    assert at < time.perf_counter()
    assert pending(world, broken)[GROUPS.index(STUCK_GROUP)] >= LEFT > MOST
    assert max(pending(world, broken)[1:]) < MOST
    last = world.client.xinfo_stream(others[0])["last-generated-id"]
    with traffic(world, [broken, *others[1:]]):
        while world.client.xinfo_stream(others[0])["last-generated-id"] == last:
            time.sleep(0.01)
    assert {stream: pending(world, stream) for stream in others} == before


def test_faults_come_at_any_phase() -> None:
    """One in each equal part of the time, the same for the same seed."""
    found = moments(20, 60.0, 7)
    assert [int(moment // 3.0) for moment in found] == list(range(20))
    assert len({round(moment % 3.0, 3) for moment in found}) == 20
    assert found == moments(20, 60.0, 7) != moments(20, 60.0, 8)


# ---- the sides ---------------------------------------------------------------------------------


def test_both_sides_are_given_the_same_condition(world: World) -> None:
    """Without `for`; and every alert is a group of its own."""
    ours = parse(rules_text(world, 1, "http://127.0.0.1:9/", Path("state.db")))
    (rule,) = [rule for rule in ours.rules if rule.alert == ALERT]
    assert [str(condition) for condition in rule.conditions] == [f"consumes.pending > {MOST}"]
    groups = json.loads(prometheus_rules())["groups"]
    theirs = [rule for group in groups for rule in group["rules"]]
    assert [rule["expr"] for rule in theirs] == [
        f'redis_stream_group_messages_pending{{stream=~".*{digit}"}} > {MOST}' for digit in range(10)
    ]
    assert not any("for" in rule for rule in theirs)
    assert not rule.for_
    route = json.loads(alertmanager_text(HEAT.timing, "http://127.0.0.1:9/"))["route"]
    assert (route["group_by"], route["group_wait"]) == (["..."], "30s")
    timing = json.loads(prometheus_text(HEAT.timing, "a", "b"))["global"]
    assert timing == {"scrape_interval": "15s", "scrape_timeout": "10s", "evaluation_interval": "15s"}


# ---- the figures -------------------------------------------------------------------------------


def runner(name: str = "watchdog") -> Runner:
    """Return a side that is this very process."""
    return Runner(name, "/one", {name: os.getpid()})


def test_what_was_not_told_is_missed_and_what_nobody_broke_is_false() -> None:
    """Each page is measured from its own fault; CPU and memory are those of the process."""
    found = Meter(runner()).read(HEAT, {"a": 5.5, "c": 9.0}, {"a": 5.0, "b": 6.0})
    assert (list(found.seconds), found.missed, found.false) == ([0.5], 1, 1)
    assert 0 < found.steady["watchdog"] <= found.peak["watchdog"]
    assert found.cpu["watchdog"] >= 0


def test_a_page_before_its_fault_is_no_figure() -> None:
    """Something was not measured as it says."""
    with pytest.raises(BenchError, match="before it was there"):
        Meter(runner()).read(HEAT, {"a": 4.9}, {"a": 5.0})


def finish(name: str, heat: Heat, seconds: Sequence[float], *, share: float = 1.0, missed: int = 0) -> Finish:
    """Return how a side of two processes came in."""
    parts = {"one": 0.03 * share, "two": 0.01 * share}
    sizes = {"one": 100e6 * share, "two": 20e6 * share}
    return Finish(
        name, heat, seconds, missed, 0, parts, sizes, {name: int(size) for name, size in sizes.items()}
    )


def test_tables_tell_both_sides_and_the_ratio() -> None:
    """Whoever took part in several races has a line for all of them; who told nothing has no figures."""
    fast = Heat(100, Timing(1, 1, 0), (1,), 2, 10.0)
    found = [
        [finish("stack", HEAT, [40.0, 50.0]), finish("watchdog", HEAT, [0.4, 0.5], share=0.5)],
        [finish("stack fast", fast, [], missed=2), finish("watchdog", fast, [0.1], missed=1)],
    ]
    assert list(times_table(found))[2:] == [
        "| 100 | stack | 2 of 2 | 45.00 s | 40.00 s | 50.00 s | 50.00 s |",
        "| 100 | watchdog | 2 of 2 | 0.45 s (100×) | 0.40 s | 0.50 s | 0.50 s |",
        "| 100 | stack fast | 0 of 2 | – | – | – | – |",
        "| 100 | watchdog | 1 of 2 | 0.10 s | 0.10 s | 0.10 s | 0.10 s |",
        "| 100 | watchdog, all races | 3 of 4 | 0.40 s | 0.10 s | 0.50 s | 0.50 s |",
    ]
    assert list(costs_table(found[:1]))[2:] == [
        "| 100 | stack | 4.0 % | 120 MB | 120 MB | one 3.0 %, 100 MB; two 1.0 %, 20 MB |",
        "| 100 | watchdog | 2.0 % (0.50×) | 60 MB (0.50×) | 60 MB (0.50×) | one 1.5 %, 50 MB; two 0.5 %, 10 MB |",
    ]
