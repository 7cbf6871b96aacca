"""How long it is talked of: groups, reminders, acknowledgements, escalation, silences, flapping, clocks set wrong."""

from __future__ import annotations

import pytest

from tests.drawn import T0, ids, minutes, rows
from tests.notify.story import Story
from watchdog.alerts import Flapping
from watchdog.muting import Maintenance
from watchdog.notifications import Reason
from watchdog.routing import Escalation, Habit, Pace, Route
from watchdog.rules import ZERO
from watchdog.schedule import Schedule

PAGER = {"ops": Habit(), "pager": Habit(hears_acks=True)}
BOSS = {"ops": Habit(), "boss": Habit(hears_acks=True)}
LONG = minutes(600)


def paced(wait: float = 0, interval: float = 0, repeat: float = 600) -> tuple[Route, ...]:
    """Return the route to `ops` with a pace in minutes."""
    return (Route(("ops",), pace=Pace(minutes(wait), minutes(interval), minutes(repeat))),)


def even(cell: str) -> str:
    """Return *cell* with single spaces."""
    return " ".join(cell.split())


# ---- groups ------------------------------------------------------------------------------------

GROUPS = """
  wait | interval | true, minute by minute | sent
  2    | 0        | A A A A                | . . +A .
  2    | 0        | A AB AB AB             | . . +A+B .
  2    | 0        | A A A AB               | . . +A (A)+B
  2    | 0        | B AB AB AB             | . +A+B . .
  2    | 0        | A AC AC AC             | . . +C+A .
  2    | 0        | A . . .                | . . ±A .
  2    | 0        | A . A . .              | . . ±A . ±A
  3    | 0        | A . A A                | . . . +A±A
  2    | 0        | A AD AD AD             | . . +A +D
  0    | 3        | B AB AB AB             | +B +A(B) . .
  0    | 3        | A AB AB AB AB          | +A . . (A)+B .
  0    | 3        | A AC AC AC             | +A . . +C(A)
  0    | 3        | A AB ABE ABE           | +A . . (A)+E+B
  0    | 3        | A . . . . .            | +A . . -A . .
  0    | 3        | A . A . . .            | +A . +A-A . . -A
  0    | 3        | B . B . . . .          | +B . . +B-B . . -B
  0    | 3        | A A A A . .            | +A . . . -A .
  0    | 3        | AD A A AD              | +A/+D . . -D/+D
  2    | 3        | B B B BE BE BE BE      | . . +B . . +E(B) .
  2    | 3        | A A A . A A A A A      | . . +A . . +A-A . . .
"""


@pytest.mark.parametrize(("wait", "interval", "true", "sent"), rows(GROUPS), ids=ids(GROUPS))
def test_a_service_is_gathered_and_speaks_every_so_often(
    wait: str, interval: str, true: str, sent: str
) -> None:
    """B and E are warnings; critical news of a service known only for warnings wait for no interval."""
    story = Story("A@a B@a:warning C@a D@d E@a:warning", routes=paced(float(wait), float(interval)))
    assert story.tell(true).sent(goes_on=True) == even(sent)


def test_a_message_says_for_what_it_waits() -> None:
    """The reason is seen in log, metric and API."""
    story = Story("A@a B@a:warning", routes=paced(2, 3))
    story.tell("A A A AB AB AB .")
    waits = [message.waits for decision in story.decisions for message in decision.notifications]
    assert waits == [Reason.GROUP_WAIT, Reason.GROUP_INTERVAL, Reason.GROUP_INTERVAL]
    assert [str(message.waits) for message in story.taken["ops"]] == ["sending", "sending"]


def test_the_shorter_pace_of_two_routes_counts_for_a_message_of_both() -> None:
    """What may go at once does not wait for what may not."""
    routes = (
        Route(("ops",), {"alertname": frozenset("A")}, pace=Pace(minutes(5), ZERO, LONG)),
        Route(("ops",), pace=Pace(ZERO, ZERO, LONG)),
    )
    assert Story("A@a B@a", routes=routes).tell("A AB AB").sent() == ". +B+A ."


def test_grouping_and_pending_survive_a_restart() -> None:
    """What waited goes on waiting, and `for` has not begun anew."""
    grouped = Story(routes=paced(3)).tell("A A A A A", ". crash . crash .")
    pending = Story(for_=minutes(3)).tell("A A A A A", ". crash . crash .")
    assert (grouped.sent(), pending.sent()) == (". . . +A .", ". . . +A .")


# ---- reminders and acknowledgements ------------------------------------------------------------

REMINDERS = """
  true, minute by minute | said                | ops             | pager
  A A A A A A A .        | . . . . . . . .     | +A . . ~A . . ~A -A | +A . . ~A . . ~A -A
  A a a a a .            | . . . . . .         | +A . . ~A . -A  | +A . . ~A . -A
  A AB AB AB AB          | . . . . .           | +A +B . ~A ~B   | +A +B . ~A ~B
  A A A A A .            | . ack . . . .       | +A . . . . -A   | +A !A . . . -A
  A A A A A .            | . ack ack ack . .   | +A . . . . -A   | +A !A . . . -A
  A A . A A A A          | . ack . . . . .     | +A . -A +A . . ~A | +A !A -A +A . . ~A
  A A A A A              | . . ack crash .     | +A . . . .      | +A . !A . .
  A a a A A              | . ack . . .         | +A . . . .      | +A !A . . .
  A A A A A A A A        | . silence . . . lift . . | +A . . . . ~A . . | +A . . . . ~A . .
  A A A A A A A A        | silence ack . lift . . . . | . . . +A . . . . | . . . +A !A . . .
"""


@pytest.mark.parametrize(("true", "said", "ops", "pager"), rows(REMINDERS), ids=ids(REMINDERS))
def test_what_goes_on_is_repeated_until_somebody_has_seen_it(
    true: str, said: str, ops: str, pager: str
) -> None:
    """Every three minutes; `pager` can show who acknowledged, `ops` cannot; a new firing voids it."""
    route = Route(("ops", "pager"), pace=Pace(repeat_interval=minutes(3)))
    story = Story("A@a B@a", routes=(route,), habits=PAGER).tell(true, said)
    assert (story.sent("ops"), story.sent("pager")) == (even(ops), even(pager))


def test_nobody_is_reminded_of_what_still_waits_for_its_group() -> None:
    """Even if reminders are to come more often than groups."""
    story = Story(routes=paced(3, 0, 1)).tell("A A A A A A")
    assert (story.sent(), story.why("A")) == (". . . +A ~A ~A", "first . . . repeat repeat")


def test_an_acknowledgement_is_no_critical_news() -> None:
    """It waits for the interval like anything else."""
    route = Route(("pager",), pace=Pace(ZERO, minutes(3), LONG))
    story = Story("A@a", routes=(route,), habits=PAGER).tell("A A A A", ". ack . .")
    assert story.sent("pager") == "+A . . !A"


def test_who_has_acknowledged_is_said_wherever_the_alert_is_mentioned() -> None:
    """Also in a message about another alert of the service."""
    story = Story("A@a B@a").tell("A A AB", ". ack .")
    (last,) = story.decisions[-1].notifications
    assert [(n.alert.name, n.ack is not None) for n in last.notices] == [("B", False), ("A", True)]


# ---- escalation --------------------------------------------------------------------------------

ESCALATIONS = """
  wait | true, minute by minute | said                    | ops                 | boss
  0    | A A A A A A .          | . . . . . . .           | +A . . . . . -A     | . . . ^A . . -A
  0    | A A A A A .            | . . ack . . .           | +A . . . . -A       | . . . . . .
  0    | A A A A A A .          | . . . . ack . .         | +A . . . . . -A     | . . . ^A !A . -A
  0    | A A A . A A A A .      | . . ack . . . . . .     | +A . . -A +A . . . -A | . . . . . . . ^A -A
  0    | A . A A A A .          | . . . . . . .           | +A -A +A . . . -A   | . . . . . ^A -A
  0    | A a a a a .            | . . . . . .             | +A . . . . -A       | . . . ^A . -A
  0    | A A A A A A            | . silence . . lift .    | +A . . . . .        | . . . . ^A .
  0    | A A A A A A            | silence . lift . . .    | . . +A . . .        | . . . . . ^A
  0    | A A A A A .            | . . . . silence .       | +A . . . . -A       | . . . ^A . -A
  0    | A A A A A A            | . . crash . . .         | +A . . . . .        | . . . ^A . .
  2    | A A A A A A .          | . . . . . . .           | . . +A . . . -A     | . . . . . ^A -A
"""


@pytest.mark.parametrize(("wait", "true", "said", "ops", "boss"), rows(ESCALATIONS), ids=ids(ESCALATIONS))
def test_what_nobody_acknowledges_goes_to_somebody_else_as_well(
    wait: str, true: str, said: str, ops: str, boss: str
) -> None:
    """After three minutes, counted from when `ops` was told; who was told hears the end as well."""
    escalation = Escalation(minutes(3), ("boss",))
    route = Route(("ops",), pace=Pace(minutes(float(wait)), ZERO, LONG), escalations=(escalation,))
    story = Story(routes=(route,), habits=BOSS).tell(true, said)
    assert (story.sent("ops"), story.sent("boss")) == (even(ops), even(boss))


def test_reminders_do_not_put_off_an_escalation() -> None:
    """It is counted from the first time."""
    route = Route(
        ("ops",), pace=Pace(repeat_interval=minutes(2)), escalations=(Escalation(minutes(5), ("boss",)),)
    )
    story = Story(routes=(route,), habits=BOSS).tell("A A A A A A A")
    assert (story.sent("ops"), story.sent("boss")) == ("+A . ~A . ~A . ~A", ". . . . . ^A .")


def test_an_escalation_to_somebody_on_the_route_is_none() -> None:
    """`ops` heard of it at once, by whichever route."""
    escalation = Escalation(minutes(1), ("ops", "boss"))
    routes = (Route(("ops",), go_on=True, escalations=(escalation,)), Route(("boss",)))
    story = Story(routes=routes, habits=BOSS).tell("A A A .")
    assert (story.sent("ops"), story.sent("boss")) == ("+A . . -A", "+A . . -A")


def test_escalations_follow_one_another() -> None:
    """Each is counted from the beginning, not from the one before."""
    escalations = (Escalation(minutes(1), ("lead",)), Escalation(minutes(3), ("boss",)))
    habits = {name: Habit() for name in ("ops", "lead", "boss")}
    story = Story(routes=(Route(("ops",), escalations=escalations),), habits=habits).tell("A A A A .")
    assert [story.sent(name) for name in habits] == ["+A . . . -A", ". ^A . . -A", ". . . ^A -A"]


# ---- silences and maintenance ------------------------------------------------------------------

SILENCES = """
  wait | true, minute by minute | said                              | sent              | why
  0    | A A A A                | . silence . .                     | +A . . .          | first silenced silenced silenced
  0    | A A . .                | . silence . .                     | +A . -A .         | first silenced resolved .
  0    | A A A .                | silence . lift .                  | . . +A -A         | silenced silenced first resolved
  0    | A A . .                | silence . . lift                  | . . . .           | silenced silenced . .
  0    | A a a .                | silence . . .                     | . . . .           | silenced silenced silenced .
  0    | A A . A A              | silence . . . lift                | . . . . +A        | silenced silenced . silenced first
  0    | A . A A                | . . silence lift                  | +A -A . +A        | first resolved silenced first
  0    | A . A .                | until_resolved . . .              | . . +A -A         | silenced . first resolved
  0    | . . A .                | until_resolved . . .              | . . . .           | . . silenced .
  0    | . A a A                | until_resolved . . .              | . . . .           | . silenced silenced silenced
  0    | A A A A                | silence:service=b . . .           | +A . . .          | first . . .
  0    | A A A A                | silence crash . lift              | . . . +A          | silenced silenced silenced first
  3    | A A A A A              | . silence . . .                   | . . . . .         | first silenced silenced silenced silenced
  3    | A A A A A A A          | . silence . lift . . .            | . . . . . . +A    | first silenced silenced first . . .
  3    | A . . . A              | . . silence . .                   | . . . ±A .        | first resolved . . silenced
  3    | A A . . .              | . silence . . .                   | . . . . .         | first silenced . . .
  3    | A A A A A              | . crash silence . .               | . . . . .         | first . silenced silenced silenced
"""


@pytest.mark.parametrize(("wait", "true", "said", "sent", "why"), rows(SILENCES), ids=ids(SILENCES))
def test_a_silence_holds_back_beginnings_and_reminders_but_no_end(
    wait: str, true: str, said: str, sent: str, why: str
) -> None:
    """What waits for its group is taken back; when the silence ends and the alert fires on, it is told."""
    story = Story(routes=paced(float(wait))).tell(true, said)
    assert (story.sent(), story.why("A")) == (even(sent), even(why))


def test_a_silence_takes_back_only_what_it_is_about() -> None:
    """The rest of the group is sent when it was to be sent."""
    story = Story("A@a B@a:warning", routes=paced(3)).tell("AB AB AB AB", ". silence:alertname=A . .")
    assert story.sent() == ". . . +B"


def test_what_cannot_be_taken_back_any_more_is_ended() -> None:
    """The clock is set back, so that the message seems to wait still; but it was sent long ago."""
    story = Story(routes=paced(3)).tell("A A A A A A .", ". . . . clock:-2 silence .")
    assert story.sent() == ". . . +A . . -A"


def test_a_symptom_that_waits_is_taken_back_when_its_cause_appears() -> None:
    """B needs A; nobody hears of B while A goes on."""
    story = Story("A@a B@b", needs="b<a", routes=paced(2)).tell("B AB AB AB B B B")
    assert story.sent() == ". . . +A -A . +B"
    assert story.why("B") == "first held_by_cause held_by_cause held_by_cause first . ."


def test_maintenance_holds_back_what_begins_in_its_window() -> None:
    """From 01:02 to 01:04; what was told before ends as ever, what goes on afterwards is told then."""
    window = Maintenance(Schedule("2 1 * * *"), minutes(2), {"service": frozenset("a")})
    story = Story("A@a B@b C@a", maintenance=(window,), routes=paced()).tell("A A ABC BC BC .")
    assert story.sent() == "+A . +B -A +C -B/-C"
    assert story.why("C") == ". . maintenance maintenance first resolved"


# ---- flapping ----------------------------------------------------------------------------------

FLAPPING = """
  true, minute by minute        | said                        | sent
  A . A . A . . . . . .         |                             | +A -A +A -A %A . . . . -A .
  A . A . A A A A A A .         |                             | +A -A +A -A %A . . . =A . -A
  A . A . A . A . A . . . . .   |                             | +A -A +A -A %A . . . . . . . . -A
  A . A . A . A A A A A .       |                             | +A -A +A -A %A . . . . . =A -A
  A . A . A a a a a a .         |                             | +A -A +A -A %A . . . =A . -A
  A . A . A A A A A . A .       |                             | +A -A +A -A %A . . . =A -A %A .
  A . A . A . . . . . A         |                             | +A -A +A -A %A . . . . -A %A
  A . A . A . A . . . .         | . . . . silence . . lift . . . | +A -A +A -A . . . . . . .
  A . A . A A A A A             | . . . . silence . lift . .  | +A -A +A -A . . %A . =A
  A . A . A . A A A A A A       | . . . . . silence . . . . . lift | +A -A +A -A %A . . . . . . =A
  A . A . A . . . . . .         | . . . . . silence . . . . . | +A -A +A -A %A . . . . -A .
  A . A . A . A . . . . .       | . . . . . . crash . . crash . . | +A -A +A -A %A . . . . . . -A
  A . A . A A A A A .           | . . . . . ack . . . .       | +A -A +A -A %A !A . . . -A
  A . A . A A . A A A A         | . . . . . ack . . . . .     | +A -A +A -A %A !A . . . . .
  A . A . A A A A .             | . . . . . remove:A . . .    | +A -A +A -A %A . . . .
  A . A . A . . .               | . . . . . clock:90 . .      | +A -A +A -A %A -A . .
  A . A . A A A                 | . . . . . clock:-70 .       | +A -A +A -A %A =A .
  A . A . A . A . A             | . . . . . . clock:-1440 . . | +A -A +A -A %A . =A -A +A
"""


@pytest.mark.parametrize(("true", "said", "sent"), rows(FLAPPING), ids=ids(FLAPPING))
def test_a_flapping_alert_says_so_and_is_silent_until_it_is_steady(true: str, said: str, sent: str) -> None:
    """It flaps from its third beginning within 30 minutes on, until nothing has changed for four."""
    flapping = Flapping(3, minutes(30), minutes(4))
    story = Story(flapping=flapping, habits={"ops": Habit(hears_acks=True)}).tell(true, said)
    assert story.sent() == even(sent)


def test_that_an_alert_is_steady_is_not_taken_back() -> None:
    """It was told to flap; if the silence kept the rest from the receiver, nobody would hear of the end."""
    story = Story(routes=paced(0, 4), flapping=Flapping(2, minutes(30), minutes(2)))
    story.tell("A . A A A A A A . . . .", ". . . . . silence . . . . . .")
    assert story.sent() == "+A . %A-A . . . =A . . . -A ."


def test_keep_firing_for_spares_the_flapping() -> None:
    """What is kept firing over its gaps has begun only once."""
    flapping = Flapping(3, minutes(30), minutes(4))
    story = Story(flapping=flapping, keep_firing_for=minutes(2)).tell("A . A . A . . .")
    assert story.sent() == "+A . . . . . -A ."


def test_a_receiver_is_told_the_end_of_flapping_although_the_next_firing_is_pending() -> None:
    """`for` takes four minutes, three without a change are steady: the end is not owed until it fires again."""
    story = Story(flapping=Flapping(2, minutes(30), minutes(3)), for_=minutes(4))
    story.tell("A A A A A . A A A A A . A A A A .")
    assert story.sent() == ". . . . +A -A . . . . %A . . . -A . ."


def test_a_flapping_alert_escalates_like_any_other() -> None:
    """Nobody has acknowledged that it flaps; the other one is told so, and hears when it is steady."""
    route = Route(("ops",), escalations=(Escalation(minutes(3), ("boss",)),))
    story = Story(routes=(route,), habits=BOSS, flapping=Flapping(3, minutes(30), minutes(4)))
    story.tell("A . A . A . A . A . A A A A A .")
    assert story.sent("ops") == "+A -A +A -A %A . . . . . . . . . =A -A"
    assert story.sent("boss") == ". . . . . . . . %A . . . . . =A -A"


# ---- receivers that forget ---------------------------------------------------------------------

RESENT = """
  true, minute by minute | said                | sent
  A A A A A .            |                     | +A . ~A . ~A -A
  A A A A A A            | . silence . . . .   | +A . ~A . ~A .
  A A A A A              | . ack . . .         | +A . ~A . ~A
  A A A A A              | silence . . lift .  | . . . +A .
  A a a a a              |                     | +A . ~A . ~A
  A . A . A . A          |                     | +A -A +A -A +A -A +A
  A A A A A              | . . crash . .       | +A . ~A . ~A
  A A A A A              | . clock:-70 . . .   | +A ~A . ~A .
  A . . . . .            |                     | +A -A . ~A . ~A
"""


@pytest.mark.parametrize(("true", "said", "sent"), rows(RESENT), ids=ids(RESENT))
def test_a_receiver_that_forgets_is_told_again_and_again(true: str, said: str, sent: str) -> None:
    """Every two minutes and whatever people say: Alertmanager groups, damps and silences by itself."""
    habits = {"ops": Habit(resend=minutes(2))}
    story = Story(habits=habits, routes=paced(5, 5), flapping=Flapping(2, LONG, LONG)).tell(true, said)
    assert story.sent() == even(sent)


def test_an_end_is_told_again_for_as_long_as_it_is_remembered() -> None:
    """A quarter of an hour; then nobody has to know of it any more."""
    story = Story(habits={"ops": Habit(resend=minutes(5))}).tell("A " + ". " * 25)
    assert story.sent().split().count("~A") == 3
    assert (story.alerts, story.receipts) == ({}, {})


def test_a_receiver_that_forgets_is_not_sent_the_rest_of_the_service() -> None:
    """It knows how to group, and each alert has its own turn."""
    story = Story("A@a B@a", habits={"ops": Habit(resend=minutes(2))}).tell("A AB AB AB")
    assert story.sent(goes_on=True) == "+A +B ~A ~B"


# ---- the clock ---------------------------------------------------------------------------------

CLOCKS = """
  what     | true                | said                     | sent
  for      | A A A A A A         | . clock:-70 . . . .      | . . . . +A .
  for      | A A A A A A         | . clock:-1440 . . . .    | . . . . +A .
  for      | A A A A A           | . clock:90 . . .         | . +A . . .
  keep     | A . . . .           | . clock:-70 . . .        | +A -A . . .
  keep     | A . . . . .         | . clock:-1 . . . .       | +A . . . -A .
  keep     | A . . . .           | . clock:90 . . .         | +A -A . . .
  repeat   | A A A A A A         | . clock:-70 . . . .      | +A ~A . . ~A .
  repeat   | A A A A A           | . clock:-1 . . .         | +A . . . ~A
  repeat   | A A A A A           | . clock:1440 . . .       | +A ~A . . ~A
  escalate | A A A A .           | . clock:-70 . . .        | . ^A . . -A
  escalate | A A A A A .         | . clock:-1 . . . .       | . . . . ^A -A
  escalate | A A A A .           | . clock:1440 . . .       | . ^A . . -A
  group    | A A A A             | . clock:-70 . .          | . . . +A
  group    | A A A A .           | . . . . clock:-1440      | . . . +A -A
  group    | A A A A . . .       | . . . . clock:-2 . .     | . . . +A . -A .
  group    | A A A A . . . .     | . . . . clock:90 . . .   | . . . +A -A . . .
  group    | A . . . A           | . clock:-1440 . . .      | . ±A . . .
"""


@pytest.mark.parametrize(("what", "true", "said", "sent"), rows(CLOCKS), ids=ids(CLOCKS))
def test_a_clock_set_wrong_makes_nothing_hang(what: str, true: str, said: str, sent: str) -> None:
    """Each wait is of three minutes, and none takes longer than twice that, however far the clock jumps."""
    route = Route(("ops",), pace=Pace(repeat_interval=LONG))
    three = minutes(3)
    if what == "repeat":
        route = Route(("ops",), pace=Pace(repeat_interval=three))
    if what == "escalate":
        route = Route(("boss",), pace=Pace(repeat_interval=LONG), escalations=(Escalation(three, ("ops",)),))
    if what == "group":
        route = Route(("ops",), pace=Pace(three, three, LONG))
    story = Story(
        routes=(route,),
        habits=BOSS,
        for_=three if what == "for" else ZERO,
        keep_firing_for=three if what == "keep" else ZERO,
    )
    assert story.tell(true, said).sent() == even(sent)


def test_a_clock_set_back_between_two_firings_leaves_their_order() -> None:
    """The second one is the later one, and is acknowledged, told and ended as such."""
    story = Story(habits={"ops": Habit(hears_acks=True)})
    story.tell("A . A A .", ". . clock:-1440 ack .")
    assert story.sent() == "+A -A +A !A -A"
    first, second = story.firings[story.fingerprint("A")]
    assert first < second < T0 + minutes(1)
