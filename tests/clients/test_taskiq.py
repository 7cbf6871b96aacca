"""taskiq's RedisStreamBroker: acknowledges whatever became of a task, claims what is idle for ten minutes."""

from __future__ import annotations

from tests.clients import stories
from tests.clients.conftest import only_on
from tests.clients.watching import MINUTE, SECOND, Watch
from tests.clients.workers import Library, Workers, until

LIBRARY = Library(
    app="tests.clients.apps.with_taskiq",
    stream="taskiq",
    group="taskiq",
    worker=("taskiq", "worker", "--workers", "1", "tests.clients.apps.with_taskiq:broker"),
    loads=("taskiq.cli.worker.run", "taskiq_redis", "tests.clients.apps.orders"),
)


async def test_a_working_and_then_starving_worker_is_left_alone(workers: Workers, watch: Watch) -> None:
    """`working` and `starved`."""
    await stories.works_then_starves(workers, watch)


async def test_a_killed_worker_is_told_until_another_takes_over(workers: Workers, watch: Watch) -> None:
    """`killed`, and `restarted` under a new name."""
    await stories.killed_then_restarted(workers, watch)


@only_on("Valkey 9")
async def test_a_worker_never_started_is_told(workers: Workers, watch: Watch) -> None:
    """The group is made by whoever starts first."""
    await stories.never_started(workers, watch)


async def test_a_worker_gone_before_its_first_task_is_told(workers: Workers, watch: Watch) -> None:
    """Before 7.2 a consumer has no name until it was given an entry: to Redis nobody was ever there."""
    workers.start()
    workers.kill()
    known = len(workers.names())
    workers.put("work", 3)
    verdicts = await watch.pass_by(70 * SECOND, 5 * SECOND)
    assert verdicts == ["ok", "stalled" if known else "unread"]
    assert (watch.value("consumers"), watch.value("lag")) == (known, 3)
    status, first = watch.first_audit()
    assert (status, first["values"]["verdict"], first["values"]["lag"]) == (2, verdicts[-1], 3)


@only_on("Valkey 9")
async def test_failing_tasks_are_acknowledged_so_only_the_log_can_tell(
    workers: Workers, watch: Watch
) -> None:
    """`failing`: the outage's own pattern, and the group is right to say ok."""
    workers.start()
    assert await watch.pass_by(12 * MINUTE, put="fail") == ["ok"]
    assert (watch.value("lag"), watch.value("pending")) == (0, 0)
    assert watch.alerts() == {"LogErrors": "firing"}


@only_on("Valkey 9")
async def test_tasks_that_never_end_are_stuck(workers: Workers, watch: Watch) -> None:
    """Read, never acknowledged: nothing waits and nothing is done."""
    workers.start()
    assert await watch.pass_by(8 * MINUTE, put="hang", kept=1) == ["ok", "stuck"]
    assert (watch.value("lag"), watch.value("pending")) == (0, 32)
    assert watch.alerts() == {"GroupStalled": "firing"}


@only_on("Valkey 9")
async def test_a_task_that_hangs_among_others_is_poison_once_claimed_again_and_again(
    workers: Workers, watch: Watch
) -> None:
    """The worker claims its own running task every ten minutes, as `idle_timeout` bids."""
    workers.start()
    workers.put("hang")
    workers.settle(1)
    for times in range(2, 6):
        watch.clock.advance(11 * MINUTE)
        workers.put("work")
        workers.delivered(times)
        assert await watch.look() == ("poison" if times == 5 else "ok")
    assert watch.alerts() == {"PoisonEntry": "pending"}
    assert await watch.pass_by(6 * MINUTE, MINUTE, put="work", left=1) == ["poison"]
    assert watch.alerts() == {"PoisonEntry": "firing"}
    assert watch.raised == {"PoisonEntry"}


@only_on("Valkey 9")
async def test_what_a_crashed_worker_held_is_claimed_by_its_successor(workers: Workers, watch: Watch) -> None:
    """taskiq's own supervisor starts the successor; with traffic nothing stays behind for long."""
    workers.start()
    workers.put("crash")
    until(lambda: len(workers.names()) == 2)
    assert await watch.pass_by(9 * MINUTE, MINUTE, put="work", left=1) == ["ok"]
    watch.clock.advance(2 * MINUTE)
    workers.put("work")  # only a reader that was given something looks for what others left
    workers.settle()
    assert await watch.look() == "ok"
    assert await watch.pass_by(90 * MINUTE, 5 * MINUTE, put="work") == ["ok"]
    assert (watch.value("consumers"), watch.raised) == (2, set())
