"""Learned silence on real servers: from what a stream remembers, kept up, kept over a restart, told to the rules."""

from __future__ import annotations

from typing import Any

import pytest

from tests.drawn import ids, rows
from tests.signals.conftest import Bench, signal_of
from tests.signals.judged import alerts
from tests.signals.watching import Watcher
from watchdog.builtin import BUILTIN
from watchdog.model import AtLeast, Reading, Value
from watchdog.rhythm import DAY, HOUR, LEAST, Rhythm
from watchdog.signals.base import RedisSignal
from watchdog.signals.executions import Executions
from watchdog.signals.stream import share_out

MINUTE = 60.0
RESULT = {"status": "filled"}
DAYS = 9
on_one_server = pytest.mark.parametrize("redis_server", ["Valkey 9"], indirect=True, ids=["Valkey 9"])
"""What Redis answers is the same everywhere; that it is, one test shows of streams and one of results."""


def a_history(bench: Bench, stream: str, gap: float, ends: float = 0.0) -> None:
    """Add what came so far apart for nine days, the last *ends* seconds before the test began."""
    moments = [-ends - i * gap for i in range(int(DAYS * DAY / gap))]
    pipe = bench.client.pipeline(transaction=False)
    for at in reversed(moments):
        pipe.xadd(stream, {"status": "filled"}, id=bench.id(at))
    pipe.execute()


def watching(bench: Bench, **keys: Any) -> Watcher:
    """Return who watches `s`, with as much to read at first as where streams are few."""
    watcher = Watcher(bench, **keys)
    share_out([watcher.signal])
    return watcher


def executions(**keys: Any) -> Executions:
    """Return the signal for `results`."""
    signal = signal_of("executions", stream="results", success=RESULT, **keys)
    assert isinstance(signal, Executions)
    return signal


def told(reading: Reading, *names: str) -> list[Value]:
    """Return what a reading says of *names*, rounded; None for what does not apply."""
    seen = reading.seen(reading.at)
    found: list[Value] = []
    for name in names:
        value = seen.get(name)
        found.append(round(value, 2) if isinstance(value, float) else value)
    return found


def usual_of(reading: Reading) -> Value:
    """Return the learnt gap."""
    (found,) = told(reading, "usual")
    return found


# ---- a stream ----------------------------------------------------------------------------------


@on_one_server
def test_a_stream_remembers_how_silent_it_may_be(bench: Bench) -> None:
    """The very first look knows: once an hour for nine days, and nothing for four hours."""
    a_history(bench, "s", HOUR, ends=4 * HOUR)
    found = watching(bench).look()
    assert usual_of(found) == pytest.approx(HOUR, rel=0.01)
    assert told(found, "overdue", "expected") == [pytest.approx(4, rel=0.01), None]


@on_one_server
def test_a_declared_gap_is_not_learnt(bench: Bench) -> None:
    """The file knows better."""
    a_history(bench, "s", HOUR, ends=4 * HOUR)
    watcher = watching(bench, expect_every="2h")
    assert told(watcher.look(), "overdue", "expected", "usual") == [2, 2 * HOUR, None]
    assert watcher.signal.memory() == {}


TOO_LITTLE = """
  entries, days before | says
  none                 | nothing
  1                    | nothing
  3 2 1                | nothing
"""


@pytest.mark.parametrize(("entries", "_"), rows(TOO_LITTLE), ids=ids(TOO_LITTLE))
@on_one_server
def test_too_little_is_not_applicable(bench: Bench, entries: str, _: str) -> None:
    """Not unknown: no rule speaks of it, and the signal is known."""
    bench.client.xgroup_create("s", "g", mkstream=True)
    bench.add("s", *(-float(days) * DAY for days in entries.split() if days != "none"))
    found = watching(bench).look()
    assert found.known
    assert {"overdue", "usual"}.isdisjoint(found.values)


@on_one_server
def test_a_stream_is_learnt_while_it_is_watched(bench: Bench) -> None:
    """Ten days pass, two entries every eight hours; what is gained at once is one, and nothing is asked for it."""
    watcher = watching(bench)
    bench.add("s", 0.0)
    found = watcher.look()
    for i in range(1, 31):
        bench.add("s", i * 8 * HOUR, i * 8 * HOUR + 0.5)
        found = watcher.look(i * 8 * HOUR + 1)
    assert usual_of(found) == pytest.approx(8 * HOUR * 1.25, rel=0.02)
    assert watcher.asked == []


def test_what_a_stream_taught_outlives_the_process(bench: Bench) -> None:
    """Trimmed to its newest entry, the stream itself remembers nothing any more."""
    a_history(bench, "s", HOUR)
    first = watching(bench)
    first.look()
    bench.client.xtrim("s", maxlen=1, approximate=False)
    forgetful, later = watching(bench), watching(bench)
    later.signal.remember(dict(first.signal.memory()))
    assert usual_of(forgetful.look(HOUR)) is None
    found = later.look(3 * HOUR)
    assert told(found, "usual", "overdue") == [pytest.approx(HOUR, rel=0.01), pytest.approx(3, rel=0.01)]


AWAY = """
  while nobody looked, hours after | trimmed to | longest
  5                                | -          | 5h
  1 2 3 4 5                        | -          | 1h
  1 2 3 4 5                        | 1          | 1h
  5                                | 1          | 1h
"""


@pytest.mark.parametrize(("entries", "trimmed", "longest"), rows(AWAY), ids=ids(AWAY))
@on_one_server
def test_a_gap_that_nobody_watched_is_a_gap(bench: Bench, entries: str, trimmed: str, longest: str) -> None:
    """As far as the IDs tell: where entries may have come and gone, it is none."""
    a_history(bench, "s", HOUR)
    first, later = watching(bench), watching(bench)
    first.look()
    bench.add("s", *(float(hours) * HOUR for hours in entries.split()))
    if trimmed != "-":
        bench.client.xtrim("s", maxlen=int(trimmed), approximate=False)
    later.signal.remember(dict(first.signal.memory()))
    later.signal._rhythm = Rhythm.of(first.signal.memory()["rhythm"])
    later.look(5 * HOUR)
    rhythm = later.signal._rhythm
    assert rhythm is not None
    # What is so much longer than ever is set aside, but it was seen.
    seen = 5 * HOUR if rhythm.aside else rhythm.longest
    assert seen == pytest.approx(float(longest[0]) * HOUR, rel=0.01)


@on_one_server
def test_a_moving_stream_is_kept_once_an_hour(bench: Bench) -> None:
    """Of what moves at every tick the file hears when a silence was longer than any, and about hourly."""
    a_history(bench, "s", HOUR)
    watcher = watching(bench)
    watcher.look()
    kept = []
    for i in range(1, 25):
        bench.add("s", i * 5 * MINUTE)
        watcher.look(i * 5 * MINUTE)
        kept.append(watcher.signal.memory())
    assert 2 <= len({id(memory) for memory in kept}) <= 3
    bench.add("s", 2 * HOUR + 90 * MINUTE)
    watcher.look(2 * HOUR + 90 * MINUTE)
    assert watcher.signal.memory() is not kept[-1]


@on_one_server
def test_at_rest_it_speaks_when_the_hour_says_otherwise(bench: Bench) -> None:
    """Nothing came, but what is usual at night is not usual at noon."""
    for day in range(-22, 0):
        bench.add("s", *(day * DAY + hour * HOUR for hour in range(8)))  # eight hours of each day
    watcher = watching(bench)
    said = [watcher.look(-4 * HOUR)]
    said += [found for i in range(-3, 6) if (found := watcher.tick(i * HOUR)) is not None]
    night, noon = usual_of(said[0]), usual_of(said[-1])
    assert isinstance(night, float)
    assert isinstance(noon, float)
    assert noon < 3 * HOUR < night
    assert told(said[-1], "overdue") > [3]
    assert watcher.tick(5.5 * HOUR) is None


# ---- executions --------------------------------------------------------------------------------


@on_one_server
def test_results_remember_how_silent_they_may_be(bench: Bench) -> None:
    """Successes count, other results do not."""
    a_history(bench, "results", 2 * HOUR, ends=5 * HOUR)
    bench.add("results", -60, fields={"status": "rejected"})
    found = bench.look(executions())
    assert told(found, "usual", "overdue", "rhythm") == [
        pytest.approx(2 * HOUR, rel=0.15),
        pytest.approx(2.5, rel=0.15),
        1,
    ]


@on_one_server
def test_without_a_rhythm_nothing_is_overdue(bench: Bench) -> None:
    """And it says so, for the rule of the hour holds then."""
    bench.add("results", -7200, -3600, fields=RESULT)
    found = bench.look(executions())
    assert told(found, "usual", "overdue", "rhythm") == [None, None, 0]
    assert found.known


@on_one_server
def test_a_declared_time_between_successes(bench: Bench) -> None:
    """`expect_every` needs no history; a stream without a success is overdue by at least so much."""
    bench.add("results", -7200, fields={"status": "rejected"})
    found = bench.look(executions(expect_every="1h"))
    assert told(found, "expected", "usual", "rhythm") == [HOUR, None, 1]
    assert found.values["overdue"] == AtLeast(2)
    bench.add("results", -1800, fields=RESULT)
    assert told(bench.look(executions(expect_every="1h")), "overdue") == [0.5]


def restarted(signal: Executions, **keys: Any) -> RedisSignal[Any]:
    """Return the signal as the next process has it."""
    later = executions(**keys)
    later.remember(dict(signal.memory()))
    return later


def test_what_results_taught_outlives_the_process(bench: Bench) -> None:
    """The stream has lost all but its newest entry; read again, it is no second success."""
    a_history(bench, "results", HOUR)
    signal = executions()
    bench.look(signal)
    bench.client.xtrim("results", maxlen=1, approximate=False)
    found = bench.look(restarted(signal), 3 * HOUR)
    assert told(found, "usual", "overdue") == [pytest.approx(HOUR, rel=0.01), pytest.approx(3, rel=0.01)]
    assert usual_of(bench.look(executions(), 3 * HOUR)) is None


OFFERS = """
  success | offers     | since
  -600    | -700       | 0
  -600    | -700 -300  | 1
  -600    | -5 -4      | 2
  -       | -5 -4      | 2+
"""


@pytest.mark.parametrize(("success", "offers", "since"), rows(OFFERS), ids=ids(OFFERS))
@on_one_server
def test_offers_since_the_last_success(bench: Bench, success: str, offers: str, since: str) -> None:
    """What tells dead from quiet, whatever the window."""
    bench.client.xgroup_create("results", "g", mkstream=True)
    bench.add("results", *([] if success == "-" else [float(success)]), fields=RESULT)
    bench.add("offers", -4000, *(float(at) for at in offers.split()))
    signal = executions(input="offers")
    found = bench.look(signal)
    before = float(since.rstrip("+"))
    assert found.values["offered_since"] == (AtLeast(before + 1) if since.endswith("+") else before)
    bench.add("offers", 1, 2)
    assert bench.look(signal, 5).values["offered_since"] in (AtLeast(before + 3), before + 2)
    bench.add("results", 6, fields=RESULT)
    bench.add("offers", 7)
    assert bench.look(signal, 10).values["offered_since"] == 1


# ---- the rules ---------------------------------------------------------------------------------

DEAD = """
  every | silent for | offered | says
  10m   | 12m        | yes     | -
  10m   | 25m        | yes     | ExecutionsOverdue
  10m   | 25m        | no      | -
  10m   | 45m        | yes     | ExecutionsOverdue StreamOverdue
  10m   | 65m        | yes     | ExecutionsOverdue NoExecutions StreamOverdue
  8h    | 7h         | yes     | -
  8h    | 27h        | yes     | ExecutionsOverdue NoExecutions
  8h    | 27h        | no      | -
"""


def length(text: str) -> float:
    """Return ``25m`` in seconds."""
    return float(text[:-1]) * {"m": MINUTE, "h": HOUR}[text[-1]]


@pytest.mark.parametrize(("gap", "silent", "offered", "says"), rows(DEAD), ids=ids(DEAD))
@on_one_server
def test_who_is_called_dead(bench: Bench, gap: str, silent: str, offered: str, says: str) -> None:
    """Who trades every ten minutes after less than half an hour, who does so every eight hours not at night."""
    a_history(bench, "results", length(gap), ends=length(silent))
    bench.add("offers", -DAYS * DAY, *([-120] if offered == "yes" else []))
    services = "trader:\n  executions: {stream: results, success: {status: filled}, input: offers}\n"
    services += "  stream: {key: results}"
    expected = set(says.split()) - {"-"}
    found = alerts(bench, services) & {"ExecutionsOverdue", "NoExecutions", "StreamOverdue", "StreamSilent"}
    assert found == expected


def test_what_is_only_learnt_is_never_critical_of_a_stream() -> None:
    """An event-driven stream may be empty for weeks, and a stream that was discovered may be given up."""
    assert BUILTIN["StreamOverdue"]["severity"] == "warning"
    assert "stream.expected > 0s" in BUILTIN["StreamSilent"]["when"]
    assert LEAST == 300
