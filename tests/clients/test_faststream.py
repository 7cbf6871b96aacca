"""FastStream's stream subscriber: what fails is neither acknowledged nor tried again, unless somebody claims it."""

from __future__ import annotations

import re

import pytest

from tests.clients import stories
from tests.clients.conftest import only_on
from tests.clients.watching import MINUTE, SECOND, Watch
from tests.clients.workers import ROOT, Library, Workers

PAGE = (ROOT / "docs" / "reference" / "clients.md").read_text(encoding="utf-8")
LIBRARY = Library(
    app="tests.clients.apps.with_faststream",
    stream="orders",
    group="billing",
    worker=("tests.clients.apps.with_faststream", "work"),
    loads=("faststream.redis", "tests.clients.apps.orders"),
)


async def test_a_working_and_then_starving_worker_is_left_alone(workers: Workers, watch: Watch) -> None:
    """`working` and `starved`."""
    await stories.works_then_starves(workers, watch)


async def test_a_killed_worker_is_told_until_another_takes_over(workers: Workers, watch: Watch) -> None:
    """`killed`, and `restarted` under a new name."""
    await stories.killed_then_restarted(workers, watch)


@only_on("Valkey 9")
async def test_a_worker_never_started_is_told(workers: Workers, watch: Watch) -> None:
    """The group is made by the subscriber, not by who publishes."""
    await stories.never_started(workers, watch)


(LEFT_PENDING,) = re.findall(r"^rules:\n  - alert: LeftPending\n(?:    .+\n)+", PAGE, re.MULTILINE)


@only_on("Valkey 9")
@pytest.mark.parametrize("more_rules", [LEFT_PENDING], ids=["with LeftPending"])
async def test_an_order_that_fails_among_others_is_told_by_the_rule_of_the_page(
    workers: Workers, watch: Watch
) -> None:
    """One that succeeds comes with each that fails: the group is not stuck, and still it leaks."""
    workers.start()
    workers.put("fail")
    workers.settle(1)
    assert await watch.pass_by(14 * MINUTE, MINUTE, put="work", left=1) == ["ok"]
    assert watch.raised == set()
    assert await watch.pass_by(3 * MINUTE, MINUTE, put="work", left=1) == ["ok"]
    assert watch.alerts() == {"LeftPending": "firing"}


@only_on("Valkey 9")
async def test_failing_orders_are_stuck(workers: Workers, watch: Watch) -> None:
    """`failing`: the default policy rejects, and to reject means not to acknowledge."""
    workers.start()
    assert await watch.pass_by(8 * MINUTE, put="fail", kept=1) == ["ok", "stuck"]
    assert (watch.value("lag"), watch.value("pending"), watch.value("deliveries")) == (0, 32, 1)
    assert watch.alerts() == {"GroupStalled": "firing", "LogErrors": "firing", "NewLogErrors": "firing"}


@only_on("Valkey 9")
async def test_an_order_that_never_ends_stalls_all_behind_it(workers: Workers, watch: Watch) -> None:
    """One order at a time is the default."""
    workers.start()
    workers.put("hang")
    workers.settle(1)
    assert await watch.pass_by(3 * MINUTE, put="work", settle=False) == ["ok", "stalled"]
    assert (watch.value("lag"), watch.value("pending")) == (12, 1)
    assert watch.alerts() == {"GroupStalled": "firing"}


@only_on("Valkey 9")
async def test_an_order_that_fails_whenever_claimed_is_poison(workers: Workers, watch: Watch) -> None:
    """With a second subscriber that claims, the others go on and one is tried for ever."""
    workers.start(CLAIM_AFTER_MS="60000")
    workers.put("fail")
    for times in range(2, 12):
        watch.clock.advance(61 * SECOND)
        workers.put("work")
        workers.settle(1)
        workers.delivered(times)
        assert await watch.look() == ("poison" if times >= 5 else "ok")
    assert (watch.value("lag"), watch.value("pending")) == (0, 1)
    assert watch.alerts()["PoisonEntry"] == "firing"
    assert watch.raised == {"PoisonEntry", "LogErrors", "NewLogErrors"}


async def test_what_a_crashed_worker_held_stays_with_its_ghost_until_somebody_claims(
    workers: Workers, watch: Watch
) -> None:
    """`restarted` after a crash at work: the successor reads on, nobody looks back, an hour later it is told."""
    workers.start()
    workers.put("crash")
    workers.ended()
    (ghost,) = workers.names()
    workers.start()
    assert await watch.pass_by(72 * MINUTE, 3 * MINUTE, put="work", left=1) == ["ok"]
    assert (watch.value("consumers"), watch.value("ghosts"), watch.value("pending")) == (2, 1, 1)
    assert watch.alerts() == {"GhostConsumers": "firing"}
    assert ghost in str(watch.said()["evidence"])

    workers.stop()
    workers.start(CLAIM_AFTER_MS="60000")
    workers.settle()
    assert await watch.look() == "ok"
    assert (watch.alerts(), watch.value("ghosts"), watch.raised) == ({}, 0, {"GhostConsumers"})


@only_on("Valkey 9")
async def test_a_restart_that_reads_from_0_reads_nothing_new_for_ever(workers: Workers, watch: Watch) -> None:
    """`last_id="0"` works until the group exists; from then on it asks for the consumer's own past, in a hot loop."""
    workers.start(LAST_ID="0")
    workers.put("work")
    workers.settle()
    assert await watch.look() == "ok"
    workers.stop()
    workers.start(LAST_ID="0")
    workers.put("work", 3)
    assert await watch.pass_by(70 * SECOND, 5 * SECOND) == ["ok", "stalled"]
    assert (watch.value("lag"), watch.value("pending")) == (3, 0)
