"""What is beside the ticks follows the rules file too: ping, traces, tape and reports."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from tests.outgoing import Scripted, until
from tests.reload.conftest import MINUTE, WHOLE, Rig
from tests.signals.test_otlp import STREAMS, flight
from watchdog.commands.running import Beside
from watchdog.otlp import TraceExport
from watchdog.spans import Finished
from watchdog.tape import read_ticks
from watchdog.vigil import Ping
from watchdog.web.app import build_app

OFTEN = WHOLE.replace("every: 1m", "every: 100ms")
REPORT = 'reports: [{cron: "* * * * *", what: all_clear, to: [hook]}]\n'


@pytest.fixture
def doors(httpserver: HTTPServer) -> dict[str, Scripted]:
    """Somebody who takes everything at each of two addresses."""
    doors = {httpserver.url_for(f"/{name}"): Scripted() for name in ("one", "two")}
    for url, door in doors.items():
        httpserver.expect_request(f"/{url.rpartition('/')[2]}").respond_with_handler(door)
    return doors


@pytest.fixture
async def beside(rig: Rig) -> Beside:
    """What is beside a sidecar, as `watchdog run` has it."""
    rig.begin(OFTEN)
    beside = Beside(rig.sidecar, "127.0.0.1")
    beside.export()
    beside.guard = build_app(rig.sidecar, beside.access())
    return beside


async def change(rig: Rig, beside: Beside, rules: str) -> None:
    """Have another file in force, beside the sidecar as well."""
    await rig.reload(rules)
    await beside.fit(rig.sidecar.config)


async def test_the_ping_goes_where_the_file_says(rig: Rig, doors: dict[str, Scripted]) -> None:
    """From the next tick on, by a client of its own; that of the old one is closed."""
    rig.begin(OFTEN)
    rig.sidecar.start()
    pings: list[Ping] = []
    for url, door in doors.items():
        await rig.reload(f"{OFTEN}ping: {{url: '{url}', every: 100ms}}\n")
        await until(lambda door=door: len(door.asked) > 1)  # type: ignore[misc]
        pings += (one for one in rig.sidecar.witnesses if isinstance(one, Ping))
    await rig.reload(OFTEN)
    assert rig.sidecar.witnesses == []
    assert [ping._client is not None and ping._client.is_closed for ping in pings] == [True, True]


async def test_traces_go_where_the_file_says(rig: Rig, beside: Beside, doors: dict[str, Scripted]) -> None:
    """Each that is finished from then on; what did the sending before has let go of its connections."""
    rig.sidecar.start()
    exports: list[TraceExport] = []
    for url, door in doors.items():
        await change(rig, beside, f"{OFTEN}traces: {{otlp: '{url}'}}\n")
        (export,) = (one for one in rig.sidecar.witnesses if isinstance(one, TraceExport))
        export.take([Finished(flight(), STREAMS)])
        exports.append(export)
        await until(lambda: rig.sidecar.pulse.exported["sent"] == len(exports))
        assert len(door.asked) == 1
    await change(rig, beside, OFTEN + "link: http://there\n")
    assert rig.sidecar.witnesses == []
    assert [one._client is not None and one._client.is_closed for one in exports] == [True, True]


async def test_a_tape_begins_and_ends_with_the_file(rig: Rig, beside: Beside, tmp_path: Path) -> None:
    """Each holds the ticks of its time, and is whole; none is held open."""
    begun = rig.hands() + MINUTE
    paths = [tmp_path / name for name in ("one.rec", "two.rec")]
    for path in paths:
        await change(rig, beside, f"{OFTEN}record: {{path: {path}}}\n")
        for _ in range(3):
            await rig.tick()
        await change(rig, beside, f"{OFTEN}record: {{path: {path}}}\nlink: http://there\n")
    await change(rig, beside, OFTEN)
    await rig.tick()
    for path in paths:
        with path.open("rb") as file:
            ticks = [tick.at for tick in read_ticks(file) if not tick.anew]  # the first says how all stood
        assert ticks == [begun + n * MINUTE for n in range(3)]
        begun += 3 * MINUTE
    held = {os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")}
    assert held.isdisjoint(map(str, paths))


async def test_a_report_is_told_from_the_reload_on(rig: Rig) -> None:
    """The first at its next time and not for times that have passed; none once the file asks for none."""
    rig.begin()
    told = []
    for rules in (WHOLE, WHOLE + REPORT, WHOLE + REPORT, WHOLE):
        await rig.reload(rules)
        await rig.tick(0 * MINUTE)
        told.append(len(rig.sidecar.outbox.waiting("hook")))
        await rig.tick()
        told.append(len(rig.sidecar.outbox.waiting("hook")))
    assert told == [0, 0, 0, 1, 1, 2, 2, 2]
