"""Who is told what, and why: beginnings and ends, causes before symptoms, routes, messages and their keys."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.drawn import T0, ids, minutes, rows
from tests.notify.story import NOBODY_SPECIAL, SIGNS, Story, drawn
from watchdog.alerts import Alert, Flapping, State, failing
from watchdog.model import Labels, SignalKey
from watchdog.muting import Ack
from watchdog.notifications import Notice, Notification, Reason, build, merge, without
from watchdog.routing import Escalation, Habit, Policy, Route
from watchdog.telling import Case, Receipt, Receipts, Wishes, due, listeners, notices_of, owed, why_tell

LIVES = """
  true, tick by tick | told
  A A .  .           | +A . -A .
  A a .  .           | +A . -A .
  A a A  .           | +A . .  -A
  a a A  a           | .  . +A .
  A . A  .           | +A -A +A -A
  A A A  A           | +A . . .
  . . .  .           | .  . .  .
"""


@pytest.mark.parametrize(("true", "told"), rows(LIVES), ids=ids(LIVES))
def test_a_beginning_and_an_end_are_told_once(true: str, told: str) -> None:
    """A small letter is a tick in which nobody can see whether it is so: neither beginning nor end."""
    assert Story().tell(true).sent() == " ".join(told.split())


def test_what_never_fired_is_never_told() -> None:
    """A pending alert is shown and nothing else."""
    assert Story(for_=minutes(2)).tell("A A . A . A A A .").sent() == ". . . . . . . +A -A"


REMOVED = """
  said                    | told
  . . remove:A .          | +A . -A .
  silence . remove:A .    | .  . .  .
  . silence remove:A .    | +A . -A .
"""


@pytest.mark.parametrize(("said", "told"), rows(REMOVED), ids=ids(REMOVED))
def test_an_alert_whose_rule_is_removed_ends_and_says_so(said: str, told: str) -> None:
    """Its end is owed to whoever heard of its beginning."""
    story = Story().tell("A A A A", said)
    assert story.sent() == " ".join(told.split())
    ends = [n.alert.ended for message in story.taken["ops"] for n in message.notices if n.resolved]
    assert ends == ["rule removed"] * ("-A" in told)


# ---- one decision ------------------------------------------------------------------------------

WHY = """
  alert    | told before            | besides       | told now
  pending  | -                      |               | -
  firing   | -                      |               | first
  firing   | -                      | silenced      | silenced
  firing   | -                      | flaps         | flapping
  firing   | -                      | flaps silenced | silenced
  firing   | -                      | escalates     | escalated
  firing   | -                      | unrouted      | -
  firing   | -                      | acked         | first
  firing   | this 1m ago            |               | -
  firing   | this 3h ago            |               | repeat
  firing   | this 3h ago            | silenced      | silenced
  firing   | this 3h ago            | acked         | spared_by_ack
  firing   | this 3h ago            | unrouted      | -
  firing   | this 1m ago            | acked hears   | acknowledged
  firing   | this 1m ago acked      | acked hears   | spared_by_ack
  firing   | this 1m ago            | acked hears silenced | acknowledged
  firing   | this 1m ahead          |               | -
  firing   | this 4h ahead          |               | repeat
  firing   | this 1m ago flapping   | flaps         | damped
  firing   | this 1m ago flapping   |               | steady
  firing   | this 1m ago flapping   | silenced      | silenced
  firing   | this 1m ago            | flaps         | -
  firing   | other 1m ago           |               | first
  firing   | other 1m ago ended     |               | first
  firing   | other 1m ago ended     | flaps         | flapping
  firing   | other 1m ago flapping  | flaps         | damped
  firing   | other 1m ago flapping  | flaps silenced | damped
  firing   | other 1m ago flapping  |               | steady
  firing   | other 1m ago flapping  | silenced      | silenced
  firing   | other 1m ago flapping  | unrouted      | -
  blind    | -                      |               | first
  blind    | this 1m ago            |               | -
  resolved | -                      |               | -
  resolved | this 1m ago            |               | resolved
  resolved | this 1m ago            | unrouted      | resolved
  resolved | this 1m ago            | flaps         | resolved
  resolved | this 1m ago flapping   | flaps         | damped
  resolved | this 1m ago flapping   |               | resolved
  resolved | other 1m ago flapping  | flaps         | damped
  resolved | other 1m ago flapping  |               | resolved
  resolved | this 1m ago ended      |               | -
  resolved | other 1m ago ended     |               | -
  firing   | this 1m ago            | resent        | -
  firing   | this 2m ago            | resent        | repeat
  firing   | this 2m ago            | resent silenced | repeat
  firing   | this 2m ago            | resent acked  | repeat
  firing   | this 2m ago            | resent unrouted | -
  firing   | -                      | resent silenced | silenced
  resolved | this 2m ago            | resent        | resolved
  resolved | this 1m ago ended      | resent        | -
  resolved | this 2m ago ended      | resent        | repeat
  resolved | other 2m ago ended     | resent        | -
"""
AGO = {
    "1m ago": minutes(-1),
    "2m ago": minutes(-2),
    "3h ago": minutes(-180),
    "1m ahead": minutes(1),
    "4h ahead": minutes(240),
}


@pytest.mark.parametrize(("state", "before", "besides", "why"), rows(WHY), ids=ids(WHY))
def test_why_a_receiver_is_told_of_an_alert_or_spared(
    state: str, before: str, besides: str, why: str
) -> None:
    """Reminders come every 3 hours, to a receiver that is re-sent to every 2 minutes."""
    case = Case(
        alert("A", "a", state),
        receipt(before),
        T0,
        first=None if "unrouted" in besides else Reason.ESCALATED if "escalates" in besides else Reason.FIRST,
        muted=Reason.SILENCED if "silenced" in besides else None,
        acked="acked" in besides,
        flaps="flaps" in besides,
        repeat_interval=minutes(180),
        habit=Habit(resend=minutes(2) if "resent" in besides else None, hears_acks="hears" in besides),
        longest_wait=minutes(1),
    )
    assert str(why_tell(case) or "-") == why


def alert(name: str, service: str, state: str = "firing", severity: str = "critical") -> Alert:
    """Return an alert in *state*."""
    return Alert(
        Labels(alertname=name, service=service, severity=severity),
        SignalKey(service, "flag", Labels(key="k")),
        State(state),
        active_since=T0,
        last_true=T0,
        fired_at=None if state == "pending" else T0,
        resolved_at=T0 + minutes(1) if state == "resolved" else None,
    )


def receipt(drawn_: str) -> Receipt | None:
    """Return the receipt drawn as ``this 1m ago flapping``: of this firing or of an other one."""
    if drawn_ == "-":
        return None
    firing, length, way, *more = drawn_.split()
    at = T0 + AGO[f"{length} {way}"]
    fired_at = T0 if firing == "this" else T0 - minutes(60)
    return Receipt(fired_at, "ended" in more, at, at, "a", "flapping" in more, "acked" in more)


def test_the_same_decision_twice_sends_nothing_and_changes_nothing() -> None:
    """What was told is compared with what is: no tick can double a page, and a quiet one costs no writing."""
    alerts = {a.labels: a for a in (alert("A", "a"), alert("B", "a", "resolved"))}
    policy = Policy((Route(("ops",)),), {}, NOBODY_SPECIAL)
    first = due(alerts, {}, policy, Wishes(), T0)
    again = due(alerts, first.receipts, policy, Wishes(), T0 + minutes(1))
    assert (drawn(first.notifications[0].notices), again.notifications) == ("+A", ())
    assert again.receipts is first.receipts


def test_receipts_last_until_the_alert_is_forgotten_and_an_end_is_owed_until_it_is_told() -> None:
    """What nobody can ask for again is not kept."""
    story = Story().tell("A")
    assert owed(story.receipts) == {story.fingerprint("A")}
    story.tell(". .")
    assert (owed(story.receipts), len(story.receipts)) == (frozenset(), 1)
    story.elapsed += 3600
    story.tell(". .")
    assert (story.alerts, story.receipts) == ({}, {})


# ---- cause before symptoms ---------------------------------------------------------------------

CHAIN = "A@a B@b C@c"
CAUSES = f"""
  needs             | alerts                       | true              | told
  b<a c<b           | {CHAIN}                      | ABC ABC . .       | +A . -A .
  b<a c<b           | {CHAIN}                      | ABC BC C .        | +A -A/+B -B/+C -C
  b<a c<b           | {CHAIN}                      | ABC BC B .        | +A -A/+B . -B
  b<a c<b           | {CHAIN}                      | AC AC C .         | +A . -A/+C -C
  b<a c<b           | {CHAIN}                      | C BC ABC BC C .   | +C +B +A -A -B -C
  b<a c<b           | {CHAIN}                      | C AC A . .        | +C +A -C -A .
  b<a c<b           | {CHAIN}                      | C AC AC . .       | +C +A . -A/-C .
  b<a c<b           | {CHAIN}                      | ABC aBC BC .      | +A . -A/+B -B
  b<a c<b           | {CHAIN}                      | aBC ABC aBC       | +B +A .
  b<a c<b           | A@a:warning B@b C@c          | ABC BC            | +A/+B -A
  b<a c<b           | A@a:warning B@b:warning C@c  | ABC AB            | +A/+B/+C -C
  b<a c<b           | A@a B@b:warning C@c:info     | ABC BC C          | +A -A/+B/+C -B
  d<a,b             | A@a B@b D@d                  | ABD BD D .        | +A/+B -A -B/+D -D
  d<a,b             | A@a B@b D@d                  | D ABD BD .        | +D +A/+B -A -B/-D
  b<a c<a d<b,c     | A@a B@b C@c D@d              | ABCD BCD CD D .   | +A -A/+B/+C -B -C/+D -D
  b<a c<a d<b,c     | A@a B@b C@c D@d              | BCD ABCD CD .     | +B/+C +A -A/-B -C
  b<a               | A@a B@b C@a                  | ABC BC B          | +A+C -A +B/-C
  b<a               | A@a B@b C@b                  | ABC AC A          | +A . .
  b<a               | A@a B@b                      | AB B AB AB B .    | +A -A/+B +A . -A -B
  b<nobody          | A@a B@b                      | AB                | +A/+B
"""


@pytest.mark.parametrize(("needs", "cast", "true", "told"), rows(CAUSES), ids=ids(CAUSES))
def test_a_symptom_is_held_while_its_cause_is_critical(needs: str, cast: str, true: str, told: str) -> None:
    """Only its beginning is held back, and told once the last cause is gone; its end never is."""
    assert Story(cast, needs=needs).tell(true).sent() == told


def test_a_pending_cause_holds_its_symptoms_too() -> None:
    """It is as critical before it may be told; if it never fires, the symptom is told."""
    held = Story("A@a B@b", needs="b<a", for_=minutes(2)).tell("AB AB AB B .")
    free = Story("A@a B@b", needs="b<a", for_=minutes(1)).tell("AB B B B")
    assert (held.sent(), free.sent()) == (". . +A -A/+B -B", ". +B . .")


SPARED_CAUSES = """
  said                   | true        | told
  silence:service=a . .  | AB AB B     | .  . +B
  . silence:service=a .  | AB AB B     | +A . -A/+B
  . ack .                | AB AB B     | +A . -A/+B
  . . remove:A           | AB AB AB    | +A . +B/-A
"""


@pytest.mark.parametrize(("said", "true", "told"), rows(SPARED_CAUSES), ids=ids(SPARED_CAUSES))
def test_a_cause_of_which_nobody_hears_is_a_cause_all_the_same(said: str, true: str, told: str) -> None:
    """B needs A: whoever silences the cause means its symptoms."""
    assert Story("A@a B@b", needs="b<a").tell(true, said).sent() == " ".join(told.split())


STANDING = """
  alert | cause | affects | symptoms
  A     | -     | b,c,d   | C of c,D of d
  W     | -     | b,c,d   |
  C     | a     | d       |
  D     | a     |         |
  E     | -     | d       |
  P     | a     | c,d     |
  R     | a     | c,d     |
"""


@pytest.mark.parametrize(("name", "cause", "affects", "symptoms"), rows(STANDING), ids=ids(STANDING))
def test_an_alert_stands_with_its_cause_and_what_it_brings_about(
    name: str, cause: str, affects: str, symptoms: str
) -> None:
    """Two alerts of one name are one symptom; what is pending or over is none; a warning has none."""
    needs = {"b": ("a",), "c": ("b",), "d": ("c", "e")}
    alerts = [
        alert("A", "a"),
        alert("W", "a", severity="warning"),
        alert("C", "c", severity="info"),
        alert("D", "d"),
        replace(alert("D", "d"), labels=Labels(alertname="D", service="d", severity="critical", key="2")),
        alert("E", "e", severity="warning"),
        alert("P", "b", "pending"),
        alert("R", "b", "resolved"),
    ]
    found = notices_of(alerts, failing({a.labels: a for a in alerts}), needs)
    notice = next(notice for notice in found if notice.alert.name == name)
    shown = (notice.cause or "-", ",".join(notice.affects), ",".join(notice.symptoms))
    assert shown == (cause, affects, symptoms)


# ---- who hears of it ---------------------------------------------------------------------------

ROUTES = (
    Route(("pager",), {"severity": frozenset({"critical"})}, go_on=True),
    Route(("ml",), {"service": frozenset({"trainer"})}, escalations=(Escalation(minutes(5), ("boss",)),)),
    Route(("ops", "pager", "boss"), escalations=(Escalation(minutes(5), ("ops",)),)),
)
EVERYONE = {name: Habit() for name in ("ops", "pager", "ml", "boss")}
ROUTED = """
  severity | service   | told an hour ago | heard by
  critical | trainer   | -                | pager:first ml:first
  warning  | trainer   | -                | ml:first
  critical | execution | -                | pager:first ops:first boss:first
  info     | execution | -                | ops:first pager:first boss:first
  warning  | trainer   | ml               | ml:first boss:escalated
  critical | trainer   | pager            | pager:first ml:first
  info     | execution | ops pager boss   | ops:first pager:first boss:first
  warning  | trainer   | ops              | ml:first ops:-
"""


@pytest.mark.parametrize(("severity", "service", "told", "heard"), rows(ROUTED), ids=ids(ROUTED))
def test_the_first_route_that_matches_wins_unless_it_says_continue(
    severity: str, service: str, told: str, heard: str
) -> None:
    """Each receiver once; a route counts before an escalation; who heard of it before hears the end."""
    fires = alert("A", service, severity=severity)
    hour = T0 - minutes(60)
    receipts: Receipts = {
        (name, fires.labels.fingerprint): Receipt(T0, False, hour, hour, service)
        for name in told.split()
        if name != "-"
    }
    found = listeners(fires, receipts, Policy(ROUTES, {}, EVERYONE), acked=False, now=T0)
    assert " ".join(f"{name}:{first or '-'}" for name, _, first in found) == heard


OWN = """
  routed to | heard by
  ops       | chat mail
  ops chat  | chat
  mail      | mail
  nobody    | chat mail
"""


@pytest.mark.parametrize(("to", "heard"), rows(OWN), ids=ids(OWN))
def test_what_is_wrong_with_a_receiver_is_told_to_the_others(to: str, heard: str) -> None:
    """`ops` takes nothing: it is never told so, and if nobody else is on the route all others are."""
    match = {"service": frozenset({"elsewhere"})} if to == "nobody" else {}
    names = ("ops", "chat", "mail")
    route = Route(("ops",) if to == "nobody" else tuple(to.split()), match)
    story = Story("R@watchdog:warning:receiver=ops", routes=(route,), habits={n: Habit() for n in names})
    story.tell("R R .")
    assert [name for name in names if story.taken[name]] == heard.split()
    assert {story.sent(name) for name in heard.split()} == {"+R . -R"}


def test_a_receiver_that_fails_alone_is_told_nothing() -> None:
    """There is nobody else; the page and the metrics show it."""
    assert Story("R@watchdog:warning:receiver=ops").tell("R R .").sent() == ". . ."


def test_another_services_label_of_that_name_spares_nobody() -> None:
    """Only the sidecar's own alerts are about receivers."""
    assert Story("R@shop:warning:receiver=ops").tell("R").sent() == "+R"


# ---- messages ----------------------------------------------------------------------------------


def test_alerts_of_one_service_are_one_message_that_repeats_what_still_fires() -> None:
    """The worst first, the latest before the earlier, ends last; what is silenced is not repeated."""
    story = Story("A@a B@a:warning C@a D@a:info").tell("BD ABD CD BCD", ". . . silence:alertname=D")
    assert story.sent(goes_on=True) == "+B+D +A(B)(D) +C(D)-A-B (C)+B"


def test_the_end_of_a_flapping_alert_is_not_let_out_by_another_one() -> None:
    """While it is damped it is not in the messages about its service either."""
    story = Story("A@a B@a", flapping=Flapping(2, minutes(30), minutes(4)))
    assert story.tell("A . A . B B B B").sent(goes_on=True) == "+A -A %A . +B . . (B)-A"


SAME = """
  first                | second               | same key
  +A                   | +A                   | yes
  +A at 1              | +A at 2              | yes
  +A                   | -A                   | no
  +A                   | ^A                   | no
  +A                   | +A+B                 | no
  +A(B)                | +A                   | no
  ~A at 1              | ~A at 2              | no
  ~A at 1              | ~A at 1              | yes
  +A to ops            | +A to pager          | no
  +A fired 1           | +A fired 2           | no
  -A                   | -A                   | yes
  !A ack 1             | !A ack 1             | yes
  !A ack 1             | !A ack 2             | no
  +A ack 1             | +A ack 2             | yes
"""


@pytest.mark.parametrize(("one", "other", "same"), rows(SAME), ids=ids(SAME))
def test_a_key_names_a_message_and_not_an_attempt(one: str, other: str, same: str) -> None:
    """The same news have the same key, other news another; a reminder is news of its own."""
    assert (message(one).key == message(other).key) is (same == "yes")


def message(text: str) -> Notification:
    """Return the message drawn as ``+A-B(C) at 1 to pager fired 2 ack 3``, the numbers being minutes."""
    signs, *more = text.split()
    said = dict(zip(more[::2], more[1::2], strict=True))
    at = T0 + minutes(float(said.get("at", "0")))
    ack = Ack("", T0, T0 + minutes(float(said["ack"])), "ada") if "ack" in said else None
    reasons = {sign: reason for reason, sign in SIGNS.items()}
    notices = []
    pairs = signs.replace(")", "").replace("+!", "‡")
    for sign, name in zip(pairs[::2], pairs[1::2], strict=True):
        reason = {"(": None, "±": Reason.RESOLVED, "‡": Reason.ACKNOWLEDGED}.get(sign, reasons.get(sign))
        found = alert(name, "s", "resolved" if sign in "-±" else "firing")
        fired_at = T0 + minutes(float(said.get("fired", "0")))
        ended_at = fired_at + minutes(1) if found.resolved_at else None
        found = replace(found, fired_at=fired_at, resolved_at=ended_at)
        notices.append(Notice(found, None, (), reason=reason, ack=ack, unannounced=sign in "±‡"))
    group = Labels(service=said.get("of", "s"))
    return build(said.get("to", "ops"), group, notices, at, due=at + minutes(float(said.get("wait", "0"))))


MERGED = """
  messages                                  | merged
  +A / -A                                   | ±A
  +A / (A)+B                                | +A+B
  +A / ~A                                   | +A
  +A / !A                                   | +!A
  +A / !A / -A                              | ±A
  +A / !A / ~A                              | +!A
  !A / ~A                                   | !A
  ~A / ~A                                   | ~A
  ~A / -A                                   | -A
  ^A / -A                                   | ±A
  -A / +A fired 5                           | +A-A
  +A / -A / +A fired 5                      | +A±A
  +A / -A / +A fired 5 / -A fired 5         | ±A±A
  -A / +A fired 5 / -A fired 5              | ±A-A
  %A / =A fired 5                           | =A
  %A / -A fired 5                           | ±A
  %A / =A                                   | =A
  (A)+B / -A fired 5                        | +B-A
  +A / -B / +C                              | +A+C-B
  -A / ~A fired 5                           | ~A-A
"""


@pytest.mark.parametrize(("drawn_", "merged"), rows(MERGED), ids=ids(MERGED))
def test_merged_messages_tell_every_firing_once_in_its_newest_state(drawn_: str, merged: str) -> None:
    """`±A`: it began and ended before anybody heard of it; of a flapping alert only the latest firing counts."""
    messages = [message(text) for text in drawn_.split(" / ")]
    found = merge(messages)
    assert (drawn(found.notices), found.merged) == (merged, len(messages))


def test_merging_in_steps_says_the_same_as_merging_at_once() -> None:
    """What waits is merged as it comes, and once more when it has waited for long."""
    parts = [message(text) for text in ("+A", "+B", "!A", "-A", "+A fired 5", "-B", "-A fired 5")]
    steps = parts[0]
    for part in parts[1:]:
        steps = merge([steps, part])
    assert drawn(steps.notices) == drawn(merge(parts).notices) == "±A±A±B"
    assert steps == merge(parts)


def test_the_end_that_was_awaited_is_the_first_of_those_that_are_told() -> None:
    """A flapped and was told so; that ended, and then it came and went once more."""
    ended = merge([message("-A fired 5"), message("+A fired 9"), message("-A fired 9")])
    assert drawn(ended.notices) == "±A-A"
    assert drawn(merge([message("%A"), ended]).notices) == "±A±A"


def test_a_clock_set_back_does_not_turn_a_beginning_into_its_past() -> None:
    """The later firing says an earlier time; which one is the later only the order of the messages tells."""
    found = merge([message("+A fired 90"), message("-A fired 90"), message("+A fired 5"), message("+B")])
    assert drawn(found.notices) == "+A+B±A"
    again = merge([found, message("-A fired 5")])
    assert drawn(again.notices) == "+B±A±A"


def test_a_merged_message_keeps_its_times_and_the_group_if_it_is_one() -> None:
    """Decided when the first was, due when the soonest is; for many services there is no group."""
    one, other = message("+A wait 5"), message("+B at 1 wait 1")
    both = merge([one, other])
    assert (both.at, both.due, both.group) == (T0, T0 + minutes(2), Labels(service="s"))
    assert merge([one, message("+B of t")]).group == Labels()


WITHOUT = """
  message | without | left
  +A+B    | A       | +B
  +A      | A       | -
  +A-B    | A       | -B
  +A(B)   | A       | -
  -A      | A       | -A
  +B      | A       | +B
  +B(A)   | A       | +B
"""


@pytest.mark.parametrize(("text", "name", "left"), rows(WITHOUT), ids=ids(WITHOUT))
def test_what_is_withdrawn_leaves_the_rest(text: str, name: str, left: str) -> None:
    """Ends are never withdrawn, and a message without news is none."""
    found = without(message(text), frozenset({alert(name, "s").labels.fingerprint}))
    assert (drawn(found.notices) if found else "-") == left


WAITS = """
  at | due | now | waits
  0  | 5   | 0   | 5
  0  | 5   | 3   | 2
  0  | 5   | 9   | 0
  0  | 0   | 0   | 0
  0  | 5   | -60 | 5
"""


@pytest.mark.parametrize(("at", "due_", "now", "waits"), rows(WAITS), ids=ids(WAITS))
def test_a_message_waits_no_longer_than_was_decided(at: str, due_: str, now: str, waits: str) -> None:
    """However far the clock is set back."""
    found = build("ops", Labels(), (), T0 + minutes(int(at)), due=T0 + minutes(int(due_)))
    assert found.wait(T0 + minutes(int(now))) == minutes(int(waits))
