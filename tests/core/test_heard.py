"""What one watchdog of a pair tells once it knows what the other has told."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.drawn import T0, ids, rows
from watchdog.alerts import Alert, State
from watchdog.audience import Report
from watchdog.bulletin import bulletin
from watchdog.heard import Heard, Told, read_told, told_by, write_told
from watchdog.model import Labels, SignalKey
from watchdog.notifications import Notice, Notification, Reason, build
from watchdog.report import Snapshot, Status
from watchdog.schedule import Schedule
from watchdog.telling import Receipt

TOLERANCE = timedelta(seconds=60)
LABELS = Labels(alertname="Missing", service="one", severity="critical")
SIGNAL = SignalKey("one", "heartbeat", Labels(key="one"))
LONG_AGO = T0 - timedelta(days=1)
REASONS = {
    "F": Reason.FIRST,
    "R": Reason.RESOLVED,
    "P": Reason.REPEAT,
    "K": Reason.ACKNOWLEDGED,
    "L": Reason.FLAPPING,
    "S": Reason.STEADY,
}
EVENT = re.compile(r"([A-Z])(\d+)(?:-(\d+))?(?:@(\d+))?")


def moment(seconds: float) -> datetime:
    """Return the moment *seconds* after the beginning."""
    return T0 + timedelta(seconds=seconds)


def alert(began: float, ended: float | None, beginnings: list[float]) -> Alert:
    """Return the alert as it was when it had begun and, maybe, ended."""
    return Alert(
        LABELS,
        SIGNAL,
        State.FIRING if ended is None else State.RESOLVED,
        active_since=moment(began),
        last_true=moment(began),
        fired_at=moment(began),
        resolved_at=None if ended is None else moment(ended),
        firings=tuple(moment(b) for b in sorted({*beginnings, began}) if b <= began),
    )


def letter(text: str, beginnings: list[float], receiver: str = "hook") -> Notification:
    """Return the message drawn as *text*: ``F3`` began at 3, ``R3-10`` ended at 10, ``P3@99`` at 99 goes on."""
    notices, at = [], 0.0
    for event in text.split("+"):
        match = EVENT.fullmatch(event)
        assert match, event
        kind, began, ended = match[1], float(match[2]), float(match[3]) if match[3] else None
        at = max(at, float(match[4] or ended or began))
        notices.append(Notice(alert(began, ended, beginnings), None, (), reason=REASONS[kind]))
    return build(receiver, Labels(service="one"), notices, moment(at))


def heard(told: str, since: datetime = LONG_AGO) -> Heard:
    """Return what was heard of the other's messages, drawn as *told*."""
    found = Heard(TOLERANCE, since)
    for text in told.replace("-", "", 1).split() if told == "-" else told.split():
        message = letter(text, [])
        for one in told_by(message, message.at):
            found.add(read_told(write_told(one)), own=False)
    return found


def left(found: Heard, letters: list[Notification]) -> list[Notification]:
    """Return what is left of *letters*."""
    shorten = found.shorten(letters)
    return [shorter for one in letters if (shorter := shorten(one)) is not None]


def drawn(message: Notification) -> str:
    """Return the news of *message* as the tables draw them."""
    kinds = {reason: kind for kind, reason in REASONS.items()}

    def event(notice: Notice) -> str:
        assert notice.reason is not None
        assert notice.alert.fired_at is not None
        text = f"{kinds[notice.reason]}{(notice.alert.fired_at - T0).total_seconds():.0f}"
        if notice.alert.resolved_at is not None:
            return f"{text}-{(notice.alert.resolved_at - T0).total_seconds():.0f}"
        return text if notice.reason is Reason.FIRST else f"{text}@{(message.at - T0).total_seconds():.0f}"

    return "+".join(sorted(event(notice) for notice in message.notices if notice.reason))


UNTOLD = """
  the other told     | began here | waits here            | still to be told
  -                  | 3          | F3                    | F3
  F0                 | 3          | F3                    | -
  F5                 | 3          | F3                    | -
  F0                 | 500        | F500                  | F500
  F0 R0-20           | 3          | F3 R3-23              | -
  R0-20              | 3          | F3 R3-23              | -
  F0                 | 3          | F3 R3-10              | R3-10
  F0                 | 3          | R3-10                 | R3-10
  F0                 | 3 11       | R3-10 F11             | R3-10 F11
  F0                 | 3 11       | F11+R3-10             | F11+R3-10
  F0                 | 3 11       | F11                   | F11
  F0 R0-20           | 3 43       | F43                   | F43
  F0 R0-20 F40       | 3 43       | F43                   | -
  F0 R0-20 F40       | 43         | F43                   | -
  F0 R0-20 F40       | 3          | R3-10                 | -
  F40                | 3 43       | F3 R3-10 F43          | F3 R3-10 F43
  F100               | 3 103      | F3 R3-10 F103         | F3 R3-10 F103
  F100               | 3          | F3                    | F3
  F0 P0@4000         | 3          | P3@4010               | -
  F0 P0@4000         | 3          | P3@3990               | -
  F0                 | 3          | P3@4010               | P3@4010
  F0 K0@50           | 3          | K3@51                 | -
  F0                 | 3          | K3@51                 | K3@51
  F0 L30@30          | 3          | F3 L3@33              | -
  F0                 | 3          | F3 L3@33              | L3@33
  F0 L0@30 S0@900    | 3          | S3@903                | -
  F0 L0@30           | 3          | S3@903                | S3@903
"""


@pytest.mark.parametrize(("told", "began", "waits", "still"), rows(UNTOLD), ids=ids(UNTOLD))
def test_what_was_told_is_not_told_again(told: str, began: str, waits: str, still: str) -> None:
    """And what is told last is always true: nothing after the first untold thing is left out."""
    beginnings = [float(text) for text in began.split()]
    letters = [letter(text, beginnings) for text in waits.split()]
    assert " ".join(map(drawn, left(heard(told), letters))) == still.replace("-", "", still == "-")


def test_what_held_already_when_we_came_was_told_long_ago() -> None:
    """A standby that is new sees everything begin at once; only its own first minute counts as that."""
    new = heard("F0", since=moment(5000))
    assert left(new, [letter("F5003", [])]) == []
    assert [drawn(x) for x in left(new, [letter("F5100", [])])] == ["F5100"]


def test_each_receiver_has_to_hear_it() -> None:
    """What one was told says nothing of the other."""
    told = heard("F0 R0-20")
    assert [drawn(x) for x in left(told, [letter("F3", [], "other")])] == ["F3"]


def test_a_report_is_told_by_one() -> None:
    """Both make it of the same moment, though not at the same one; that of the next day is another."""
    daily = Report("all_clear", ("hook",), Schedule("0 8 * * *"))

    def made(day: int, late: float) -> Notification:
        latest = Snapshot(moment(86_400 * day + late), {}, {}, (), Status.OK)
        (message,) = bulletin(daily, latest, moment(86_400 * day))
        return message

    found = Heard(TOLERANCE, LONG_AGO)
    for one in told_by(made(0, 1), moment(1)):
        found.add(one, own=False)
    assert left(found, [made(0, 4)]) == []
    assert len(left(found, [made(1, 4)])) == 1


def test_what_the_receiver_knows_to_go_on_stays_in_the_message() -> None:
    """It is merely no news; and an end whose beginning is known is an end like any other."""
    found = heard("F0")
    elsewhere = Notice(replace(alert(3, None, []), labels=Labels(LABELS, service="two")), None, ())
    news = replace(elsewhere, reason=Reason.FIRST)
    known = Notice(alert(3, None, []), None, (), reason=Reason.FIRST)
    message = build("hook", Labels(), [known, news], T0)
    (shorter,) = left(found, [message])
    assert {(n.alert.service, n.reason) for n in shorter.notices} == {("one", None), ("two", Reason.FIRST)}
    both = Notice(alert(3, 10, []), None, (), reason=Reason.RESOLVED, unannounced=True)
    (end,) = left(found, [build("hook", Labels(), [both], T0)])
    assert [n.unannounced for n in end.notices] == [False]


def test_a_message_of_which_nothing_was_told_stays_the_same() -> None:
    """Its key as well."""
    message = letter("F3", [])
    assert left(heard("-"), [message])[0] is message


def test_what_is_of_no_more_use_is_forgotten() -> None:
    """After a day without a word of it."""
    found = heard("F0")
    found.forget(moment(86_000))
    assert left(found, [letter("F3", [])]) == []
    found.forget(moment(87_000))
    assert len(left(found, [letter("F3", [])])) == 1


def adopted(told: str, known: Alert | None, receipt: Receipt | None) -> tuple[Alert | None, Receipt | None]:
    """Return what one that takes over makes of what the other told, and of what it knows itself."""
    ticket = ("hook", LABELS.fingerprint)
    alerts, receipts = heard(told).adopt(
        {LABELS: known} if known else {}, {ticket: receipt} if receipt else {}, {LABELS: SIGNAL}.get
    )
    return alerts.get(LABELS), receipts.get(ticket)


def receipt(began: float, *, resolved: bool) -> Receipt:
    """Return what is known to have been told of the firing that began at a moment."""
    return Receipt(moment(began), resolved, moment(began), moment(began), "one")


def test_what_was_announced_is_taken_over_to_be_ended() -> None:
    """As if it had been announced here: the next look goes on with it, or ends it."""
    alert_, receipt_ = adopted("F0 P0@4000", None, None)
    assert alert_ is not None
    assert (alert_.state, alert_.fired_at, alert_.signal) == (State.FIRING, T0, SIGNAL)
    assert receipt_ == Receipt(T0, False, T0, moment(4000), "one")
    pending = replace(alert(4001, None, []), state=State.PENDING, fired_at=None, firings=())
    assert adopted("F0", pending, None)[0] == adopted("F0", None, None)[0]


def test_what_fires_here_too_stays_what_it_is() -> None:
    """Only that it was announced is taken over, if it was not known; its end is ours to tell then."""
    mine = alert(3, None, [])
    assert adopted("F0", mine, None) == (mine, Receipt(moment(3), False, T0, T0, "one"))
    assert adopted("F0", mine, receipt(3, resolved=False)) == (mine, receipt(3, resolved=False))


LEFT_ALONE = {
    "it ended there": ("F0 R0-20", None, None),
    "it ended here": ("F0", alert(3, 10, []), receipt(3, resolved=True)),
    "nothing was told": ("-", None, None),
}


@pytest.mark.parametrize(("told", "known", "told_here"), LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_what_has_its_end_is_left_alone(told: str, known: Alert | None, told_here: Receipt | None) -> None:
    """Told already, or decided here and on its way."""
    assert adopted(told, known, told_here) == (known, told_here)


# ---- any course of things ----------------------------------------------------------------------

TAKEOVER = 15.0
END = 300.0


@dataclass
class Watcher:
    """One watchdog that looks once a second and keeps what it has to tell."""

    phase: float
    alert: Alert | None = None
    receipt: Receipt | None = None
    letters: list[Notification] = field(default_factory=list)

    def look(self, at: float, *, wrong: bool) -> None:
        """Look at a moment and queue what it changes."""
        now, known = moment(at), self.alert
        if wrong and (known is None or not known.firing):
            before = [(b - T0).total_seconds() for b in known.firings] if known else []
            self.alert = alert(at, None, before)
            self._queue(self.alert, Reason.FIRST, now)
        elif not wrong and known is not None and known.firing:
            self.alert = replace(known, state=State.RESOLVED, resolved_at=now)
            self._queue(self.alert, Reason.RESOLVED, now)

    def _queue(self, about: Alert, reason: Reason, now: datetime) -> None:
        assert about.fired_at is not None
        self.receipt = Receipt(about.fired_at, about.resolved_at is not None, now, now, "one")
        self.letters.append(build("hook", Labels(), [Notice(about, None, (), reason=reason)], now))


COURSES = st.tuples(
    st.lists(st.floats(0.05, 30.0), min_size=1, max_size=12),  # how long each state lasts
    st.floats(0.0, 0.999),  # when in each second the standby looks
    st.floats(0.0, 120.0),  # when the holder dies
    st.booleans(),  # whether it dies before it could say what it told last
)


@settings(max_examples=500, deadline=None)
@given(COURSES)
def test_after_a_takeover_the_receiver_knows_the_truth(
    course: tuple[list[float], float, float, bool],
) -> None:
    """Whatever happened when: its last word is true, and no outage that the survivor saw went untold."""
    lengths, phase, dies, speechless = course
    edges = [sum(lengths[: i + 1]) for i in range(len(lengths))]

    def wrong(at: float) -> bool:
        return sum(edge <= at for edge in edges) % 2 == 1

    holder, standby, found = Watcher(0.0), Watcher(phase), Heard(TOLERANCE, LONG_AGO)
    received: list[Told] = []
    episodes: dict[datetime, datetime | None] = {}

    def send(who: Watcher, at: float, *, own: bool, said: bool = True) -> None:
        for message in who.letters:
            for one in told_by(message, moment(at)):
                received.append(one)
                if said:
                    found.add(one, own=own)
        who.letters.clear()

    for at in sorted([float(t) for t in range(int(END))] + [t + phase for t in range(int(END))]):
        if at == int(at) and at <= dies:
            holder.look(at, wrong=wrong(at))
            send(holder, at, own=False, said=not (speechless and at + 1 > dies))
        if at == int(at) + phase:
            if dies + TAKEOVER <= at < dies + TAKEOVER + 1:
                standby.letters = left(found, standby.letters)
                alerts = {LABELS: standby.alert} if standby.alert else {}
                receipts = {("hook", LABELS.fingerprint): standby.receipt} if standby.receipt else {}
                alerts, receipts = found.adopt(alerts, receipts, {LABELS: SIGNAL}.get)
                standby.alert = alerts.get(LABELS)
                standby.receipt = receipts.get(("hook", LABELS.fingerprint))
            standby.look(at, wrong=wrong(at))
            if standby.alert is not None and standby.alert.fired_at is not None:
                episodes[standby.alert.fired_at] = standby.alert.resolved_at
            standby.letters = left(found, standby.letters)
            if at >= dies + TAKEOVER:
                send(standby, at, own=True)
    assert speechless or bool(received and received[-1].resolved_at is None) == wrong(END)
    holder.look(END, wrong=wrong(END))  # it comes back and takes up where it was
    holder.letters = left(found, holder.letters)
    send(holder, END, own=False)
    assert bool(received and received[-1].resolved_at is None) == wrong(END)
    spans = [*believed(received), *((one.fired_at, one.resolved_at) for one in received)]
    for seen, over in episodes.items():
        assert any(f < (over or moment(END)) and (r is None or seen < r) for f, r in spans), (seen, over)


def believed(received: list[Told]) -> list[tuple[datetime, datetime]]:
    """Return the times in which a receiver of these messages took the alert to fire."""
    spans: list[tuple[datetime, datetime]] = []
    since: datetime | None = None
    for told in received:
        since = since or told.fired_at
        if told.resolved_at is not None:
            spans.append((since, told.resolved_at))
            since = None
    return [*spans, (since, moment(END))] if since else spans
