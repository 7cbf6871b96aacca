"""What every library lives through, told once: only what differs stands in the libraries' own files."""

from __future__ import annotations

from tests.clients.watching import MINUTE, SECOND, Watch
from tests.clients.workers import Workers

NOTHING_WAITS = {"lag": 0.0, "behind": 0.0, "pending": 0.0, "ghosts": 0.0, "lost[1h]": 0.0}


async def works_then_starves(workers: Workers, watch: Watch) -> None:
    """Work for six minutes, have nothing to do for two hours, and work again: nobody is called."""
    workers.start()
    assert await watch.pass_by(6 * MINUTE, put="work") == ["ok"]
    assert {name: watch.value(name) for name in NOTHING_WAITS} == NOTHING_WAITS
    assert watch.value("provenance") == "reported"
    quiet = {"ok", "polling_in_vain"} if workers.tells_attempts() else {"ok"}  # a word, never an alert
    assert set(await watch.pass_by(120 * MINUTE, 5 * MINUTE)) <= quiet
    assert await watch.pass_by(MINUTE, put="work") == ["ok"]
    assert watch.raised == set()


async def killed_then_restarted(workers: Workers, watch: Watch) -> None:
    """Be killed while entries come in, be told so after a minute, and end it under a new name."""
    workers.start()
    workers.put("work", 3)
    workers.settle()
    assert await watch.look() == "ok"

    workers.kill()
    workers.put("work")  # one alone: a stream that grows by one is not one that is being trimmed
    assert await watch.pass_by(45 * SECOND, 5 * SECOND) == ["ok"]
    workers.put("work", 2)
    assert await watch.pass_by(10 * SECOND, 5 * SECOND) == ["ok"]  # the first may wait for so long
    assert watch.raised == set()
    assert (await watch.pass_by(10 * SECOND, 5 * SECOND))[-1] == "stalled"
    assert (watch.value("lag"), watch.value("pending"), watch.value("lost[1h]")) == (3, 0, 0)
    assert watch.value("provenance") in {"reported", "counted"}
    assert await watch.pass_by(65 * SECOND, 5 * SECOND) == ["stalled"]
    assert watch.alerts() == {"GroupStalled": "firing"}

    workers.start()
    workers.settle()
    assert await watch.look() == "ok"
    assert (watch.alerts(), len(workers.names())) == ({}, 2)
    # The old name stays for ever; as long as it holds nothing it is nobody's fault.
    assert await watch.pass_by(120 * MINUTE, 5 * MINUTE, put="work") == ["ok"]
    assert (watch.value("consumers"), watch.value("ghosts")) == (2, 0)
    assert watch.raised == {"GroupStalled"}


async def never_started(workers: Workers, watch: Watch) -> None:
    """Have work put before any worker ever made the group: it is missing, and that is told."""
    workers.put("work", 3)
    assert await watch.pass_by(90 * SECOND, 5 * SECOND) == ["missing"]
    assert watch.alerts() == {"GroupStalled": "firing"}
