"""An application of somebody else's: its file needs no edit to catch a dead worker."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tests.clients import test_faststream, test_taskiq
from tests.clients.workers import Workers
from tests.init.conftest import Ticking, written
from watchdog.audit import look_once
from watchdog.report import Status
from watchdog.sidecar import Sidecar

SERVICES = {"taskiq": ("taskiq",), "faststream": ("orders", "billing")}
LIBRARIES = {"taskiq": test_taskiq.LIBRARY, "faststream": test_faststream.LIBRARY}


async def test_its_file_is_ok_while_the_worker_works_and_tells_its_death(
    app: tuple[str, Workers], tmp_path: Path
) -> None:
    """Healthy: an audit is ok, and nothing is pending. Killed while tasks come in: GroupStalled, within two minutes."""
    name, workers = app
    clock = workers.place.clock
    workers.start()
    for _ in range(10):
        workers.put("work")
        clock.advance(timedelta(seconds=20))
    workers.settle()
    text, config = await written(workers.place.server.url, clock.now(), tmp_path / "state.db")
    assert tuple(s for s in config.services if s not in ("redis", "watchdog")) == SERVICES[name], text
    assert (await look_once(config, clock.now())).status is Status.OK
    ticking = Ticking(Sidecar(config, clock.now))
    assert await ticking.look(clock.now()) == {}

    workers.kill()
    workers.put("work", 3)
    for _ in range(13):
        clock.advance(timedelta(seconds=10))
        alerts = await ticking.look(clock.now())
    assert alerts == {("GroupStalled", SERVICES[name][-1]): "firing"}
    assert (await look_once(config, clock.now())).status is Status.CRITICAL
    await ticking.sidecar.stop()
