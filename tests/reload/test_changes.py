"""Another rules file takes the place of the one in force: what stays goes on, what went is told to have ended."""

from __future__ import annotations

import gc
import weakref
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from tests.drawn import T0, minutes
from tests.reload.conftest import HEAD, MINUTE, RULES, SERVICES, WHOLE, Rig
from watchdog.garbage import keep_for_good
from watchdog.muting import Ack, Matcher, Silence

ENDS = {
    "rule removed": (HEAD + SERVICES + RULES.replace("Wrong", "Other"), "rule removed"),
    "service removed": (HEAD + SERVICES.replace("  a: ", "  c: ") + RULES, "service removed"),
    "signal removed": (
        WHOLE.replace("a: {settings: {file: FOLDER/a", "a: {settings: {file: FOLDER/b"),
        "signal removed",
    ),
    "off in all services": (WHOLE + "  - {alert: Other, when: settings.violations > 9}\n", None),
    "off in the service": (
        WHOLE.replace('"live"}}}\n  b', '"live"}}, rules: {Wrong: {off: "we know"}}}\n  b'),
        "rule removed (off: we know)",
    ),
    "other severity": (WHOLE.replace("critical", "warning"), "its severity is warning now"),
    "not for this service": (
        WHOLE.replace("severity", "except: [a], severity"),
        "rule changed, it no longer looks at this",
    ),
}


@pytest.mark.parametrize(("rules", "why"), ENDS.values(), ids=ENDS.keys())
async def test_what_was_removed_ends_and_who_heard_of_it_is_told_why(
    rig: Rig, rules: str, why: str | None
) -> None:
    """With the next look, in the words of the log, the message and the alert; nothing else is told."""
    rig.begin()
    await rig.tick(a="test")
    assert rig.told() == ["Wrong a first"]
    await rig.reload(rules)
    with capture_logs() as logs:
        await rig.tick()
    ends = [] if why is None else [f"Wrong a resolved {why}"]
    assert [said for said in rig.told()[1:] if "resolved" in said] == ends
    assert [line["ended"] for line in logs if line["event"] == "alert" and "ended" in line] == [why][
        : len(ends)
    ]


CONDITIONS = {
    "the same": (WHOLE, "firing"),
    "still holds": (WHOLE.replace("> 0", ">= 1"), "firing"),
    "holds no longer": (WHOLE.replace("> 0", "> 1"), "resolved"),
    "would wait": (WHOLE.replace("severity", "for: 1h, severity"), "firing"),
    "looks elsewhere as well": (WHOLE.replace("b: {", "b: {flag: {key: x}, "), "firing"),
    "asked rarely": (WHOLE.replace("a, require", "a, every: 1h, require"), "firing"),
    "asks more": (WHOLE.replace('a, require: {MODE: "live"', 'a, require: {MODE: "live", X: "1"'), "firing"),
}


@pytest.mark.parametrize(("rules", "state"), CONDITIONS.values(), ids=CONDITIONS.keys())
async def test_what_stays_goes_on(rig: Rig, rules: str, state: str) -> None:
    """An alert that fires is judged by the new condition, is the same firing, and is not told once more."""
    rig.begin()
    await rig.tick(a="test")
    await rig.reload(rules)
    await rig.tick()
    found = rig.alerts["Wrong a"]
    assert (str(found.state), found.fired_at) == (state, T0 + MINUTE)
    assert rig.told() == ["Wrong a first", *(["Wrong a resolved"] if state == "resolved" else [])]


async def test_the_time_to_wait_goes_on(rig: Rig) -> None:
    """What is pending fires when it would have; with a shorter `for` that is at once."""
    slowly = WHOLE.replace("severity", "for: 5m, severity")
    rig.begin(slowly)
    await rig.tick(a="test", b="test")
    for _ in range(4):
        await rig.reload(slowly.replace("b: {", "b: {needs: [a], "))
        await rig.tick()
    assert set(rig.states.values()) == {"pending"}
    await rig.reload(slowly)
    await rig.tick()
    assert rig.alerts["Wrong a"].fired_at == T0 + minutes(6)


async def test_what_people_said_stays(rig: Rig) -> None:
    """Who is silenced stays so, whatever the file says by now; so does who was seen."""
    rig.begin()
    await rig.tick(a="test")
    sidecar, fired = rig.sidecar, rig.alerts["Wrong a"]
    sidecar.acknowledge(Ack(fired.labels.fingerprint, T0 + MINUTE, rig.hands(), "ana"))
    sidecar.silence(Silence("1", (Matcher("service", "=", "b"),), T0, T0 + minutes(60), "ana", ""))
    said = sidecar.wishes
    await rig.reload(WHOLE.replace("> 0", ">= 1"))
    assert sidecar.wishes == said
    await rig.tick(b="test")
    assert (list(sidecar.wishes.silences), list(sidecar.wishes.acks)) == (["1"], [fired.labels.fingerprint])
    assert (rig.states["Wrong b"], rig.told()) == ("firing", ["Wrong a first"])


async def test_the_same_file_changes_nothing(rig: Rig) -> None:
    """The same signals go on with the same alerts and windows, and nobody is told anything."""
    rig.begin()
    await rig.tick(a="test")
    sidecar = rig.sidecar
    signals, sources = dict(sidecar.fleet.signals), [*sidecar.fleet.sources]
    couriers, alerts = dict(sidecar.outbox._couriers), rig.alerts
    with capture_logs() as logs:
        await rig.reload()
        assert rig.alerts == alerts
        await rig.tick()
    assert all(sidecar.fleet.signals[key] is signal for key, signal in signals.items())
    assert [one is other for one, other in zip(sidecar.fleet.sources, sources, strict=True)] == [True] * len(
        sources
    )
    assert all(sidecar.outbox._couriers[name] is courier for name, courier in couriers.items())
    assert [line for line in logs if line["event"] in ("alert", "decision", "notification")] == []
    assert rig.told() == ["Wrong a first"]


async def test_a_look_that_is_due_rarely_is_not_taken_early(rig: Rig) -> None:
    """A reload is no look of its own for what stays."""
    rarely = WHOLE.replace("every: 1m", "every: 1m").replace("FOLDER/a,", "FOLDER/a, every: 1h,")
    rig.begin(rarely)
    await rig.tick()
    await rig.reload(rarely.replace("> 0", ">= 1"))
    await rig.tick(a="test")
    assert rig.states == {}
    await rig.tick(timedelta(hours=1))
    assert rig.states == {"Wrong a": "firing"}


async def test_what_is_put_back_is_as_if_it_had_never_gone(rig: Rig) -> None:
    """An alert that was told to have ended begins anew; people's words were kept all the while."""
    rig.begin()
    await rig.tick(a="test")
    await rig.reload(HEAD + SERVICES.replace("  a: ", "  c: ") + RULES)
    await rig.tick()
    await rig.reload(WHOLE)
    await rig.tick()
    assert rig.told() == [
        "Wrong a first",
        "Wrong a resolved service removed",
        "Wrong c first",
        "Wrong a first",
        "Wrong c resolved service removed",
    ]


async def test_nothing_is_left_of_a_hundred_reloads(rig: Rig) -> None:
    """What each file was made into is gone with it: signals, sources, rules, what was known of them."""
    other = WHOLE.replace("b, require", "b, every: 2m, forbid: [X], require").replace("> 0", ">= 1")
    rig.begin()
    counts = []
    for often in (5, 25, 25):
        for _ in range(often):
            for rules in (other, WHOLE):
                await rig.reload(rules)
                await rig.tick(timedelta(seconds=1))
        gc.collect()
        counts.append(len(gc.get_objects()))
    assert counts[2] - counts[1] < 100, counts


async def test_a_file_that_was_replaced_is_forgotten_whole(rig: Rig) -> None:
    """Though all there was at the start was taken to be there for good."""
    rig.begin()
    await rig.tick()
    keep_for_good()
    before = [
        weakref.ref(found) for found in (rig.sidecar.config.binder, *rig.sidecar.fleet.signals.values())
    ]
    await rig.reload(WHOLE.replace("live", "paper"))
    gone = sum(found() is None for found in before)
    assert (before[0](), gone) == (None, 3)
