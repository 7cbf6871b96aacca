"""streaQ: XACKs and XDELs whatever became of a task, claims what is idle for a minute."""

from __future__ import annotations

from tests.clients import stories
from tests.clients.conftest import only_on
from tests.clients.watching import MINUTE, SECOND, Running, Watch
from tests.clients.workers import Library, Workers, until

LIBRARY = Library(
    app="tests.clients.apps.with_streaq",
    stream="streaq:default:queues:normal",
    group="workers",
    worker=("streaq", "run", "tests.clients.apps.with_streaq:worker"),
    loads=("streaq.cli", "tests.clients.apps.orders"),
)
NEVER_CLAIM = "36000"


async def test_a_working_and_then_starving_worker_is_left_alone(workers: Workers, watch: Watch) -> None:
    """`working` and `starved`."""
    await stories.works_then_starves(workers, watch)


async def test_a_killed_worker_is_told_until_another_takes_over(workers: Workers, watch: Watch) -> None:
    """`killed`, and `restarted` under a new name."""
    await stories.killed_then_restarted(workers, watch)


@only_on("Valkey 9")
async def test_a_worker_never_started_is_told(workers: Workers, watch: Watch) -> None:
    """The group is made by the worker, not by who enqueues."""
    await stories.never_started(workers, watch)


async def test_what_waits_is_counted_where_redis_gave_up(workers: Workers, watch: Watch) -> None:
    """One task holds its entry while later ones are XDELed: from then on Redis' lag is NULL whenever one waits."""
    workers.start(IDLE_TIMEOUT=NEVER_CLAIM)
    workers.put("hang")
    workers.settle(1)
    workers.put("work", 10)
    workers.settle(1)
    assert [await watch.look(), watch.value("lag")] == ["ok", 0]
    workers.kill()
    workers.put("work", 3)
    assert workers.own_group()["lag"] is None
    assert await watch.pass_by(70 * SECOND, 5 * SECOND) == ["ok", "stalled"]
    assert (watch.value("lag"), watch.value("lost[1h]")) == (3, 0)
    assert watch.raised == {"GroupStalled"}
    status, first = watch.first_audit()
    told = [first["values"][name] for name in ("verdict", "lag", "provenance")]
    assert (status, told) == (2, ["stalled", 3, "counted"])


async def test_what_is_trimmed_before_it_was_read_is_lost_and_what_was_xdeled_is_not(
    workers: Workers, watch: Watch
) -> None:
    """Both leave the stream; only one was never given to anybody."""
    workers.start()
    workers.put("work", 5)
    workers.settle()
    assert await watch.look() == "ok"
    workers.kill()
    workers.put("work", 5)
    await watch.look()
    workers.redis.xtrim(LIBRARY.stream, maxlen=2, approximate=False)
    assert await watch.look() == "lost"
    assert (watch.value("lag"), watch.value("lost[1h]")) == (2, 3)
    assert watch.alerts() == {"EntriesLost": "firing"}


@only_on("Valkey 9")
async def test_failing_tasks_are_acknowledged_so_only_the_log_can_tell(
    workers: Workers, watch: Watch
) -> None:
    """`failing`: not even the entry is left to look at."""
    workers.start()
    assert await watch.pass_by(12 * MINUTE, put="fail") == ["ok"]
    assert (watch.value("lag"), watch.value("pending")) == (0, 0)
    assert watch.alerts() == {"LogErrors": "firing"}


@only_on("Valkey 9")
async def test_tasks_that_never_end_are_stuck_and_then_stall_the_rest(workers: Workers, watch: Watch) -> None:
    """A worker takes twice its concurrency of 16; what comes then is not even read."""
    workers.start(IDLE_TIMEOUT=NEVER_CLAIM)
    assert await watch.pass_by(8 * MINUTE, put="hang", kept=1) == ["ok", "stuck"]
    assert (watch.value("lag"), watch.value("pending")) == (0, 32)
    assert watch.alerts() == {"GroupStalled": "firing"}
    assert await watch.pass_by(2 * MINUTE, put="hang", settle=False) == ["stuck", "stalled"]
    assert (watch.value("lag"), watch.value("pending")) == (8, 32)


@only_on("Valkey 9")
async def test_what_a_crashed_worker_held_is_claimed_by_its_successor(workers: Workers, watch: Watch) -> None:
    """Within a minute, and unlike others without waiting for traffic."""
    workers.start()
    workers.put("crash")
    workers.ended()
    workers.start()
    assert await watch.pass_by(45 * SECOND) == ["ok"]
    assert watch.value("pending") == 1
    watch.clock.advance(MINUTE)
    workers.settle()
    assert await watch.pass_by(90 * MINUTE, 5 * MINUTE, put="work") == ["ok"]
    assert (watch.value("consumers"), watch.raised) == (2, set())


@only_on("Valkey 9")
async def test_the_sidecar_as_a_process_says_the_same(workers: Workers, running: Running) -> None:
    """`watchdog run`, asked over its API while the clock moves on."""
    workers.start()
    workers.put("work", 3)
    workers.settle()
    until(lambda: running.verdict() == "ok")
    workers.kill()
    workers.put("work", 3)
    workers.place.clock.advance(65 * SECOND)
    until(lambda: running.verdict() == "stalled")
    assert running.alerts() == {"GroupStalled": "pending"}
    workers.place.clock.advance(61 * SECOND)
    until(lambda: running.alerts() == {"GroupStalled": "firing"})
    workers.start()
    until(lambda: running.verdict() == "ok" and not running.alerts())
