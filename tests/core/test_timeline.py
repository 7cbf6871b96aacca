"""The timeline: what happened between two ticks, how long a service stood how, in bounded room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.drawn import T0, ids, minutes, rows
from watchdog.alerts import Alert, State
from watchdog.happenings import WELL, Moment, happened, marked
from watchdog.history import History
from watchdog.model import Counted, Labels, Reading, SignalKey
from watchdog.muting import Ack, Silence, parse_matcher
from watchdog.report import Snapshot, Status, snapshot
from watchdog.telling import Wishes
from watchdog.timeline import (
    EVERYTHING,
    KEEP_EVENTS,
    LONGEST_TEXT,
    MOST_EVENTS,
    MOST_OF_ONE,
    Event,
    Timeline,
    What,
    read_event,
    write_event,
)

PAUSE = minutes(2)
SIGNS = {"o": Status.OK, "w": Status.WARNING, "c": Status.CRITICAL, "u": Status.UNKNOWN}
LETTERS = {status: sign for sign, status in SIGNS.items()} | {None: "-"}


def minute(at: datetime) -> int:
    """Return how many minutes after `T0` a moment is."""
    return round((at - T0) / timedelta(minutes=1))


def shot(at: float, services: Mapping[str, Status], whole: Status | None = None) -> Snapshot:
    """Return what is known *at* so many minutes after `T0`, of services without signals."""
    worst = whole or next((s for s in Status if s in services.values()), Status.OK)
    return Snapshot(T0 + minutes(at), {}, services, (), worst)


def moment(at: float, statuses: str, *, settled: bool = True, alerts: Iterable[Alert] = ()) -> Moment:
    """Return what is known *at* a minute of the services a, b, c… whose statuses are drawn."""
    services = {name: SIGNS[sign] for name, sign in zip("abcdef", statuses, strict=False)}
    known = {alert.labels: alert for alert in alerts}
    return Moment(T0 + minutes(at), known, Wishes(), shot(at, services), settled=settled)


def before_all(at: float = -1) -> Moment:
    """Return what a process knows before its first tick, of one before that ended *at* a minute."""
    return Moment(T0 + minutes(at), {}, Wishes())


# ---- how it stood ------------------------------------------------------------------------------

STOOD = """
  minute by minute      | spans                  | since
  o o o o               | o4                     | -
  o o c c               | o2 c2                  | 2
  o c o c               | o1 c1 o1 c1            | 3
  c c c c               | c4                     | -
  o o _ _ _ _ o         | o1 -5 o1               | -
  o c c _ _ _ _ c       | o1 c1 -5 c1            | 1
  o c c _ _ _ _ o       | o1 c1 -5 o1            | 7
  o _ o                 | o3                     | -
  u u o w               | u2 o1 w1               | 3
"""


@pytest.mark.parametrize(("drawn", "spans", "since"), rows(STOOD), ids=ids(STOOD))
def test_how_long_a_service_stood_how(drawn: str, spans: str, since: str) -> None:
    """`_` is a minute without a tick, `-` a time in which nobody looked; since is the last change."""
    timeline, before = Timeline(), before_all()
    timeline.add([Event(T0, EVERYTHING, What.STARTED, "")])
    for number, sign in enumerate(drawn.split()):
        if sign != "_":
            after = moment(number, sign)
            timeline.add(happened(before, after, timeline.stands, PAUSE))
            before = after
    end = T0 + minutes(len(drawn.split()))
    found = [f"{LETTERS[s]}{minute(e) - minute(b)}" for b, e, s in timeline.spans("a", T0, end)]
    assert spans == " ".join(found)
    for name in ("a", EVERYTHING):
        found_since = timeline.since(name)
        assert since == ("-" if found_since is None else str(minute(found_since)))


def test_a_restart_goes_on_from_what_was_known() -> None:
    """Critical before and after: since the first; the gap is shown; a new life tells nothing twice."""
    timeline = Timeline()
    timeline.add([Event(T0, EVERYTHING, What.STARTED, "")])
    timeline.add(happened(before_all(), moment(0, "o"), timeline.stands, PAUSE))
    timeline.add(happened(moment(0, "o"), moment(1, "c"), timeline.stands, PAUSE))
    timeline.add([Event(T0 + minutes(2), EVERYTHING, What.STOPPED, "")])
    again = Timeline(map(read_event, map(write_event, timeline)))
    again.add([Event(T0 + minutes(5), EVERYTHING, What.STARTED, "")])
    assert happened(before_all(2), moment(5, "c"), again.stands, PAUSE) == ()
    assert again.since("a") == again.since() == T0 + minutes(1)
    drawn = [(minute(b), minute(e), s) for b, e, s in again.spans("a", T0, T0 + minutes(6))]
    crit = Status.CRITICAL
    assert drawn == [(0, 1, Status.OK), (1, 2, crit), (2, 5, None), (5, 6, crit)]


def test_what_is_not_known_of_is_no_status() -> None:
    """Before the first look, after the last event of an end, and of a service nobody knows."""
    timeline = Timeline()
    assert timeline.spans("a", T0, T0) == []
    assert timeline.spans("a", T0, T0 + PAUSE) == [(T0, T0 + PAUSE, None)]
    assert (timeline.since("a"), timeline.of("a"), timeline.all(), timeline.last) == (None, [], [], None)


def test_the_unknown_of_a_first_minute_is_not_told() -> None:
    """A process that has just begun has not looked at everything; what stays unknown is told then."""
    young, old = moment(0, "uo", settled=False), moment(1, "uo")
    first = happened(before_all(), young, {}, PAUSE)
    assert [(e.service, e.status) for e in first] == [("b", Status.OK)]
    then = happened(young, old, Timeline(first).stands, PAUSE)
    assert [(e.service, e.status) for e in then] == [("a", Status.UNKNOWN), ("", Status.UNKNOWN)]


def test_a_clock_set_back_leaves_nothing_in_the_future() -> None:
    """What happened has happened, and its order stays."""
    timeline = Timeline([Event(T0 + minutes(n), "a", What.STATUS, str(n), Status.OK) for n in (1, 60, 61)])
    timeline.set_back(T0 + minutes(30))
    assert [(minute(e.at), e.text) for e in timeline.of("a")] == [(30, "61"), (30, "60"), (1, "1")]


# ---- alerts ------------------------------------------------------------------------------------

SHOP = SignalKey("shop", "log", Labels())
LOUD = Labels(alertname="Loud", service="shop", severity="warning")
STATES = {"p": State.PENDING, "f": State.FIRING, "b": State.BLIND, "r": State.RESOLVED}


def alert(state: str, at: float = 0, labels: Labels = LOUD, **more: Any) -> Alert:
    """Return an alert in a state that is drawn, true since *at* a minute."""
    since = T0 + minutes(at)
    more = {"summary": "shop is loud"} | more
    return Alert(labels, SHOP, STATES[state], since, since, fired_at=since, **more)


LIVES = """
  minute by minute | events
  - p - -          |
  - p f f r r -    | firing resolved
  - f b b f r      | firing blind firing resolved
  f b r p r        | firing blind resolved
  - f r f          | firing resolved firing
"""


@pytest.mark.parametrize(("states", "events"), rows(LIVES), ids=ids(LIVES))
def test_what_a_person_looks_back_on_of_an_alert(states: str, events: str) -> None:
    """`p`ending, `f`iring, `b`lind, `r`esolved; what never fired did not happen."""
    found, before = [], before_all()
    for number, sign in enumerate(states.split()):
        after = moment(number, "", alerts=[alert(sign)] if sign != "-" else [])
        found += [e for e in happened(before, after, {}, PAUSE) if e.what is not What.STATUS]
        before = after
    assert events == " ".join(str(event.what) for event in found)
    assert {(e.service, e.alertname, e.status) for e in found} <= {("shop", "Loud", Status.WARNING)}


def test_an_end_says_how_long_it_was_and_why_it_ended() -> None:
    """The alert's own figures; text from outside is cut."""
    ended = alert("r", resolved_at=T0 + minutes(90), ended="the rule was removed")
    before = moment(89, "", alerts=[alert("f")])
    (end,) = happened(before, moment(90, "", alerts=[ended]), {}, PAUSE)
    assert end.text == "after 1h 30m: the rule was removed"
    long = alert("f", summary="x" * 5_000)
    (begin, _) = happened(before_all(), moment(0, "", alerts=[long]), {}, PAUSE)
    assert (len(begin.text), begin.text[-2:]) == (LONGEST_TEXT, "x…")


def test_a_change_of_status_names_the_alerts_that_made_it() -> None:
    """Of the whole pipeline with their services, a few of many; well is well."""
    names = [Labels(alertname=f"Loud{n}", service="a", severity="critical") for n in range(7)]
    some = [alert("f", labels=labels) for labels in names]
    before = moment(0, "oo")
    timeline = Timeline(happened(before_all(), before, {}, PAUSE))
    made = happened(before, moment(1, "co", alerts=some), timeline.stands, PAUSE)[-2:]
    assert [(e.service, e.was, e.text) for e in made] == [
        ("a", Status.OK, "Loud0, Loud1, Loud2, Loud3, Loud4, and 2 more"),
        ("", Status.OK, "a: Loud0, a: Loud1, a: Loud2, a: Loud3, a: Loud4, and 2 more"),
    ]
    timeline.add(made)
    back = happened(moment(1, "co"), moment(2, "oo"), timeline.stands, PAUSE)
    assert [event.text for event in back] == [WELL] * 2


# ---- what people say ---------------------------------------------------------------------------

MEANT = """
  matchers                     | services
  service=a                    | a
  service=~[ab]                | a b
  service=a alertname=Loud     | a
  alertname=Loud               | shop
  alertname=Other              | *
  service=~.*                  | *
  service=nobody               | *
"""


@pytest.mark.parametrize(("matchers", "services"), rows(MEANT), ids=ids(MEANT))
def test_a_silence_is_told_of_whom_it_is_about(matchers: str, services: str) -> None:
    """Those it names, else those with alerts it holds back, else all (`*`); begin and end at their times."""
    starts, ends = T0 + minutes(0.5), T0 + minutes(1.5)
    many = dict.fromkeys((*"abcd", *(f"s{n}" for n in range(30))), Status.OK)
    found = tuple(parse_matcher(text) for text in matchers.split())
    silence = Silence("s", found, starts, ends, "ana", "deploy")
    known = {LOUD: alert("f")}
    moments = [Moment(T0 + minutes(at), known, Wishes({"s": silence}), shot(at, many)) for at in range(4)]
    told = [
        (event.what, minute(event.at) if event.at not in (starts, ends) else "on time", event.service)
        for before, after in pairwise(moments)
        for event in happened(before, after, {"": Event(T0, "", What.STATUS, "", Status.OK)}, PAUSE)
        if event.what is not What.STATUS
    ]
    names = services.replace("*", EVERYTHING).split(" ")
    assert told == [(what, "on time", name) for what in (What.SILENCE, What.SILENCE_END) for name in names]


def test_a_silence_that_is_taken_away_has_ended() -> None:
    """Forgotten or expired by hand, it holds no more; its text says whose it was and why."""
    silence = Silence("s", (parse_matcher("service=a"),), T0, T0 + minutes(90), "ana", "deploy")
    before = Moment(T0, {}, Wishes(), shot(0, {"a": Status.OK}))
    during = Moment(T0 + minutes(1), {}, Wishes({"s": silence}), shot(1, {"a": Status.OK}))
    after = Moment(T0 + minutes(2), {}, Wishes(), shot(2, {"a": Status.OK}))
    (begun,) = happened(before, during, {}, PAUSE)
    (over,) = happened(during, after, {}, PAUSE)
    assert (begun.text, begun.what) == ("by ana, for 1h 30m: deploy", What.SILENCE)
    assert (over.text, over.what, minute(over.at)) == ("of ana: deploy", What.SILENCE_END, 2)


def test_an_acknowledgement_is_told_once() -> None:
    """With who and what is being done; one of an earlier firing is none."""
    fires = alert("f")
    ack = Ack(LOUD.fingerprint, T0, T0 + minutes(0.5), "ana", "on it")
    old = Ack(LOUD.fingerprint, T0 - PAUSE, T0 + minutes(0.5), "ana")
    known = {LOUD: fires}

    def said(*acks: Ack) -> Wishes:
        return Wishes({}, {one.fingerprint: one for one in acks})

    looks = [
        Moment(T0 + minutes(n), known, said(*a), shot(n, {})) for n, a in enumerate([(), (ack,), (ack,)])
    ]
    found = [e for b, a in pairwise(looks) for e in happened(b, a, {}, PAUSE)]
    assert [(e.what, e.service, e.alertname, e.text, e.at) for e in found] == [
        (What.ACK, "shop", "Loud", "by ana: on it", ack.at)
    ]
    assert happened(looks[0], Moment(T0 + minutes(1), known, said(old), shot(1, {})), {}, PAUSE) == ()


# ---- signals -----------------------------------------------------------------------------------


def told(key: SignalKey, *readings: Reading) -> list[tuple[What, int, str]]:
    """Return what is told of the readings of *key*, of which the first is that of a process' first tick."""
    history, before, found = History(timedelta(hours=1)), before_all(-1), list[Event]()
    for reading in readings:
        history = history.add([reading])
        now = snapshot(history, {}, reading.at, figures={key: ()}, services={}, needs={})
        marks = marked(before.marks, now, history.fresh)
        after = Moment(reading.at, {}, Wishes(), now, history.fresh, marks=marks)
        found += happened(before, after, {}, PAUSE)
        before = after
    return [(e.what, minute(e.at), e.text) for e in found if e.what is not What.STATUS]


def read(key: SignalKey, at: float, **values: Any) -> Reading:
    """Return a reading of *key* at a minute."""
    return Reading(key, T0 + minutes(at), values)


def test_restarts_of_a_unit_are_told_with_their_result() -> None:
    """A first reading tells only of those that an earlier process did not see."""
    unit = SignalKey("shop", "unit", Labels(unit="shop.service"))

    def restarted(at: float, *steps: tuple[float, float], **values: Any) -> Reading:
        gained = tuple((T0 + minutes(when), by) for when, by in steps)
        return Reading(unit, T0 + minutes(at), values, {("restarts", ""): Counted(T0 - PAUSE, gained)})

    assert told(
        unit,
        restarted(0, (-2, 1), (-0.5, 1)),
        restarted(1),
        restarted(2, (2, 3), result="exit-code", exit_status=203.0),
    ) == [
        (What.RESTART, 0, "shop.service restarted"),
        (What.RESTART, 2, "shop.service restarted 3 times (exit-code) exit status 203"),
    ]


def test_redis_restarted_once_its_uptime_falls() -> None:
    """It may have been away in between; the moment is the one it gives itself."""
    server = SignalKey("redis", "redis", Labels())
    assert told(
        server,
        read(server, 0, up=1.0, uptime=9_000.0),
        read(server, 1, up=0.0),
        read(server, 2, up=1.0, uptime=60.0),
        read(server, 3, up=1.0, uptime=120.0),
    ) == [(What.RESTART, 1, "Redis restarted")]


def test_settings_changed_once_they_were_written() -> None:
    """A file whose time lies in the future says nothing; the first violation is named."""
    file = SignalKey("shop", "settings", Labels(file="/etc/shop.env"))
    wrong = Reading(
        file, T0 + minutes(2), {"age": 30.0}, evidence={"violations": ["MODE is paper, not live"]}
    )
    assert told(
        file, read(file, 0, age=600.5), read(file, 1, age=660.4999), wrong, read(file, 3, age=0.0)
    ) == [(What.SETTINGS, 2, "/etc/shop.env was written; MODE is paper, not live")]


def test_a_flag_is_told_when_it_is_set_and_unset() -> None:
    """Whoever set it is named; that it is set when the first look comes is nothing new."""
    flag = SignalKey("shop", "flag", Labels(key="halt"))
    stop = Reading(flag, T0 + minutes(2), {"set": 1.0}, evidence={"by": "ana", "reason": "fire"})
    assert told(flag, read(flag, 0, set=1.0), read(flag, 1, set=0.0), stop) == [
        (What.FLAG, 1, "halt is no longer set"),
        (What.FLAG, 2, "halt was set; by: ana; reason: fire"),
    ]


# ---- room --------------------------------------------------------------------------------------


def noise(service: str, count: int, at: datetime = T0, what: What = What.FIRING) -> list[Event]:
    """Return so many events of *service*, a second apart."""
    return [Event(at + timedelta(seconds=n), service, what, str(n), Status.OK) for n in range(count)]


def test_one_that_flaps_does_not_crowd_out_the_others() -> None:
    """Of each service the newest are kept, of all of them no more than the bound."""
    timeline = Timeline([*noise("quiet", 3), *noise("flaps", 5 * MOST_OF_ONE)])
    timeline.prune(T0)
    assert (len(timeline.of("quiet")), len(timeline.of("flaps"))) == (3, MOST_OF_ONE)
    assert timeline.of("flaps")[0].text == str(5 * MOST_OF_ONE - 1)
    timeline.add(event for n in range(20) for event in noise(f"s{n}", MOST_OF_ONE))
    timeline.prune(T0)
    assert len(timeline) == MOST_EVENTS


def test_what_is_old_is_forgotten_but_not_how_a_service_stands() -> None:
    """Critical for a month is still known to be critical, and since when."""
    first = Event(T0, "a", What.STATUS, "", Status.OK)
    last = Event(T0 + PAUSE, "a", What.STATUS, "", Status.CRITICAL, was=Status.OK)
    timeline = Timeline([first, last, *noise("a", 5)])
    timeline.prune(T0 + 2 * KEEP_EVENTS)
    assert list(timeline) == [last]
    assert timeline.since("a") == last.at


def test_what_is_about_everything_stands_with_every_service() -> None:
    """That nobody looked is everyone's; how the whole stands is not."""
    start = Event(T0, EVERYTHING, What.STARTED, "")
    whole = Event(T0 + PAUSE, EVERYTHING, What.STATUS, "", Status.OK)
    own = Event(T0 + 2 * PAUSE, "a", What.FIRING, "")
    timeline = Timeline([start, whole, own])
    assert timeline.of("a") == [own, start]
    assert timeline.of("b") == [start]
    assert timeline.of(EVERYTHING) == [whole, start]
    assert timeline.all() == [own, whole, start]


MOMENTS = st.integers(0, 100).map(lambda n: T0 + minutes(n))
EVENTS = st.builds(
    Event,
    MOMENTS,
    st.sampled_from(["a", "b", EVERYTHING]),
    st.sampled_from(What),
    st.text(max_size=5),
    st.none() | st.sampled_from(Status),
    st.sampled_from(["", "Loud"]),
    st.none() | st.sampled_from(Status),
)


@given(st.lists(EVENTS, max_size=12), MOMENTS, MOMENTS)
def test_spans_leave_nothing_out_and_say_nothing_twice(
    events: list[Event], begin: datetime, end: datetime
) -> None:
    """Whatever happened, they go from begin to end without gap; two that touch differ."""
    spans = Timeline(events).spans("a", begin, end)
    edges = [begin, *(span[1] for span in spans)]
    assert [span[0] for span in spans] == edges[:-1]
    assert edges[-1] == max(begin, end)
    assert all(b < e for b, e, _ in spans)
    assert all(one[2] is not other[2] for one, other in pairwise(spans))


@given(EVENTS)
def test_an_event_comes_back_as_it_was_written(event: Event) -> None:
    """Every field of it."""
    assert read_event(write_event(event)) == event
