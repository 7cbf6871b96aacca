"""What of telling, silencing and acknowledging is exported."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter

from tests.drawn import T0
from tests.web.conftest import Ask, Desk, config_in
from watchdog.journal import OUTCOMES
from watchdog.notifications import Reason
from watchdog.sidecar import SELF_TESTED, Sidecar
from watchdog.web.metrics import render


def lines(desk: Desk) -> list[str]:
    """Return the exposition, line by line."""
    return render(desk.sidecar).decode().splitlines()


def linted(desk: Desk) -> tuple[int, str]:
    """Return what promtool has to say."""
    promtool = shutil.which("promtool")
    assert promtool, "promtool is needed (apt-get install prometheus)"
    done = subprocess.run(
        [promtool, "check", "metrics"], input=render(desk.sidecar), capture_output=True, check=False
    )
    return done.returncode, (done.stdout + done.stderr).decode()


async def test_every_decision_and_outcome_is_counted_from_zero(desk: Desk) -> None:
    """A rate over a series that appears with its first increase would miss it."""
    found = lines(desk)
    for receiver in ("boss", "ops"):
        for reason in Reason:
            assert f'watchdog_decisions_total{{reason="{reason}",receiver="{receiver}"}} 0.0' in found
        for outcome in OUTCOMES:
            assert f'watchdog_notifications_total{{outcome="{outcome}",receiver="{receiver}"}} 0.0' in found
    for state in ("pending", "active", "expired"):
        assert f'watchdog_silences{{state="{state}"}} 0.0' in found
    assert "watchdog_acknowledged_alerts 0.0" in found


async def test_decisions_silences_and_acknowledgements_are_seen(desk: Desk, ask: Ask) -> None:
    """By the words that log and API use."""
    await desk.tick()
    body = {"matchers": [{"name": "service", "value": "x"}], "duration": "1h", "comment": "x"}
    made = (await ask("POST", "/api/v1/silences", body)).json()["id"]
    await ask("POST", "/api/v1/silences", body | {"startsAt": "2026-02-20T00:00:00Z"})
    await ask("POST", "/api/v1/silences", body)
    await ask("DELETE", f"/api/v1/silences/{made}")
    await ask("POST", f"/api/v1/alerts/{desk.fingerprint('Quiet')}/ack")
    await desk.tick()
    found = lines(desk)
    for line in (
        'watchdog_decisions_total{reason="first",receiver="ops"} 1.0',
        'watchdog_decisions_total{reason="held_by_cause",receiver="boss"} 1.0',
        'watchdog_decisions_total{reason="spared_by_ack",receiver="ops"} 1.0',
        'watchdog_silences{state="active"} 1.0',
        'watchdog_silences{state="pending"} 1.0',
        'watchdog_silences{state="expired"} 1.0',
        "watchdog_acknowledged_alerts 1.0",
        'watchdog_outbox_depth{receiver="ops"} 1.0',
    ):
        assert line in found


async def test_the_sidecars_own_signals_have_names_of_their_own(desk: Desk) -> None:
    """`watchdog` stands once in each."""
    await desk.tick()
    found = lines(desk)
    assert 'watchdog_self_unsaved_seconds{service="watchdog"} 0.0' in found
    assert 'watchdog_self_test{service="watchdog"} 0.0' in found
    assert 'watchdog_receiver_failing_seconds{receiver="ops",service="watchdog"} 0.0' in found
    assert 'watchdog_receiver_refused_total{receiver="ops",service="watchdog"} 0.0' in found
    assert not [line for line in found if re.search(r"watchdog_(watchdog|self_self)", line)]


async def test_no_family_stands_twice_and_promtool_has_nothing_to_say(desk: Desk, ask: Ask) -> None:
    """Before the first look, after it, and with everything that people can say."""
    assert linted(desk) == (0, "")
    await desk.tick()
    await ask("POST", f"/api/v1/alerts/{desk.fingerprint('Quiet')}/ack")
    assert linted(desk) == (0, "")
    helped = Counter(line.split()[2] for line in lines(desk) if line.startswith("# HELP"))
    assert [name for name, times in helped.items() if times > 1] == []
    series = Counter(line.rpartition(" ")[0] for line in lines(desk) if not line.startswith("#"))
    assert [name for name, times in series.items() if times > 1] == []


async def test_the_watcher_that_is_watched_is_seen(desk: Desk) -> None:
    """When a self-test last came through, what became of signs of life, and who holds the lease."""
    assert "watchdog_self_test_last_success_timestamp_seconds 0.0" in lines(desk)
    desk.sidecar.done[SELF_TESTED] = T0
    (line,) = [one for one in lines(desk) if one.startswith("watchdog_self_test_last_success")]
    assert float(line.split()[1]) == T0.timestamp()
    more = "pair: {lease: l}\nping: {url: 'http://127.0.0.1:1/'}"
    paired = Sidecar(config_in(desk.directory, more), desk.clock.now)
    found = render(paired).decode().splitlines()
    for role, is_it in (("holder", "0.0"), ("standby", "1.0"), ("alone", "0.0")):
        assert f'watchdog_pair_role{{role="{role}"}} {is_it}' in found
    for outcome in ("sent", "failed", "withheld"):
        assert f'watchdog_signs_of_life_total{{kind="ping",outcome="{outcome}"}} 0.0' in found
    await paired.stop()
