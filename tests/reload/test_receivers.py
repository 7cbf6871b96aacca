"""Who is told changes with the rules file: what waits for who stays is brought, what waits for who went is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from structlog.testing import capture_logs

from tests.outgoing import Scripted, answers, until
from tests.reload.conftest import RULES, SERVICES, Rig

HEAD = """
redis: redis://127.0.0.1:1
every: 1m
builtin_rules: off
notifications: {group_wait: 0s, group_interval: 0s}
"""


@pytest.fixture
def served(rig: Rig, httpserver: HTTPServer) -> tuple[Rig, dict[str, Scripted]]:
    """Somebody who takes everything at each of two addresses."""
    doors = {name: Scripted() for name in ("one", "two")}
    for name, door in doors.items():
        httpserver.expect_request(f"/{name}").respond_with_handler(door)
    rig.places = {name: httpserver.url_for(f"/{name}") for name in doors}
    return rig, doors


def with_receivers(rig: Rig, **addresses: str) -> str:
    """Return rules with receivers at addresses."""
    hooks = [f"{name}: {{webhook: {{url: {rig.places.get(at, at)}}}}}" for name, at in addresses.items()]
    return f"{HEAD}receivers: {{{', '.join(hooks)}}}" + SERVICES + RULES


def taken(door: Scripted) -> list[str]:
    """Return what was told at a door: of which service, and whether it begins or ends."""
    told = [alert for _, body in door.asked for alert in json.loads(body)["alerts"]]
    return [
        f"{alert['labels']['service']} {alert['status']}"
        for alert in told
        if alert["annotations"].get("reason")
    ]


async def test_what_waits_goes_by_the_new_way(served: tuple[Rig, dict[str, Scripted]]) -> None:
    """At once, though the old address had it wait for long; what was told is not told again."""
    rig, doors = served
    doors["one"].answers = answers(503, retry_after="3600")
    rig.begin(with_receivers(rig, hook="one"))
    rig.sidecar.outbox.start()
    await rig.tick(a="test")
    await until(lambda: doors["one"].asked)
    await until(lambda: rig.sidecar.outbox.health("hook").failing_since is not None)
    await rig.reload(with_receivers(rig, hook="two"))
    await until(lambda: taken(doors["two"]) == ["a firing"])
    await rig.tick(a="live")
    await until(lambda: taken(doors["two"]) == ["a firing", "a resolved"])
    assert len(doors["one"].asked) == 1


async def test_what_is_told_leads_to_where_the_file_says(served: tuple[Rig, dict[str, Scripted]]) -> None:
    """A message of after the change has the new address of the pages."""
    rig, doors = served
    rig.begin(with_receivers(rig, hook="one"))
    rig.sidecar.outbox.start()
    await rig.reload(with_receivers(rig, hook="one") + "link: http://there\n")
    await rig.tick(a="test")
    await until(lambda: doors["one"].asked)
    assert b"http://there/" in doors["one"].asked[0][1]


async def test_who_stays_keeps_its_patience(served: tuple[Rig, dict[str, Scripted]]) -> None:
    """Another one beside it is told at once; who asked for an hour of rest has it."""
    rig, doors = served
    doors["one"].answers = answers(503, retry_after="3600")
    rig.begin(with_receivers(rig, hook="one"))
    rig.sidecar.outbox.start()
    await rig.tick(a="test")
    await until(lambda: rig.sidecar.outbox.health("hook").failing_since is not None)
    await rig.reload(with_receivers(rig, hook="one", other="two"))
    await rig.tick()
    await until(lambda: taken(doors["two"]) == ["a firing"])
    assert (len(doors["one"].asked), rig.sidecar.outbox.depth("hook")) == (1, 1)


async def test_what_waits_for_who_went_is_dropped_with_a_record(
    served: tuple[Rig, dict[str, Scripted]],
) -> None:
    """It is counted, logged and kept as dropped; nothing is owed to who is no more, and who is back begins anew."""
    rig, doors = served
    both = with_receivers(rig, hook="one", gone="http://127.0.0.1:9/")
    rig.begin(both)
    rig.sidecar.outbox.start()
    await rig.tick(a="test")
    await until(lambda: taken(doors["one"]) == ["a firing"])
    with capture_logs() as logs:
        await rig.reload(with_receivers(rig, hook="one"))
    (line,) = (line for line in logs if line["event"] == "notification")
    assert (line["receiver"], line["outcome"], line["why"]) == (
        "gone",
        "dropped",
        "the receiver is no longer in the rules file",
    )
    assert rig.sidecar.outbox.outcomes["gone", "dropped"] == 1
    await rig.tick(a="live")
    await until(lambda: taken(doors["one"]) == ["a firing", "a resolved"])
    assert {name for name, _ in rig.sidecar.receipts} <= {"hook"}
    assert rig.sidecar.outbox.working
    await rig.reload(both)
    assert rig.sidecar.outbox.waiting("gone") == []


async def test_who_went_in_the_middle_of_a_message_may_take_it(
    served: tuple[Rig, dict[str, Scripted]],
) -> None:
    """What is being sent comes to its end; it is not recorded as dropped."""
    rig, doors = served
    doors["one"].hold_at = 1
    rig.begin(with_receivers(rig, hook="one", other="two"))
    rig.sidecar.outbox.start()
    await rig.tick(a="test")
    await until(lambda: doors["one"].asked)
    await rig.reload(with_receivers(rig, other="two"))
    doors["one"].go_on.set()
    await until(lambda: rig.sidecar.outbox.outcomes["hook", "sent"] == 1)
    assert rig.sidecar.outbox.outcomes["hook", "dropped"] == 0


async def test_what_waits_outlives_reload_and_restart(rig: Rig, tmp_path: Path) -> None:
    """The state file knows of the change: another process begins where this one stood."""
    rig.places = {}
    rig.state = str(tmp_path / "state.db")
    both = with_receivers(rig, hook="http://127.0.0.1:9/", gone="http://127.0.0.1:9/")
    rig.begin(both)
    await rig.tick(a="test")
    await rig.reload(with_receivers(rig, hook="http://127.0.0.1:9/"))
    await rig.sidecar.stop()
    rig.begin(both)
    assert (rig.told("hook"), rig.told("gone")) == (["Wrong a first"], [])
