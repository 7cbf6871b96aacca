"""What windows hold outlives another rules file: no step is invented, none is lost, and no zero is claimed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.drawn import T0, minutes
from tests.reload.conftest import HEAD, MINUTE, Rig
from watchdog.history import History
from watchdog.model import AtLeast, Counted, Labels, Reading, SignalKey, Value

LOG = """
services:
  a: {log: {path: FOLDER/log}}
rules:
  - {alert: Errors, when: "log.errors[10m] >= 3", severity: critical}
"""
KEY = SignalKey("a", "log", Labels(path="/l"))
COUNTER = ("log", "errors")
OTHERS = {
    "another threshold": HEAD + LOG.replace(">= 3", ">= 4"),
    "a longer window": HEAD + LOG.replace("10m", "3h"),
    "a signal that is read in another way": HEAD + LOG.replace("FOLDER/log", "FOLDER/log, expect_every: 5m"),
    "a counter that nobody asked for": HEAD
    + LOG
    + '  - {alert: Lines, when: "log.lines[5m] > 99", severity: info}\n',
    "another interval": HEAD.replace("every: 1m", "every: 30s") + LOG,
    "another service beside it": HEAD
    + LOG.replace("rules:", "  b: {settings: {file: FOLDER/b, require: {MODE: live}}}\nrules:"),
}


def errors(rig: Rig, window: timedelta = 10 * MINUTE) -> Value:
    """Return how many errors there were in a window."""
    (key,) = (key for key in rig.sidecar.fleet.signals if key.kind == "log")
    return rig.sidecar.history.increase(key, "errors", window, rig.hands())


@pytest.mark.parametrize("rules", OTHERS.values(), ids=OTHERS.keys())
async def test_a_window_holds_what_it_held(rig: Rig, rules: str) -> None:
    """Errors of before and after the change are counted once each, an hour that is not covered included."""
    rig.log("error", at=T0 - timedelta(hours=2))
    rig.begin(HEAD + LOG)
    await rig.tick()
    seen: list[Value] = []
    for minute in range(4):
        rig.log("error", "info")
        if minute == 2:
            await rig.reload(rules)
        await rig.tick()
        seen.append(errors(rig))
    assert seen == [1.0, 2.0, 3.0, 4.0]
    assert errors(rig, timedelta(hours=3)) in (5.0, AtLeast(4.0), AtLeast(5.0))
    assert (errors(rig, timedelta(hours=3)) == 5.0) == ("3h" in rules)
    assert rig.told() == ["Errors a first"]


async def test_an_error_between_the_last_look_and_the_change_is_counted(rig: Rig) -> None:
    """The signal that takes the place of the other goes on where that one had read to."""
    rig.begin(HEAD + LOG.replace(">= 3", "> 0"))
    rig.log("info")
    await rig.tick()
    rig.log("error")
    await rig.reload(HEAD + LOG.replace(">= 3", "> 0").replace("FOLDER/log", "FOLDER/log, expect_every: 5m"))
    await rig.tick()
    assert (errors(rig), rig.told()) == (1.0, ["Errors a first"])


# ---- the history itself --------------------------------------------------------------------------


def reading(at: int, *steps: float, since: int = 0) -> Reading:
    """Return a look at a minute that found errors at such minutes, knowing all since another."""
    counted = Counted(T0 + since * MINUTE, tuple((T0 + step * MINUTE, 1.0) for step in steps))
    return Reading(KEY, T0 + at * MINUTE, counts={("errors", ""): counted})


def increase(history: History, at: int, window: int) -> Value:
    """Return what came in so many minutes before a minute."""
    return history.increase(KEY, "errors", minutes(window), T0 + at * MINUTE)


def test_what_nobody_asked_for_is_not_known_to_be_nothing() -> None:
    """Its steps were not kept: from the moment somebody asks it is counted, and before is a lower bound."""
    history = History(timedelta(hours=1), asked=frozenset())
    history.add([reading(0)])
    history.add([reading(1, 0.5, 0.7)])
    history.ask(frozenset({COUNTER}), T0 + MINUTE)
    assert (increase(history, 1, 1), history.totals(KEY)) == (AtLeast(0.0), {"errors": 2.0})
    history.add([reading(3, 2)])
    assert (increase(history, 3, 2), increase(history, 3, 3)) == (1.0, AtLeast(1.0))
    assert history.totals(KEY) == {"errors": 3.0}
    history.ask(frozenset(), T0 + 4 * MINUTE)
    assert history.totals(KEY) == {"errors": 3.0}


def test_a_first_look_of_another_signal_replaces_what_was_counted() -> None:
    """Only once it succeeds; until then the window holds what it held."""
    history = History(timedelta(hours=1))
    history.add([reading(5, 1, 2, 3)])
    history.renew([KEY])
    history.add([Reading(KEY, T0 + 6 * MINUTE, trouble="no answer")])
    assert history.last_step(KEY, "errors") == (T0 + 3 * MINUTE).timestamp()
    history.add([reading(7, 1, 2, 3, 6)])
    assert (increase(history, 7, 7), history.new(KEY)) == (4.0, True)
    history.add([reading(8, 8)])
    assert (increase(history, 8, 8), history.new(KEY)) == (5.0, False)
