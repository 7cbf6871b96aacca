"""What waits for a receiver: joined, withdrawn, merged, claimed, recalled; and nothing lost, whatever happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.drawn import T0, ids, minutes, rows
from tests.notify.story import Story, drawn
from tests.notify.test_decisions import message
from watchdog.alerts import Flapping
from watchdog.lane import MOST_LETTERS, Lane, bounded
from watchdog.notifications import Notice, Notification, Reason
from watchdog.routing import Escalation, Habit, Pace, Route
from watchdog.rules import ZERO


@dataclass
class Post:
    """A lane with what is kept of it in the file."""

    kept: dict[int, Notification] = field(default_factory=dict)
    lane: Lane = field(init=False)
    number: int = 0

    def __post_init__(self) -> None:
        self.lane = Lane(self._keep)

    def _keep(self, number: int, message_: Notification | None) -> None:
        if message_ is None:
            self.kept.pop(number, None)
        else:
            self.kept[number] = message_

    def put(self, text: str, *, ready: float = 0.0, now: float = 0.0) -> None:
        """Queue the message drawn as *text*."""
        self.number += 1
        self.lane.put(self.number, message(text), ready, now)

    def waits(self) -> str:
        """Return what waits, in order, the claimed letter in brackets."""
        claimed = self.lane.claimed
        shown = [(drawn(x.message.notices), x is claimed) for x in self.lane.letters.values()]
        return " / ".join(f"[{text}]" if is_claimed else text for text, is_claimed in shown)


JOINED = """
  first, ready | second, ready | now | waits
  +A 30        | +B 40         | 10  | +A+B
  +A 30        | -A 40         | 10  | ±A
  +A 30        | +B/t 40       | 10  | +A / +B
  +A 30        | +B 40         | 30  | +A / +B
  +A 0         | +B 10         | 10  | +A / +B
  +A 30        | +B 10         | 10  | +A+B
"""


@pytest.mark.parametrize(("one", "other", "now", "waits"), rows(JOINED), ids=ids(JOINED))
def test_news_join_what_waits_for_the_same_group(one: str, other: str, now: str, waits: str) -> None:
    """They go when the first of them was to go, or sooner; `t` is another service."""
    post = Post()
    ready = []
    for text, moment in ((one, 0.0), (other, float(now))):
        what, when = text.replace("/t", " of t").rsplit(maxsplit=1)
        ready.append(float(when))
        post.put(what, ready=ready[-1], now=moment)
    assert (post.waits(), post.lane.next_ready()) == (waits, min(ready))
    assert list(post.kept.values()) == [letter.message for letter in post.lane.letters.values()]


def test_the_claimed_letter_keeps_its_content_and_its_key_whatever_comes() -> None:
    """Only that one can have reached the receiver."""
    post = Post()
    post.put("+A")
    claimed = post.lane.claim(0)
    for i in range(2 * MOST_LETTERS):
        post.put(f"+B fired {i + 1}", ready=i, now=i)
    assert (post.lane.claim(999), post.lane.next_ready()) == (claimed, 0)
    assert post.waits().startswith("[+A] / ")
    post.lane.settle()
    assert claimed is not None
    assert claimed.number not in post.kept


CLAIMS = """
  ready | at | claimed  | left
  0 5   | 4  | +A       | +B
  0 5   | 9  | +A       | +B
  0 5   | 10 | +A       | +B
  0 5   | 11 | +A+B     |
  0 20  | 11 | +A       | +B
  20 5  | 5  | +B       | +A
  20 5  | 4  | -        | +A / +B
"""


@pytest.mark.parametrize(("ready", "at", "claimed", "left"), rows(CLAIMS), ids=ids(CLAIMS))
def test_what_has_waited_for_long_is_sent_as_one(ready: str, at: str, claimed: str, left: str) -> None:
    """More than ten seconds; what still waits for its group is not drawn in."""
    post = Post()
    for name, moment in zip(("+A", "+B of t"), ready.split(), strict=True):
        post.put(name, ready=float(moment), now=-1)
    letter = post.lane.claim(float(at))
    assert (drawn(letter.message.notices) if letter else "-") == claimed
    if letter:
        assert letter.message.key == post.kept[letter.number].key
        post.lane.settle()
    assert post.waits() == left


def test_nothing_overtakes_an_earlier_letter_of_its_group() -> None:
    """Not even if that has still to wait, as after a restart with a clock set back."""
    post = Post()
    first, second = message("+A wait 1"), message("-A at 1")
    post.lane.recall([(2, second), (1, first)], 0.0, T0 - minutes(1))
    assert [letter.ready for letter in post.lane.letters.values()] == [60, float("-inf")]
    letter = post.lane.claim(0)
    assert letter is not None
    assert drawn(letter.message.notices) == "±A"


def test_what_joins_an_earlier_letter_takes_those_between_along() -> None:
    """Or the end in the second would come after the beginning in the third."""
    post = Post(number=2)
    post.lane.recall([(1, message("+A wait 1")), (2, message("-A at 1"))], 0.0, T0 - minutes(1))
    post.put("+A fired 5", ready=9)
    assert post.waits() == "+A±A"


def test_too_many_letters_become_one() -> None:
    """However fast they come, memory and file stay small."""
    post = Post()
    for i in range(MOST_LETTERS + 1):
        post.put(f"+A fired {i + 1}", now=0)
    assert (len(post.kept), len(post.lane.letters)) == (1, 1)


BOUNDS = """
  message     | most | left        | dropped
  +A+B-C      | 3    | +A+B-C      | 0
  +A+B-C      | 2    | +A+B        | 1
  +A(B)(C)-D  | 3    | +A(B)-D     | 0
  +A(B)-C-D   | 2    | +A-C        | 1
  (A)(B)-C    | 1    | -C          | 0
"""


@pytest.mark.parametrize(("text", "most", "left", "dropped"), rows(BOUNDS), ids=ids(BOUNDS))
def test_a_letter_says_only_so_much(text: str, most: str, left: str, dropped: str) -> None:
    """What merely goes on is left out first, then the last ends; only those count as dropped."""
    found, count = bounded(message(text), int(most))
    assert (drawn(found.notices), str(count)) == (left, dropped)


WITHDRAWN = """
  before                   | withdrawn | can be | left
  +A wait                  | A         | A      |
  +A                       | A         |        | +A
  +A wait claimed          | A         |        | [+A]
  +A+B wait                | A         | A B    | +B
  +B(A) wait               | A         | B      | +B
  -A wait                  | A         |        | -A
  !A wait                  | A         |        | !A
  +!A wait                 | A         | A      |
"""


@pytest.mark.parametrize(("before", "name", "can", "left"), rows(WITHDRAWN), ids=ids(WITHDRAWN))
def test_a_beginning_is_withdrawn_while_it_waits_for_its_group(
    before: str, name: str, can: str, left: str
) -> None:
    """What is claimed, or could have been, is left alone by whoever asks before."""
    signs, *how = before.split()
    post = Post()
    post.put(signs, ready=30 if how == ["wait"] else 0)
    if "claimed" in how:
        post.lane.claim(30)
    marks = {n: message(f"+{n}").notices[0].alert.labels.fingerprint for n in "AB"}
    found = post.lane.beginnings(10)
    assert [n for n, mark in marks.items() if mark in found] == can.split()
    if name in can or "(" in before:
        post.lane.withdraw(frozenset({marks[name]}))
    assert post.waits() == left
    assert list(post.kept.values()) == [letter.message for letter in post.lane.letters.values()]


RECALLED = """
  letters                            | clock | claimed | ready
  +A / +B of t                       | 0     | +A      | now now
  +A wait 5 / +B of t                | 1     | -       | 240 now
  +A wait 5 / +B of t sending        | 1     | +B      | 240 now
  +A wait 5 sending / +B of t        | 1     | +A      | 240 now
  +A wait 5 / +B of t                | 9     | -       | now now
  +A wait 5 / +B of t                | -999  | -       | 300 now
  +A wait 5                          | 1     | -       | 240
"""


@pytest.mark.parametrize(("texts", "clock", "claimed", "ready"), rows(RECALLED), ids=ids(RECALLED))
def test_a_lane_is_recalled_as_it_was(texts: str, clock: str, claimed: str, ready: str) -> None:
    """What can have been sent keeps its content; what waited for its group goes on waiting."""
    letters = []
    for number, text in enumerate(texts.split(" / "), 1):
        found = message(text.removesuffix(" sending"))
        letters.append((number, replace(found, waits=Reason.SENDING) if "sending" in text else found))
    post = Post()
    post.lane.recall(reversed(letters), 0.0, T0 + minutes(float(clock)))
    moments = [letter.ready for letter in post.lane.letters.values()]
    known = post.lane.claimed
    assert (drawn(known.message.notices) if known else "-") == claimed
    assert ["now" if moment < 0 else str(round(moment)) for moment in moments] == ready.split()


def test_what_began_before_cannot_be_taken_back() -> None:
    """The receiver hears that A flaps; to take back that it is steady would keep the end from it."""
    post = Post()
    post.put("%A")
    post.put("=A fired 5 wait 5", ready=300, now=1)
    assert post.lane.beginnings(10) == frozenset()
    post.lane.claim(10)
    assert post.lane.beginnings(10) == frozenset()
    post.lane.settle()
    assert len(post.lane.beginnings(10)) == 1


def test_the_claimed_letter_is_found_again_wherever_it_stands() -> None:
    """It is marked where it is not simply the first, and nothing is written where it is."""
    post = Post()
    post.put("+A wait 5", ready=300)
    post.put("+B of t")
    claimed = post.lane.claim(0)
    again = Post()
    again.lane.recall(post.kept.items(), 0.0, T0)
    assert claimed is not None
    assert again.lane.claimed is not None
    assert again.lane.claimed.number == claimed.number
    plain = Post()
    plain.put("+A")
    before = plain.kept[1]
    plain.lane.claim(0)
    assert plain.kept[1] is before


# ---- nothing is lost, whatever happens ---------------------------------------------------------

HABITS = {"ops": Habit(), "pager": Habit(hears_acks=True), "prom": Habit(resend=minutes(2)), "boss": Habit()}
CAST = "A@a B@b C@b:warning D@d R@watchdog:warning:receiver=ops"
NAMES = "ABCDR"
WAITS = st.sampled_from([ZERO, timedelta(seconds=45), minutes(3)])
FLAPPING = st.sampled_from([None, Flapping(2, minutes(10), minutes(3)), Flapping(3, minutes(5), minutes(1))])
SAID = ("silence", "silence:service=b", "until_resolved", "lift", "ack", "crash", "crash")
CLOCK = ("clock:-1", "clock:-70", "clock:-1440", "clock:1", "clock:90")
RECEIVER = st.sampled_from(sorted(HABITS))
LOOK = st.tuples(st.just("look"), st.text(NAMES + NAMES + NAMES.lower(), max_size=4))
HAPPENINGS = st.one_of(
    LOOK,
    LOOK,
    st.tuples(st.just("pass"), st.sampled_from(["1", "20", "70", "400"])),
    st.tuples(st.sampled_from(["send", "claim", "arrive", "settle"]), RECEIVER),
    st.tuples(st.just("say"), st.sampled_from([*SAID, *CLOCK])),
)


@dataclass
class Ear:
    """What one receiver believes, who drops doubles by their key."""

    firings: Mapping[str, list[datetime]]
    heard: dict[str, Notification] = field(default_factory=dict)
    believed: dict[str, tuple[int, bool]] = field(default_factory=dict)  # by alert: which firing, and over?
    announced: set[tuple[str, datetime | None]] = field(default_factory=set)

    def hear(self, told: Notification) -> None:
        """Take a message; complain if it is no news, comes out of order or says what is already known."""
        if told.key in self.heard:
            assert self.heard[told.key].notices == told.notices, "one key, two contents"
            return
        self.heard[told.key] = told
        assert any(notice.reason for notice in told.notices), "no news"
        for notice in sorted(told.notices, key=self._firing):
            self._note(notice)

    def _note(self, notice: Notice) -> None:
        mark = notice.alert.labels.fingerprint
        known = self.believed.get(mark)
        if notice.reason is Reason.FIRST or notice.unannounced:
            assert notice.episode not in self.announced, "announced twice"
            self.announced.add(notice.episode)
        if not notice.unannounced and (notice.resolved or notice.reason in (None, Reason.REPEAT)):
            assert known is not None, "spoken of without a beginning"
        if notice.resolved and not notice.unannounced and notice.reason is not Reason.REPEAT:
            assert known is not None
            assert not known[1], "ended twice"
        now = (self._firing(notice), notice.resolved)
        assert known is None or known <= now, "an older state after a newer one"
        self.believed[mark] = now

    def _firing(self, notice: Notice) -> int:
        mark, fired_at = notice.episode
        assert fired_at is not None
        return self.firings[mark].index(fired_at)

    def thinks_it_fires(self, fingerprint: str) -> bool:
        """Say whether the receiver believes that an alert fires."""
        known = self.believed.get(fingerprint)
        return known is not None and not known[1]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    needs=st.sampled_from(["", "b<a d<b", "b<a d<a,b"]),
    pace=st.builds(Pace, WAITS, WAITS, st.sampled_from([minutes(4), minutes(600)])),
    flapping=FLAPPING,
    happenings=st.lists(HAPPENINGS, min_size=5, max_size=60),
)
def test_every_beginning_and_every_end_is_told_once_and_in_order(
    needs: str, pace: Pace, flapping: Flapping | None, happenings: list[tuple[str, str]]
) -> None:
    """
    Whatever happens: silences, acknowledgements, restarts, a clock set wrong, a receiver that is slow.

    Once all is said and sent, every receiver believes of every alert what is so.
    """
    routes = (
        Route(("ops", "prom"), {"service": frozenset({"a", "d"})}, True, pace),
        Route(("ops", "pager"), pace=pace, escalations=(Escalation(minutes(5), ("boss", "ops")),)),
    )
    story = Story(CAST, needs=needs, routes=routes, habits=HABITS, flapping=flapping)
    story.down = set(HABITS)
    seen = ""
    for what, how in happenings:
        happen(story, what, how)
        seen = how if what == "look" else seen
    let_all_come_to_rest(story, seen.upper())
    for receiver, messages in story.taken.items():
        ear = Ear(story.firings)
        for told in messages:
            ear.hear(told)
        for name, watch in story.watches.items():
            mark = watch.labels.fingerprint
            alert, receipt = story.alerts.get(watch.labels), story.receipts.get((receiver, mark))
            fires = alert is not None and alert.firing
            knows = receipt is not None and not receipt.resolved
            assert ear.thinks_it_fires(mark) == knows, (
                f"{receiver} knows otherwise of {name} than the receipt"
            )
            assert fires or not knows, f"{receiver} still believes in {name}"
            uncaused = name in "AR" or not needs
            assert knows or not (fires and uncaused and receiver == "pager"), (
                f"{name} was kept from {receiver}"
            )


def happen(story: Story, what: str, how: str) -> None:
    """Have one thing happen."""
    match what:
        case "look":
            story.decide(how)
            story.elapsed += 5
        case "pass":
            story.elapsed += float(how)
        case "say":
            if how != "lift" or story.wishes.silences:
                story.say(how)
        case "send":
            if story.claim(how):
                story.arrive(how)
                story.settle(how)
        case "claim":
            story.claim(how)
        case "arrive":
            if story.lanes[how].claimed is not None:
                story.arrive(how)
        case "settle":
            claimed = story.lanes[how].claimed
            if claimed is not None and claimed.message in story.taken[how]:
                story.settle(how)
    in_lanes = {n: letter.message for lane in story.lanes.values() for n, letter in lane.letters.items()}
    assert story.disk[0] == in_lanes, "the file says otherwise than the lanes"


def let_all_come_to_rest(story: Story, true: str) -> None:
    """Let what is true stay as it is, nobody wish for anything, and time go by until all is sent."""
    story.wishes = replace(story.wishes, silences={}, acks={})
    story.down = set()
    for _ in range(40):
        story.tick(true)
