"""Heartbeats in every form found on the bus, and every way in which one is wrong."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from tests.drawn import ids, rows
from tests.signals.conftest import Bench, signal_of, steps
from watchdog.builtin import BUILTIN
from watchdog.client import Heartbeat
from watchdog.conditions import Truth, all_of, compare, look_up, parse_condition
from watchdog.history import History
from watchdog.model import AtLeast
from watchdog.signals import SIGNALS
from watchdog.signals.base import RedisSignal
from watchdog.signals.heartbeat import HeartbeatConfig
from watchdog.synthetic import Mark, mark_key
from watchdog.units import EPOCH, rfc3339

KEY = "quantum:svc:rl_trainer:heartbeat"
GONE = {"present": 0.0, "synthetic": 0.0}


def stamp(bench: Bench, ago: float, form: str) -> str:
    """Return the moment *ago* seconds before the test began, as *form* writes it."""
    at = bench.after(-ago)
    seconds = (at - EPOCH).total_seconds()
    forms = {
        "epoch integer": f"{int(seconds)}",
        "epoch float": f"{seconds:.7f}",
        "epoch ms": f"{int(seconds * 1000)}",
        "epoch us": f"{int(seconds * 1e6)}",
        "epoch ns": f"{int(seconds * 1000)}000000",
        "ISO naive": at.replace(tzinfo=None).isoformat(),
        "ISO with Z": at.replace(tzinfo=None).isoformat() + "Z",
        "ISO with offset": (at + timedelta(hours=2)).replace(tzinfo=None).isoformat() + "+02:00",
        "quoted": f'"{at.isoformat()}"',
        "JSON, epoch": f'{{"pid": 7, "ts": {seconds}}}',
        "JSON, ISO": f'{{"status": "OK", "timestamp": "{at.isoformat()}"}}',
    }
    return forms[form]


FORMS = (
    "epoch integer",
    "epoch float",
    "epoch ms",
    "epoch us",
    "epoch ns",
    "ISO naive",
    "ISO with Z",
    "ISO with offset",
    "quoted",
    "JSON, epoch",
    "JSON, ISO",
)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_without_being_told(bench: Bench, form: str) -> None:
    """The same beat, 90 seconds old, however it is written."""
    bench.client.set(KEY, stamp(bench, 90, form))
    found = bench.look(signal_of("heartbeat", key=KEY))
    assert found.values["age"] == pytest.approx(90, abs=1 if form == "epoch integer" else 0.01)
    assert (found.values["present"], found.values["ahead"], found.known) == (1.0, 0.0, True)


@pytest.mark.parametrize("form", FORMS)
def test_a_field_of_a_hash(bench: Bench, form: str) -> None:
    """A hash's field is read like a key, and carries its name as a label."""
    bench.client.hset("workers", "trainer", stamp(bench, 30, form))
    signal = signal_of("heartbeat", hash="workers", field="trainer")
    assert bench.look(signal).values["age"] == pytest.approx(30, abs=1 if form == "epoch integer" else 0.01)
    assert signal.key.labels == {"key": "workers", "field": "trainer"}


def test_a_named_field_of_a_json_value(bench: Bench) -> None:
    """Where the JSON value has several times, the file says which."""
    now = (bench.began - EPOCH).total_seconds()
    bench.client.set(KEY, f'{{"ts": {now}, "worker": {{"last_decision": {now - 600}}}}}')
    found = bench.look(signal_of("heartbeat", key=KEY, field="worker.last_decision"))
    assert found.values["age"] == pytest.approx(600, abs=0.01)


STREAM_BEATS = """
  fields                                | age
  status=OK last_decision_ts=-40 ts=-1  | 40
  status=OK ts=-7                       | 7
  status=DEGRADED                       | 3
"""


@pytest.mark.parametrize(("fields", "age"), rows(STREAM_BEATS), ids=ids(STREAM_BEATS))
def test_beats_kept_as_stream_entries(bench: Bench, fields: str, age: str) -> None:
    """The time of the last decision counts before the beat's own, and the entry's ID where neither is told."""
    now = (bench.began - EPOCH).total_seconds()
    pairs = dict(pair.split("=") for pair in fields.split())
    if "last_decision_ts" in pairs:
        pairs["last_decision_ts"] = f"{now + int(pairs['last_decision_ts'])}"
    if "ts" in pairs:
        pairs["ts"] = f"{int((now + int(pairs['ts'])) * 1000)}"
    bench.add("beats", -3, fields=pairs)
    found = bench.look(signal_of("heartbeat", stream="beats"))
    assert found.values["age"] == pytest.approx(float(age), abs=0.01)
    assert "ttl" not in found.values


def test_text_tells_its_age_by_what_is_gone_of_its_life(bench: Bench) -> None:
    """A task queue's worker writes words; of 60 declared seconds 20 are left."""
    bench.client.set(KEY, "worker 1a2b3c4d {completed: 5}", px=20_000)
    found = bench.look(signal_of("heartbeat", key=KEY, format="text", ttl="60s"))
    assert found.values["age"] == pytest.approx(40, abs=1)
    assert found.values["ttl"] == pytest.approx(20, abs=1)
    assert found.evidence == {"value": "worker 1a2b3c4d {completed: 5}"}


def test_text_without_a_declared_life_tells_no_age(bench: Bench) -> None:
    """What cannot apply is not unknown."""
    bench.client.set(KEY, "alive", px=20_000)
    found = bench.look(signal_of("heartbeat", key=KEY, format="text"))
    assert found.values.keys() == {"present", "unchanged", "ttl", "synthetic"}
    assert found.known is True


# ---- what is wrong with it ---------------------------------------------------------------------


def test_never_seen(bench: Bench) -> None:
    """A key nobody ever wrote is absent, has no age, and says so."""
    found = bench.look(signal_of("heartbeat", key=KEY))
    assert (found.values, found.evidence) == (GONE, {"last_beat": "never seen"})


@pytest.mark.parametrize("place", [{"hash": "workers", "field": "trainer"}, {"stream": "beats"}])
def test_never_seen_elsewhere(bench: Bench, place: dict[str, str]) -> None:
    """So is a field, and so is a stream, beside which there is no mark."""
    expected = {"present": 0.0} if "stream" in place else GONE
    assert expected == bench.look(signal_of("heartbeat", **place)).values


def test_missing_after_it_was_seen(bench: Bench) -> None:
    """A key that expired still has the age of its last beat."""
    signal = signal_of("heartbeat", key=KEY)
    bench.client.set(KEY, stamp(bench, 10, "epoch ms"))
    bench.look(signal)
    bench.client.delete(KEY)
    found = bench.look(signal, 50)
    assert found.values == {**GONE, "age": pytest.approx(60, abs=0.01)}
    assert found.evidence == {"last_beat": rfc3339(bench.after(-10))}


NOON = EPOCH + timedelta(days=20_000, hours=12)
REMEMBERED = """
  looks, seconds after noon | the beats they find    | what is remembered after each
  1 6 56 61 66 121          | 0 6 50 60 60 120       | 0 0 0 60 60 120
  1 56 58 70                | 0 50 - -               | 0 0 50 50
  1 6 11 16 61              | 0 - 11 16 60           | 0 0 0 0 60
"""


@pytest.mark.parametrize(
    ("looks", "beats", "remembered"), rows(REMEMBERED), ids=["beats on", "dies", "is gone for a moment"]
)
def test_what_is_remembered_is_written_once_a_minute(looks: str, beats: str, remembered: str) -> None:
    """A heartbeat that goes on costs the state file a write a minute; one that is gone is kept exactly."""
    signal = signal_of("heartbeat", key=KEY)
    kept = []
    for at, beat in zip(looks.split(), beats.split(), strict=True):
        text = None if beat == "-" else (NOON + timedelta(seconds=int(beat))).isoformat().encode()
        look = signal.look(NOON + timedelta(seconds=int(at)))
        next(look)
        with pytest.raises(StopIteration):
            look.send([text, 30_000, None])
        kept.append(datetime.fromisoformat(signal.memory()["last_beat"]) - NOON)
    assert kept == [timedelta(seconds=int(beat)) for beat in remembered.split()]


def test_missing_after_an_earlier_process_saw_it(bench: Bench) -> None:
    """The next process remembers the last beat."""
    first, second = signal_of("heartbeat", key=KEY), signal_of("heartbeat", key=KEY)
    assert first.memory() == {}
    bench.client.set(KEY, stamp(bench, 10, "epoch ms"))
    bench.look(first)
    bench.client.delete(KEY)
    second.remember(first.memory())
    assert bench.look(second, 110).values == {**GONE, "age": pytest.approx(120, abs=0.01)}


def test_stale(bench: Bench) -> None:
    """A beat that nobody renews ages."""
    bench.client.set(KEY, stamp(bench, 0, "epoch ms"))
    signal = signal_of("heartbeat", key=KEY)
    ages = [found.values["age"] for found in bench.looks(signal, 0, 60, 600)]
    assert ages == pytest.approx([0, 60, 600], abs=0.01)


def test_ahead(bench: Bench) -> None:
    """A clock that runs ahead gives no negative age, and is told."""
    bench.client.set(KEY, stamp(bench, -120, "epoch float"))
    found = bench.look(signal_of("heartbeat", key=KEY)).values
    assert found["age"] == 0.0
    assert found["ahead"] == pytest.approx(120, abs=0.01)


def test_milliseconds_where_seconds_were_promised(bench: Bench) -> None:
    """Far in the future rather than no timestamp at all."""
    bench.client.set(KEY, stamp(bench, 0, "epoch ms"))
    found = bench.look(signal_of("heartbeat", key=KEY, format="epoch_s")).values
    assert isinstance(found["ahead"], float)
    assert found["ahead"] > 365 * 86400
    assert found["age"] == 0.0


def test_seconds_where_milliseconds_were_promised(bench: Bench) -> None:
    """Fifty years old."""
    bench.client.set(KEY, stamp(bench, 0, "epoch integer"))
    found = bench.look(signal_of("heartbeat", key=KEY, format="epoch_ms")).values
    assert isinstance(found["age"], float)
    assert found["age"] > 50 * 365 * 86400


def test_frozen_but_rewritten(bench: Bench) -> None:
    """The same value with a fresh expiry: somebody beats without looking at the clock."""
    signal = signal_of("heartbeat", key=KEY)
    value = stamp(bench, 0, "epoch ms")
    unchanged = []
    for seconds in (0, 30, 60, 90):
        bench.client.set(KEY, value, px=300_000)
        unchanged.append(bench.look(signal, seconds).values["unchanged"])
    assert unchanged == [0, 30, 60, 90]
    bench.client.set(KEY, stamp(bench, -120, "epoch ms"), px=300_000)
    assert bench.look(signal, 120).values["unchanged"] == 0


def test_frozen_is_seen_at_the_first_look(bench: Bench) -> None:
    """Written 10 seconds ago by its expiry, 600 seconds ago by its own word."""
    bench.client.set(KEY, stamp(bench, 600, "epoch ms"), px=20_000)
    found = bench.look(signal_of("heartbeat", key=KEY, ttl="30s")).values
    assert found["unchanged"] == pytest.approx(600, abs=0.01)


def test_not_frozen_but_dead(bench: Bench) -> None:
    """A value that nobody rewrites is stale, not frozen."""
    signal = signal_of("heartbeat", key=KEY, ttl="300s")
    bench.client.set(KEY, stamp(bench, 0, "epoch ms"), px=300_000)
    bench.look(signal)
    bench.client.pexpire(KEY, 240_000)
    assert bench.look(signal, 60).values["unchanged"] == 0


def test_not_frozen_but_skewed(bench: Bench) -> None:
    """A clock ten minutes behind writes a new value each time: old, and not unchanged."""
    signal = signal_of("heartbeat", key=KEY, ttl="30s")
    found = []
    for seconds in (0, 5, 10):
        bench.client.set(KEY, stamp(bench, 600 - seconds, "epoch ms"), px=30_000)
        found.append(bench.look(signal, seconds).values)
    assert [values["unchanged"] for values in found[1:]] == [0, 0]
    assert found[-1]["age"] == pytest.approx(600, abs=0.01)


def test_a_longer_life_than_declared_is_not_frozen(bench: Bench) -> None:
    """The emergency publisher gives 300 s where the service gives 30 s: fresh all the same."""
    bench.client.set(KEY, stamp(bench, 0, "epoch ms"), px=300_000)
    found = bench.look(signal_of("heartbeat", key=KEY, ttl="30s"))
    assert found.values["unchanged"] == 0
    assert str(found.evidence["foreign"]).endswith("so somebody else may write it")


def test_no_expiry_although_one_is_declared(bench: Bench) -> None:
    """The gate refuses such a key; `ttl` is offered only where it is declared."""
    bench.client.set(KEY, stamp(bench, 0, "epoch ms"))
    signal = signal_of("heartbeat", key=KEY, ttl="30s")
    assert bench.look(signal).values["ttl"] == -1.0
    assert "ttl" in signal.config.offered()
    assert "ttl" not in signal_of("heartbeat", key=KEY).config.offered()


WRONG_TYPES = """
  place                   | written as | said
  key=beat                | hash       | heartbeat "beat" holds a hash, not a string
  key=beat                | stream     | heartbeat "beat" holds a stream, not a string
  hash=beat field=trainer | string     | heartbeat "beat" holds a string, not a hash
  stream=beat             | string     | heartbeat "beat" holds a string, not a stream
"""


@pytest.mark.parametrize(("place", "written", "said"), rows(WRONG_TYPES), ids=ids(WRONG_TYPES))
def test_the_writer_switched_its_type(bench: Bench, place: str, written: str, said: str) -> None:
    """WRONGTYPE is an answer, not a crash."""
    if written == "hash":
        bench.client.hset("beat", "ts", "1")
    elif written == "stream":
        bench.client.xadd("beat", {"ts": "1"})
    else:
        bench.client.set("beat", "1")
    found = bench.look(signal_of("heartbeat", **dict(pair.split("=") for pair in place.split())))
    assert (found.trouble, found.known, found.values) == (said, False, {})


NO_TIMES: list[tuple[str, str | bytes]] = [
    ("words", "OK"),
    ("nothing", ""),
    ("a small number", "42"),
    ("not a number", "NaN"),
    ("infinity", "inf"),
    ("too big a number", "1e300"),
    ("a date that is none", "2026-02-31T00:00:00Z"),
    ("a date beyond the calendar", "9999-12-31T23:59:59-01:00"),
    ("broken JSON", '{"ts": '),
    ("JSON without a time", '{"pid": 7}'),
    ("a JSON bomb", '{"ts": ' + "[" * 100_000),
    ("bytes that are no text", b"\xff\xfe\x00"),
    ("a megabyte", "x" * 1_000_000),
]


@pytest.mark.parametrize("value", [v for _, v in NO_TIMES], ids=[name for name, _ in NO_TIMES])
def test_not_a_timestamp_at_all(bench: Bench, value: str | bytes) -> None:
    """Present, of unknown age, and the value is shown, no more than 80 signs of it."""
    bench.client.set(KEY, value)
    found = bench.look(signal_of("heartbeat", key=KEY))
    assert (found.values["present"], found.values["age"], found.values["ahead"]) == (1.0, None, None)
    assert (found.known, found.trouble) == (False, None)
    assert len(str(found.evidence["value"])) <= 80


def test_not_a_timestamp_and_yet_of_known_age(bench: Bench) -> None:
    """The expiry tells the age where the value does not."""
    bench.client.set(KEY, "OK", px=25_000)
    found = bench.look(signal_of("heartbeat", key=KEY, ttl="30s"))
    assert found.values["age"] == pytest.approx(5, abs=1)
    assert found.known is True


# ---- who stands in for it ----------------------------------------------------------------------


def mark(bench: Bench, until: float, **more: str) -> str:
    """Return a mark that ends *until* seconds after the test began."""
    found = Mark("moving the trainer", "ann@host", bench.began, bench.after(until))
    return json.dumps({**json.loads(found.text()), **more})


MARKS = """
  beside the key                | synthetic | shown
  nothing                       | 0         | nothing
  a mark                        | 1         | synthetic
  one whose time is over        | 0         | ended_mark
  words                         | 1         | synthetic
  a hash                        | not told  | synthetic
"""


@pytest.mark.parametrize(("beside", "told", "shown"), rows(MARKS), ids=ids(MARKS))
def test_h06_a_mark_beside_the_key(bench: Bench, beside: str, told: str, shown: str) -> None:
    """What stands there is believed while it lasts, and is always shown; a mark nobody understands is one."""
    bench.client.set(KEY, stamp(bench, 1, "epoch integer"), ex=30)
    texts = {"a mark": mark(bench, 60), "one whose time is over": mark(bench, -1), "words": "by hand"}
    if beside in texts:
        bench.client.set(mark_key(KEY), texts[beside])
    if beside == "a hash":
        bench.client.hset(mark_key(KEY), "by", "ann")
    found = bench.look(signal_of("heartbeat", key=KEY))
    assert told == (f"{found.values['synthetic']:g}" if "synthetic" in found.values else "not told")
    assert ([shown] if shown != "nothing" else []) == [name for name in found.evidence if name != "value"]
    assert found.known is True


def test_what_a_mark_says_is_shown_without_secrets(bench: Bench) -> None:
    """Anybody may have written it."""
    bench.client.set(KEY, stamp(bench, 1, "epoch integer"), ex=30)
    bench.client.set(mark_key(KEY), mark(bench, 60, reason="password=hunter2 \x1b[2J" + "x" * 900))
    shown = str(bench.look(signal_of("heartbeat", key=KEY)).evidence["synthetic"])
    assert "hunter2" not in shown
    assert shown.isprintable()
    assert len(shown) < 400


def test_a_synthetic_beat_is_not_the_services_last(bench: Bench) -> None:
    """When the emergency is over the age is that of the service's own last beat."""
    signal = signal_of("heartbeat", key=KEY)
    bench.client.set(KEY, stamp(bench, 100, "epoch ms"))
    bench.look(signal)
    bench.client.set(KEY, stamp(bench, 0, "epoch ms"))
    bench.client.set(mark_key(KEY), mark(bench, 60))
    bench.look(signal)
    bench.client.delete(KEY, mark_key(KEY))
    assert bench.look(signal, 20).values == {**GONE, "age": pytest.approx(120, abs=0.01)}


# ---- what it tells of the work --------------------------------------------------------------------

WORK = """
  told, seconds ago                        | success_age | overdue
  last_success=30 idle=- started=900       | 30          | 0.5
  last_success=90 idle=- started=900       | 90          | 1.5
  last_success=90 idle=6 started=900       | 90          | 0.1
  last_success=- idle=6 started=900        | at least 900 | 0.1
  last_success=- idle=- started=900        | at least 900 | 15
  last_success=- idle=- started=-          | unknown     | unknown
"""


@pytest.mark.parametrize(("told", "age", "overdue"), rows(WORK), ids=ids(WORK))
def test_what_it_tells_of_its_work(bench: Bench, told: str, age: str, overdue: str) -> None:
    """Success and idleness are two things; one who never succeeded has not for as long as it runs."""
    parts = dict(word.split("=") for word in told.split())
    times = {
        name: None if ago == "-" else bench.after(-float(ago)).timestamp() for name, ago in parts.items()
    }
    bench.client.set(KEY, json.dumps({"ts": bench.began.timestamp(), "done": 5, "failed": 1, **times}), ex=30)
    found = bench.look(signal_of("heartbeat", key=KEY, expect_success="1m"))
    words = {"unknown": None, "at least 900": AtLeast(900.0)}
    for said, name in ((age, "success_age"), (overdue, "overdue")):
        assert found.values[name] == (words[said] if said in words else pytest.approx(float(said)))


def test_work_is_counted_across_restarts(bench: Bench) -> None:
    """What was done before the first look nobody counts; a count that goes back began anew."""
    signal = signal_of("heartbeat", key=KEY, expect_success="1m")
    gained = []
    for seconds, (done, failed) in enumerate([(100, 7), (104, 7), (3, 1), (3, 2)]):
        value = {"ts": bench.after(seconds).timestamp(), "done": done, "failed": failed}
        bench.client.set(KEY, json.dumps({**value, "last_success": value["ts"]}), ex=30)
        found = bench.look(signal, seconds)
        gained.append((steps(found, "done"), steps(found, "failed")))
    assert gained == [(0, 0), (4, 0), (3, 1), (0, 1)]


def test_a_heartbeat_that_tells_of_no_work_although_it_should(bench: Bench) -> None:
    """Declared and not told is unknown, not idle."""
    bench.client.set(KEY, stamp(bench, 1, "epoch integer"), ex=30)
    found = bench.look(signal_of("heartbeat", key=KEY, expect_success="1m"))
    assert (found.values["success_age"], found.gaps, found.known) == (None, ("done", "failed"), False)


def test_in_a_field_of_a_hash(bench: Bench) -> None:
    """The same value, in another place."""
    now = bench.began.timestamp()
    bench.client.hset(
        "workers", "trainer", json.dumps({"ts": now - 3, "last_success": now - 5, "done": 1, "failed": 0})
    )
    signal = signal_of("heartbeat", hash="workers", field="trainer", expect_success="1m")
    found = bench.look(signal).values
    assert found["age"] == pytest.approx(3, abs=0.01)
    assert found["success_age"] == pytest.approx(5, abs=0.01)


LIVES = """
  what the service does, for 20 minutes          | said
  succeeds                                       | nothing
  succeeds, then looks in vain: a quiet market   | nothing
  looks in vain from the start                   | nothing
  succeeds, then a thread beats for a wedged loop | HeartbeatIdle
  succeeds, then only fails, and a thread beats  | HeartbeatFailing HeartbeatIdle
  succeeds, then hangs                           | HeartbeatMissing HeartbeatStale
"""


@pytest.mark.parametrize(("life", "said"), rows(LIVES), ids=ids(LIVES))
def test_w21_a_live_thread_for_a_wedged_loop(bench: Bench, life: str, said: str) -> None:
    """By the service's own client, looked at each minute; what a thread keeps alive gives itself away."""
    minute = 0
    beat = Heartbeat(bench.client, KEY, ttl=3600, every=1, clock=lambda: bench.after(60 * minute))
    signal = signal_of("heartbeat", key=KEY, expect_success="10m")
    history = History(timedelta(hours=1))
    for minute in range(20):
        first, _, then = life.partition(", then ")
        words = first if minute < 5 or not then else then
        if "looks" in words:
            beat.idle()
        elif "succeeds" in words:
            with beat.work():
                pass
        elif "fails" in words:
            with beat.work() as work:
                work.failed()
        if "thread" in words:
            held: Any = bench.client.get(KEY)
            told = json.loads(held)
            bench.client.set(KEY, json.dumps({**told, "ts": bench.after(60 * minute).timestamp()}), ex=30)
        if words == "hangs":
            bench.client.delete(KEY)
        history.add([bench.look(signal, 60 * minute)])
    watched = ("HeartbeatIdle", "HeartbeatFailing", "HeartbeatStale", "HeartbeatMissing")
    found = {name for name in watched if holds(name, history, signal)}
    assert (said if said != "nothing" else "") == " ".join(sorted(found))


def holds(alert: str, history: History, signal: RedisSignal[Any]) -> bool:
    """Say whether the conditions of the built-in rule hold now."""
    at = history.latest[signal.key].at
    found = []
    for text in BUILTIN[alert]["when"]:
        condition = parse_condition(text, {"heartbeat": SIGNALS["heartbeat"].MEASURES})
        measure = signal.config.offered()[condition.term.measure]
        found.append(compare(condition, look_up(condition.term, signal.key, measure, history, at)))
    return all_of(found) is Truth.TRUE


PLACES = [
    {},
    {"key": "a", "hash": "b", "field": "c"},
    {"hash": "b"},
    {"key": ""},
    {"key": "a", "ttl": "0s"},
    {"key": "a", "format": "epoch"},
    {"key": "a", "expect_success": "0s"},
    {"stream": "a", "expect_success": "1m"},
]


@pytest.mark.parametrize("keys", PLACES, ids=str)
def test_refused_configurations(keys: dict[str, Any]) -> None:
    """A heartbeat lives in one place."""
    with pytest.raises(ValidationError):
        HeartbeatConfig.model_validate(keys)
