"""The page of a service: how it stands, why, what it needs, what is measured, what happened, what to type."""

from __future__ import annotations

import asyncio
import html
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest

from tests.drawn import minutes, rows
from tests.web.outage import HOSTILE, Outage, outage
from watchdog.muting import Ack, Silence, parse_matcher
from watchdog.sidecar import Sidecar
from watchdog.timeline import Event, What
from watchdog.verdicts import Verdict
from watchdog.web.app import build_app
from watchdog.web.pages.days import days_of
from watchdog.web.pages.service import page_of, parts_of
from watchdog.web.pages.signals import VERDICT_WORDS

ODD = "a/b <i>"
EXECUTION_LOG = "/var/log/quantum/execution.log"
SERVICES = ("intents", "intent_bridge", "rl_feedback", "rl_trainer", "apply_layer", "execution", ODD)


Ask = Callable[[str], Awaitable[httpx.Response]]


def browser(sidecar: Sidecar) -> Ask:
    """Return what asks *sidecar* as a browser does."""
    transport = httpx.ASGITransport(build_app(sidecar))

    async def ask(path: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9821") as client:
            return await client.get(path, headers={"accept": "text/html"})

    return ask


async def page(ask: Ask, service: str) -> str:
    """Return the page of *service*."""
    answer = await ask(f"/services/{quoted(service)}")
    assert answer.status_code == 200, service
    return answer.text


def quoted(name: str) -> str:
    """Return *name* as one part of an address."""
    return "".join(sign if sign.isalnum() or sign in "_-" else f"%{ord(sign):02X}" for sign in name)


def part(whole: str, id_: str) -> str:
    """Return what the element *id_* shows as text."""
    found = re.search(rf'<(section|article) id="{id_}".*?</\1>', whole, re.DOTALL)
    assert found is not None, id_
    return text(found[0])


def text(found: str) -> str:
    """Return HTML as one reads it."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", found)).split())


@dataclass(frozen=True)
class Seen:
    """The pages of one moment, and the alerts' fingerprints."""

    pages: Mapping[str, str]
    marks: Mapping[tuple[str, str], str]


@pytest.fixture(scope="module")
def moments() -> Mapping[str, Seen]:
    """The pages 2 minutes and 25 minutes after the trainer died, when somebody had said something to it."""

    async def go() -> dict[str, Seen]:
        world, found = outage(), {}
        ask = browser(world.sidecar)
        await world.go_on(minutes(5))
        world.unreadable = EXECUTION_LOG
        await world.go_on(minutes(4))
        world.unreadable = ""
        await world.go_on(minutes(13))
        found["early"] = await seen(world, ask)
        sidecar, now = world.sidecar, world.now
        matchers = (parse_matcher("service=rl_trainer"),)
        sidecar.silence(Silence("s1", matchers, now, now + timedelta(hours=2), "ana", f"new {HOSTILE}"))
        alert = next(a for a in sidecar.alerts.values() if a.name == "HeartbeatMissing")
        assert alert.fired_at is not None
        mark = alert.labels.fingerprint
        sidecar.acknowledge(Ack(mark, alert.fired_at, now, "bob", "chmod is on its way"))
        await world.go_on(minutes(23))
        found["late"] = await seen(world, ask)
        await sidecar.stop()
        return found

    async def seen(world: Outage, ask: Ask) -> Seen:
        marks = {(a.name, a.service): a.labels.fingerprint for a in world.sidecar.alerts.values()}
        return Seen({name: await page(ask, name) for name in SERVICES}, marks)

    return asyncio.run(go())


# ---- at a glance -------------------------------------------------------------------------------

HEADLINES = """
  service       | what is told first
  rl_trainer    | rl_trainer Not working rl_trainer has no heartbeat at quantum:svc:rl_trainer:heartbeat since Feb 19 01:20 UTC, 25m blocks apply_layer , execution
  apply_layer   | apply_layer Not working apply_layer refuses 100% of its work for one reason: risk_layer0_fail:heartbeat_missing cause rl_trainer , which it needs since Feb 19 01:29 UTC, 15m 30s last succeeded 25m ago
  intents       | intents Working since the watchdog began to look, Feb 19 01:00 UTC, 45m
"""


@pytest.mark.parametrize(("service", "told"), rows(HEADLINES), ids=[row[0] for row in rows(HEADLINES)])
def test_the_first_thing_told(moments: Mapping[str, Seen], service: str, told: str) -> None:
    """Whether it works, why not, what the cause is or what it blocks, and since when."""
    assert part(moments["late"].pages[service], "headline") == told


def test_a_service_that_is_blocked_does_not_look_well(moments: Mapping[str, Seen]) -> None:
    """Two minutes after the trainer died there are only some errors, but that it is blocked is said."""
    told = part(moments["early"].pages["execution"], "headline")
    assert told.startswith("execution Working, with warnings, but blocked")
    assert "cause rl_trainer , which it needs" in told


def test_neighbours(moments: Mapping[str, Seen]) -> None:
    """Whom it needs and who needs it, as links with their status, and the drawing with the cause in it."""
    shown = moments["late"].pages["apply_layer"]
    around = part(shown, "around")
    assert "Needs intent_bridge ok rl_trainer critical rl_feedback ok Needed by execution warning" in around
    assert 'aria-label="rl_trainer: critical, the cause"' in shown
    assert 'class="node blocked on-critical here" aria-current="page" href="/services/apply_layer"' in shown
    assert part(moments["late"].pages["intents"], "around").count("nobody") == 1  # it needs nobody
    assert "nobody needs it" in part(moments["late"].pages[ODD], "around")


# ---- alerts ------------------------------------------------------------------------------------


def test_an_alert_with_all_that_is_known_of_it(moments: Mapping[str, Seen]) -> None:
    """Since when, its figures and evidence, whom it blocks, who was told, what to do and to type."""
    late = moments["late"]
    mark = late.marks["UnitRestarting", "rl_trainer"]
    told = part(late.pages["rl_trainer"], f"alert-{mark}")
    for expected in (
        "UnitRestarting · fires since Feb 19 01:20 UTC, 25m",
        "blocks apply_layer , execution",
        "unit.restarts[15m] (90) >= 3",
        "why Failed at step EXEC: /opt/rl/train.sh is not executable",
        f"line {HOSTILE}",
        "What to do: runbook UnitRestarting",
        "watchdog explain UnitRestarting --service rl_trainer",
        "watchdog ack UnitRestarting --service rl_trainer --comment",
        "watchdog silence add alertname=UnitRestarting service=rl_trainer --for 2h",
        "ops told 2026-02-19 01:21:00 UTC, now silenced",
    ):
        assert expected in told
    acknowledged = part(late.pages["rl_trainer"], f"alert-{late.marks['HeartbeatMissing', 'rl_trainer']}")
    assert "acknowledged by bob: chmod is on its way" in acknowledged


def test_a_symptom_names_its_cause(moments: Mapping[str, Seen]) -> None:
    """The alert of what is blocked says who is the cause, and why nobody was told of it by itself."""
    late = moments["late"]
    told = part(late.pages["apply_layer"], f"alert-{late.marks['OneReason', 'apply_layer']}")
    assert "cause: rl_trainer ; it is told together with that" in told
    assert "ops not told: held by cause" in told


def test_what_ended_lately_is_apart(moments: Mapping[str, Seen]) -> None:
    """An alert that ended stays for a while with its times, without commands, below those that go on."""
    early = moments["early"]
    alerts = part(early.pages["execution"], "alerts")
    assert "Ended in the last minutes ended" in alerts
    assert "SignalUnknown · from Feb 19 01:05 UTC to Feb 19 01:09 UTC, 12m 30s ago" in alerts
    assert "silence add alertname=SignalUnknown" not in alerts


def test_silences(moments: Mapping[str, Seen]) -> None:
    """What holds back its alerts is shown with its end, its author and its reason; otherwise that nothing does."""
    late = moments["late"]
    assert f'Holds until Feb 19 03:22 UTC: new {HOSTILE} (ana) service="rl_trainer"' in part(
        late.pages["rl_trainer"], "silences"
    )
    assert part(late.pages["execution"], "silences").startswith(
        "Silences None: whatever is wrong here is told."
    )


# ---- signals -----------------------------------------------------------------------------------

MEASURED = """
  service       | what stands in its signals
  rl_trainer    | age Age of the last beat 25m
  rl_trainer    | state Its state; while it starts or stops, the step as well activating/auto-restart
  rl_trainer    | exit_status Exit status of the main process when it last ended 203
  apply_layer   | succeeded Results that are a success 0 in 10m
  apply_layer   | top_reason The most frequent reason for not succeeding risk_layer0_fail:heartbeat_missing in 10m
  apply_layer   | verdict What is wrong with the group, in one word ok Nothing of all that can be wrong with a group holds.
  apply_layer   | redis-cli XINFO GROUPS quantum:stream:apply.plan redis-cli XPENDING s g
  intents       | length Entries in the stream 10,008
"""


@pytest.mark.parametrize(("service", "expected"), rows(MEASURED), ids=[r[1][:30] for r in rows(MEASURED)])
def test_every_measure_has_its_value_and_meaning(
    moments: Mapping[str, Seen], service: str, expected: str
) -> None:
    """A measure is shown with its unit and what it means; a group's verdict in a sentence; commands to copy."""
    assert expected in text(moments["late"].pages[service])


NEAR = """
  moment | service     | rule and how near it is
  early  | apply_layer | NoExecutions critical fires in 58m if nothing happens
  late   | apply_layer | NoExecutions critical fires in 35m if nothing happens
  early  | execution   | LogErrors warning for 5m holds, fires in
  late   | execution   | LogErrors warning for 5m fires since 2026-02-19 01:27:00 UTC
  late   | rl_trainer  | HeartbeatMissing critical for 30s fires since 2026-02-19 01:20:30 UTC
  late   | rl_trainer  | HeartbeatNoExpiry warning for 1m does not hold heartbeat.ttl (not applicable) == -1s
  late   | rl_trainer  | HeartbeatFrozen warning for 1m fires in 6m if nothing happens
  late   | apply_layer | GroupStalled critical for 1m does not hold
  late   | apply_layer | executions.age (25m) > 1h does not hold executions.offered[1h] (403) > 0 holds
"""


@pytest.mark.parametrize(("moment", "service", "expected"), rows(NEAR), ids=[" ".join(r) for r in rows(NEAR)])
def test_how_far_each_rule_is_from_firing(
    moments: Mapping[str, Seen], moment: str, service: str, expected: str
) -> None:
    """A rule says whether it fires, will fire by time alone, holds already, or is far away, with its figures."""
    assert expected in text(moments[moment].pages[service])


def test_curves_say_what_they_show(moments: Mapping[str, Seen]) -> None:
    """Each curve has its words, its threshold where it is in sight, and is open where nobody could look."""
    late = moments["late"].pages
    assert 'aria-label="6 to 12 a minute' in late["apply_layer"] or "a minute, now 0" in late["apply_layer"]
    assert '<path class="mark"' in late["rl_trainer"]
    assert '<path class="dim"' in late["execution"]


# ---- what happened -----------------------------------------------------------------------------


def test_the_timeline_tells_it_newest_first(moments: Mapping[str, Seen]) -> None:
    """States, alerts, restarts, what people said and when nobody could look, by day, in UTC."""
    told = part(moments["late"].pages["rl_trainer"], "timeline")
    assert told.startswith(
        "Timeline Thursday, 19 February 2026 UTC 01:45:00 restart quantum-rl-trainer.service"
    )
    expected = (
        "acknowledged HeartbeatMissing: by bob: chmod is on its way",
        f"silenced by ana, for 2h: new {HOSTILE}",
        "fires HeartbeatMissing: rl_trainer has no heartbeat",
        "ok → critical",
        "watchdog started",
    )
    places = [told.index(one) for one in expected]
    assert places == sorted(places)
    unknown = part(moments["late"].pages["execution"], "timeline")
    assert "ok → unknown log cannot be told" in unknown


def test_a_restart_loop_is_one_line() -> None:
    """Thirty thousand restarts with nothing in between are told once, with their number."""
    begin = outage().now
    events = [
        Event(begin + timedelta(seconds=i), "s", What.RESTART, "unit restarted") for i in range(3_000, 0, -1)
    ]
    events.insert(2_000, Event(begin + timedelta(seconds=1_000), "s", What.ACK, "by bob", alertname="A"))
    [day] = days_of(events)
    assert [entry.text for entry in day.entries] == [
        "unit restarted; seen 1999 more times since 01:16:41",
        "A: by bob",
        "unit restarted; seen 999 more times since 01:00:01",
    ]


def test_the_strip_shows_the_day(moments: Mapping[str, Seen]) -> None:
    """How long it stood how, the worst first, and for how long nobody looked."""
    assert "In the last 1d: critical for 25m, ok for 19m 30s, nobody looked for 23h 15m." in part(
        moments["late"].pages["rl_trainer"], "strips"
    )


# ---- what must never be ------------------------------------------------------------------------


def test_nothing_from_outside_gets_into_the_page(moments: Mapping[str, Seen]) -> None:
    """What logs, units, people and names say is text; there is no inline style, no script, no foreign source."""
    for shown in moments["late"].pages.values():
        assert "<script>" not in shown
        assert "<i>" not in shown
        assert not re.search(r"\sstyle=|\son\w+=|javascript:", shown)
        assert not re.search(
            r'(src|href)="(?!/|#|data:)', shown.replace('href="https://github.com', 'href="/')
        )
        ids = re.findall(r'\sid="([^"]+)"', shown)
        assert len(ids) == len(set(ids))


async def test_an_unknown_service_is_not_there() -> None:
    """A misspelt name is a 404 with the cure, as a page; before the first look there is none at all."""
    world = outage()
    ask = browser(world.sidecar)
    assert (await ask("/services/execution")).status_code == 503
    await world.go_on(minutes(1))
    answer = await ask("/services/executoin%3Cb%3E")
    assert answer.status_code == 404
    assert 'There is no service “executoin<b>” did you mean "execution"?' in text(answer.text)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for own in ("redis", "watchdog"):  # alerts of the sidecar's own lead here, too
        assert (await ask(f"/services/{own}")).status_code == 200
    await world.sidecar.stop()


async def test_a_page_of_a_watchdog_that_stopped_looking_is_not_green() -> None:
    """Once there are no looks the page says that nothing is known, whatever was seen last."""
    world = outage()
    await world.go_on(minutes(2))
    world.clock.time += minutes(10)
    shown = await page(browser(world.sidecar), "intents")
    assert part(shown, "headline").startswith("intents Unknown the watchdog itself has stopped looking")
    assert 'class="stale"' in shown
    assert "<title>intents: Unknown · Pipeline Watchdog</title>" in shown
    await world.sidecar.stop()


async def test_an_open_page_hears_only_what_changed() -> None:
    """From one look to the next figures change, and what nobody touched is not sent again; then the fault is."""
    world = outage(dead_after=2)
    await world.go_on(minutes(1))

    def drawn() -> Mapping[str, str]:
        assert world.sidecar.latest is not None
        return parts_of(page_of(world.sidecar, world.sidecar.latest, "rl_trainer", world.now)).html

    before = drawn()
    await world.go_on(timedelta(seconds=30))
    after = drawn()
    assert {id_ for id_ in after if after[id_] != before[id_]} <= {"strips", *signals_of(after)}
    await world.go_on(minutes(2))
    late = drawn()
    assert {"headline", "around", "alerts", "timeline"} <= {id_ for id_ in late if late[id_] != after[id_]}
    assert 'data-status="critical"' in late["headline"]
    began = time.process_time()
    drawn()
    assert time.process_time() - began < 0.1  # measured: 0.008
    await world.sidecar.stop()


async def test_a_service_with_hundreds_of_signals_stays_a_page() -> None:
    """Those with which something is wrong are shown whole, as many as fit; others by name, then by number."""
    logs = "".join(f"      - {{path: /var/log/{i}.log}}\n" for i in range(340))
    world = outage(
        rules=f"""
redis: {{url: "redis://127.0.0.1:1", timeout: 500ms}}
every: 30s
services:
  many:
    log:
{logs}"""
    )
    world.unreadable = "/var/log/333.log"
    await world.go_on(minutes(1))
    shown = await page(browser(world.sidecar), "many")
    ids = re.findall(r'<article id="(signal-[0-9a-f]+)"', shown)
    assert len(ids) == 30
    assert "log unknown path /var/log/333.log permission denied" in part(shown, ids[0])
    assert "and 10 more" in text(shown)
    await world.sidecar.stop()


def signals_of(parts: Mapping[str, str]) -> set[str]:
    """Return the ids of the signals."""
    return {id_ for id_ in parts if id_.startswith("signal-")}


def test_every_verdict_has_its_sentence() -> None:
    """No word a group can get is left without what it means."""
    assert set(VERDICT_WORDS) == {str(verdict) for verdict in Verdict}
    assert all(words.endswith(".") for words in VERDICT_WORDS.values())
