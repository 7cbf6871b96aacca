"""The outbox and its file: nothing leaves before it is kept, nothing is forgotten before it was taken."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field
from pytest_httpserver import HTTPServer
from structlog.testing import capture_logs
from werkzeug import Request, Response

from tests.crashed import crash_image, full_disk
from tests.drawn import T0, ids, minutes, rows
from tests.outgoing import LINK, Hands, Scripted, alert, answers, ended, message, post, until, webhook
from watchdog.config import parse
from watchdog.delivery import Outbox
from watchdog.errors import StateError
from watchdog.muting import Matcher, Silence
from watchdog.notifications import Notice, Notification, Reason
from watchdog.notifiers.base import Notifier, Sending
from watchdog.sidecar import Sidecar
from watchdog.state import StateFile

BOOKS = ("alerts", "receipts", "outbox")


@pytest.fixture
def hands() -> Hands:
    """A clock at `T0`."""
    return Hands()


@pytest.fixture
def receiver(httpserver: HTTPServer) -> Scripted:
    """What answers at `/`."""
    script = Scripted()
    httpserver.expect_request("/").respond_with_handler(script)
    return script


@dataclass
class Life:
    """One process after another on the same file, each with its outbox."""

    path: Path
    hands: Hands
    url: str
    states: list[StateFile] = field(default_factory=list)

    def begin(self, **receivers: Notifier) -> tuple[Outbox, StateFile]:
        """Begin the next process; the one before has died, and left what was committed."""
        if self.states:
            self.states[-1].close()
        state = StateFile(str(self.path), self.hands)
        self.states.append(state)
        given = receivers or {"hook": webhook(self.url)}
        return Outbox(given, LINK, state, self.hands, monotonic=self.hands.monotonic), state


@pytest.fixture
def life(tmp_path: Path, hands: Hands, httpserver: HTTPServer) -> Iterator[Life]:
    """A file that nobody has begun yet."""
    found = Life(tmp_path / "state.db", hands, httpserver.url_for("/"))
    yield found
    for state in found.states:
        state.close()


async def empty(outbox: Outbox) -> None:
    """Start *outbox*, wait until everything is sent, and stop it."""
    outbox.start()
    outbox.wake()
    await until(lambda: not any(outbox.depth(name) for name in outbox.receivers))
    await outbox.stop()


def names(body: bytes) -> str:
    """Return what a webhook was told: A for a beginning, a for an end."""
    told = [(one["labels"]["alertname"], one["status"]) for one in json.loads(body)["alerts"]]
    return " ".join(name.upper() if status == "firing" else name.lower() for name, status in told)


# ---- one transaction ---------------------------------------------------------------------------

RULES = """
redis: redis://127.0.0.1:1
every: 200ms
services: {{a: {{settings: {{file: "{env}", require: {{MODE: "live"}}}}}}}}
builtin_rules: off
rules: [{{alert: Wrong, when: settings.violations > 0, severity: critical}}]
receivers: {{hook: {{webhook: {{url: "{url}"}}}}}}
"""


async def test_all_that_a_tick_decides_is_kept_before_the_first_byte_leaves(
    httpserver: HTTPServer, tmp_path: Path, hands: Hands
) -> None:
    """A receiver that looks into the file finds alert, receipt and letter there; after its yes no letter."""
    path, env = tmp_path / "state.db", tmp_path / "env"
    found: list[dict[str, list[Any]]] = []

    def look(request: Request) -> Response:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            kept = db.execute("SELECT book, json FROM kept").fetchall()
        found.append({book: [json.loads(text) for name, text in kept if name == book] for book in BOOKS})
        return Response(status=200)

    httpserver.expect_request("/").respond_with_handler(look)
    env.write_text("MODE=test\n")
    state = StateFile(str(path), hands)
    sidecar = Sidecar(parse(RULES.format(env=env, url=httpserver.url_for("/"))), hands, state)
    sidecar.outbox.start()
    await sidecar.tick(hands())
    await until(lambda: sidecar.outbox.outcomes["hook", "sent"] == 1)
    assert (len(state.book("outbox")), len(state.book("receipts"))) == (0, 1)
    env.write_text("MODE=live\n")
    hands.pass_(60)
    await sidecar.tick(hands())
    await until(lambda: sidecar.outbox.outcomes["hook", "sent"] == 2)
    await sidecar.stop()
    began, over = found
    assert [alert["state"] for alert in began["alerts"]] == ["firing"]
    assert [receipt["resolved"] for receipt in began["receipts"]] == [False]
    assert [letter["notices"][0]["reason"] for letter in began["outbox"]] == ["first"]
    assert [alert["state"] for alert in over["alerts"]] == ["resolved"]
    assert [receipt["resolved"] for receipt in over["receipts"]] == [True]
    assert [letter["notices"][0]["reason"] for letter in over["outbox"]] == ["resolved"]


async def test_a_crash_in_the_middle_of_a_tick_leaves_all_of_it_or_nothing(
    life: Life, tmp_path: Path, receiver: Scripted, hands: Hands
) -> None:
    """What is taken but not committed has not happened, and nothing of it was sent."""
    outbox, state = life.begin()
    outbox.start()
    await asyncio.sleep(0)
    outbox.take([message(alert("A"))])
    state.stage("receipts", "A", {})
    image = StateFile(str(crash_image(life.path, tmp_path / "image.db")), hands)
    assert [image.book(book) for book in BOOKS] == [{}, {}, {}]
    image.close()
    assert receiver.asked == []
    await outbox.stop()


# ---- restarts ----------------------------------------------------------------------------------


async def test_what_was_not_taken_is_sent_by_the_next_process(life: Life, receiver: Scripted) -> None:
    """In order; what was on its way keeps its key and its words, all others go in one."""
    receiver.answers = answers(500)
    outbox, state = life.begin()
    outbox.start()
    tried = message(alert("A", evidence={"z": 1, "a": 2}))
    post(outbox, state, tried)
    await until(lambda: outbox.outcomes["hook", "retried"] == 1)
    post(outbox, state, message(alert("B")), message(ended(alert("A"), T0 + minutes(1)), at=T0 + minutes(1)))
    await outbox.stop()
    outbox, state = life.begin()
    assert outbox.depth("hook") == 3
    await empty(outbox)
    assert receiver.asked[0] == receiver.asked[1]
    assert [names(body) for _, body in receiver.asked] == ["A", "A", "B a"]
    assert (state.book("outbox"), state.book("receivers")) == ({}, {})


async def test_a_dead_process_has_told_what_it_was_told_to_the_last(
    life: Life, receiver: Scripted, tmp_path: Path, hands: Hands
) -> None:
    """Killed while a receiver thinks about its answer: the next process asks the same again, to the byte."""
    outbox, state = life.begin()
    outbox.start()
    receiver.go_on.clear()
    post(outbox, state, message(alert("A", evidence={"line": "caf\udce9"})), message(alert("B")))
    await until(lambda: len(receiver.asked) == 1)
    image = StateFile(str(crash_image(life.path, tmp_path / "image.db")), hands)
    again = Outbox({"hook": webhook(life.url)}, LINK, image, hands, monotonic=hands.monotonic)
    receiver.go_on.set()
    await empty(again)
    await outbox.stop()
    image.close()
    assert [key for key, _ in receiver.asked].count(message(alert("A")).key) == 2
    assert len({body for key, body in receiver.asked if key == message(alert("A")).key}) == 1


async def test_what_was_merged_on_its_way_out_stays_one(
    life: Life, receiver: Scripted, tmp_path: Path, hands: Hands
) -> None:
    """Killed while the receiver thinks about several messages in one: the next process sends that one."""
    receiver.answers, receiver.hold_at = answers(500), 3
    outbox, state = life.begin()
    outbox.start()
    post(outbox, state, message(alert("A")))
    await until(lambda: outbox.outcomes["hook", "retried"] == 1)
    post(outbox, state, message(alert("B")), message(alert("C")))
    hands.pass_(60)
    outbox.wake()
    await until(lambda: len(receiver.asked) == 3)
    image = StateFile(str(crash_image(life.path, tmp_path / "image.db")), hands)
    again = Outbox({"hook": webhook(life.url)}, LINK, image, hands, monotonic=hands.monotonic)
    receiver.go_on.set()
    await empty(again)
    await outbox.stop()
    image.close()
    assert [names(body) for _, body in receiver.asked] == ["A", "A", "B C", "B C"]
    assert receiver.asked[2] == receiver.asked[3]


GROUPS = """
  to wait 10s, after | and the clock set by | it still waits
  4s                 | 0s                   | 6s
  4s                 | -3600s               | 10s
  4s                 | 3600s                | 0s
  11s                | 0s                   | 0s
"""


@pytest.mark.parametrize(("after", "set_by", "still"), rows(GROUPS), ids=ids(GROUPS))
async def test_a_group_is_waited_for_across_a_restart(
    life: Life, receiver: Scripted, after: str, set_by: str, still: str
) -> None:
    """As long as was decided, and never longer, whatever happens to the clock."""
    passed, jump, left = (float(text.removesuffix("s")) for text in (after, set_by, still))
    due = T0 + timedelta(seconds=10)
    outbox, state = life.begin()
    post(outbox, state, message(alert("A"), due=due), message(alert("B"), due=due))
    assert outbox.depth("hook") == 1
    life.hands.pass_(passed)
    life.hands.wall += timedelta(seconds=jump)
    outbox, state = life.begin()
    outbox.start()
    if left:
        life.hands.pass_(left - 0.01)
        for _ in range(5):
            outbox.wake()
            await asyncio.sleep(0)
        assert not outbox._couriers["hook"].sending
        assert {mark for _, mark in outbox.beginnings()} == {alert(n).labels.fingerprint for n in ("A", "B")}
        life.hands.pass_(0.02)
    assert outbox.beginnings() == frozenset()
    outbox.wake()
    await until(lambda: outbox.outcomes["hook", "sent"] == 1)
    await outbox.stop()
    assert [names(body) for _, body in receiver.asked] == ["A B"]


async def test_what_waits_for_its_group_can_be_taken_back(life: Life, receiver: Scripted) -> None:
    """And is gone for good, from the file as well; what has gone out cannot."""
    outbox, state = life.begin()
    outbox.start()
    post(outbox, state, message(alert("A")), message(alert("B"), due=T0 + minutes(1)))
    await until(lambda: outbox.outcomes["hook", "sent"] == 1)
    waiting = {("hook", alert("B").labels.fingerprint)}
    assert outbox.beginnings() == waiting
    outbox.take([], waiting)
    state.commit()
    assert (outbox.depth("hook"), state.book("outbox")) == (0, {})
    await outbox.stop()


async def test_what_was_for_a_receiver_that_is_no_more_is_dropped_with_a_record(
    life: Life, receiver: Scripted
) -> None:
    """Somebody took it out of the file; all the others get theirs."""
    outbox, state = life.begin(hook=webhook(life.url), old=webhook(life.url))
    post(outbox, state, message(alert("A"), to="old"), message(alert("B")))
    with capture_logs() as logs:
        outbox, state = life.begin()
        await empty(outbox)
    assert [names(body) for _, body in receiver.asked] == ["B"]
    [dropped] = state.deliveries(outcome="dropped")
    assert (dropped["receiver"], dropped["why"]) == ("old", "the receiver is no longer in the rules file")
    assert [(line["log_level"], line["receiver"]) for line in logs if line["outcome"] == "dropped"] == [
        ("warning", "old")
    ]
    assert state.book("outbox") == {}


async def test_a_letter_nobody_can_read_costs_no_other(life: Life, receiver: Scripted) -> None:
    """The file is set aside and told of; the rest is sent, and once."""
    outbox, state = life.begin()
    post(outbox, state, message(alert("A")), message(alert("B")))
    state.stage("outbox", "000000000001", {"key": "strange"})
    state.stage("threads", "hook", [])
    state.commit()
    outbox, state = life.begin()
    assert state.set_aside == f"{life.path}.corrupt-20260219T010000Z-2"
    await empty(outbox)
    assert [names(body) for _, body in receiver.asked] == ["B"]
    outbox, state = life.begin()
    assert (state.renewals, outbox.depth("hook"), state.book("threads")) == (0, 0, {})


async def test_a_file_lost_while_messages_wait_is_written_anew(life: Life, receiver: Scripted) -> None:
    """With letters, threads and how the receivers do."""
    receiver.answers = answers(500)
    outbox, state = life.begin()
    outbox.start()
    post(outbox, state, message(alert("A")), message(alert("B"), due=T0 + minutes(60)))
    await until(lambda: outbox.outcomes["hook", "retried"] == 1)
    before = {book: state.book(book) for book in ("outbox", "receivers")}
    for part in ("", "-wal"):
        Path(f"{life.path}{part}").unlink()
    state.stage("done", "x", {"at": T0.isoformat()})
    state.commit()
    assert (state.renewals, state.book("outbox")) == (1, {})
    outbox.keep_all()
    state.commit()
    assert {book: state.book(book) for book in ("outbox", "receivers")} == before
    await outbox.stop()


async def test_how_a_receiver_does_is_known_across_a_restart(life: Life, receiver: Scripted) -> None:
    """Else its alert would end with every restart, and begin again."""
    receiver.answers = answers(500, 500)
    outbox, state = life.begin()
    outbox.start()
    post(outbox, state, message())
    await until(lambda: outbox.outcomes["hook", "retried"] == 1)
    await outbox.stop()
    life.hands.pass_(3600)
    outbox, state = life.begin()
    assert (outbox.health("hook").failing_since, outbox.health("hook").why) == (T0, "answered 500")
    outbox.start()
    await until(lambda: outbox.outcomes["hook", "retried"] == 1)
    assert outbox.health("hook").failing_since == T0
    life.hands.pass_(3600)
    outbox.wake()
    await until(lambda: outbox.outcomes["hook", "sent"] == 1)
    assert outbox.health("hook").failing_since is None
    await outbox.stop()
    assert life.begin()[0].health("hook").failing_since is None


# ---- threads -----------------------------------------------------------------------------------


class Threaded(Notifier):
    """A notifier that opens a thread for what it was given none for."""

    told: list[tuple[str, str | None]] = Field(default_factory=list)
    fails: list[bool] = Field(default_factory=list)

    async def send(self, notification: Notification, sending: Sending) -> str | None:
        """Note what it was given."""
        said = " ".join(n.alert.name.lower() if n.resolved else n.alert.name for n in notification.notices)
        self.told.append((said, sending.thread))
        return None if sending.thread else f"thread {len(self.told)}"


TALKS = """
  what is told, one after another | the thread that each is given
  A a                             | - 1
  A A a A                         | - 1 1 -
  AB a b                          | - 1 1
  A B AB                          | - - 1
  A B AB b B                      | - - 1 2 -
  A aA a                          | - 1 1
  a A                             | - -
  R R                             | - -
"""


def told(letters: str, minute: int) -> Notification:
    """Return a message about beginnings, ends (small), and a report (R)."""
    about: list[Any] = []
    for letter in letters:
        fires = alert(letter.upper(), fired_at=T0 + minutes(minute))
        report = Notice(fires, None, (), reason=Reason.REPORT)
        over = ended(alert(letter.upper(), fired_at=T0), T0 + minutes(minute))
        about.append(report if letter == "R" else over if letter.islower() else fires)
    return message(*about, to="on call", at=T0 + minutes(minute))


@pytest.mark.parametrize("restarts", [False, True], ids=["one process", "a process each"])
@pytest.mark.parametrize(("talk", "threads"), rows(TALKS), ids=ids(TALKS))
async def test_what_is_said_of_an_alert_goes_into_one_thread(
    life: Life, talk: str, threads: str, restarts: bool
) -> None:
    """From its beginning to its end, each to its own; reports begin anew."""
    slack = Threaded.model_validate({})
    outbox, state = life.begin(**{"on call": slack})
    outbox.start()
    for minute, letters in enumerate(talk.split()):
        if restarts and minute:
            await outbox.stop()
            outbox, state = life.begin(**{"on call": slack})
            outbox.start()
        post(outbox, state, told(letters, minute))
        await until(lambda o=outbox, n=minute: len(slack.told) == n + 1 and not o.depth("on call"))  # type: ignore[misc]
    await outbox.stop()
    given = [thread.removeprefix("thread ") if thread else "-" for _, thread in slack.told]
    assert given == threads.split()


async def test_threads_of_what_is_over_take_no_room(life: Life, receiver: Scripted) -> None:
    """Ended, though nobody took it; or of a receiver that is no more."""
    outbox, state = life.begin(**{name: Threaded.model_validate({}) for name in ("on call", "old")})
    outbox.start()
    post(outbox, state, told("A", 0), message(alert("A"), to="old"))
    await until(lambda: not outbox.depth("on call") and not outbox.depth("old"))
    await outbox.stop()
    assert len(state.book("threads")) == 2
    receiver.answers = answers(404)
    outbox, state = life.begin(**{"on call": webhook(life.url)})
    outbox.start()
    post(outbox, state, told("a", 1))
    await until(lambda: outbox.outcomes["on call", "refused"] == 1)
    assert state.book("threads") == {}
    await outbox.stop()


# ---- a disk without room -----------------------------------------------------------------------


async def test_a_full_disk_holds_no_message_back(
    life: Life, receiver: Scripted, tmp_path: Path, hands: Hands
) -> None:
    """They are delivered, and once there is room again the file says so."""
    receiver.answers = answers(500)
    outbox, state = life.begin()
    outbox.start()
    with full_disk(4096), capture_logs() as logs:
        outbox.take([message(alert("A")), message(alert("B"))])
        with pytest.raises(StateError):
            state.commit()
        outbox.wake()
        await until(lambda: outbox.outcomes["hook", "retried"] == 1)
        hands.pass_(60)
        outbox.wake()
        await until(lambda: outbox.outcomes["hook", "sent"] == 2)
        outbox.take([message(alert("C"), due=T0 + minutes(60))])
    assert "state_not_saved" in [line["event"] for line in logs]
    await until(lambda: _committed(state))
    assert (list(state.book("outbox")), state.unsaved_since) == (["000000000003"], None)
    assert [(record["outcome"], record["names"]) for record in state.deliveries()] == [
        ("sent", ["B/a"]),
        ("sent", ["A/a"]),
        ("retried", ["A/a"]),
    ]
    await outbox.stop()


def _committed(state: StateFile) -> bool:
    try:
        state.commit()
    except StateError:
        return False
    return True


# ---- receivers that fail, and the whole sidecar ------------------------------------------------

TWO = """
redis: redis://127.0.0.1:1
every: 200ms
services: {{a: {{settings: {{file: "{env}", require: {{MODE: "live"}}}}}}}}
builtin_rules: off
rules:
  - {{alert: Wrong, when: settings.violations > 0, severity: critical}}
  - alert: ReceiverFailing
    when: receiver.failing > 0.2s or receiver.refused[10m] > 0
    severity: warning
    summary: "Receiver {{receiver}} takes no messages"
notifications: {{group_interval: 0s}}
receivers: {{bad: {{webhook: {{url: "{url}bad"}}}}, good: {{webhook: {{url: "{url}good"}}}}}}
"""


@pytest.mark.parametrize("status", [404, 500])
async def test_a_receiver_that_fails_is_told_to_the_others(
    httpserver: HTTPServer, tmp_path: Path, hands: Hands, status: int
) -> None:
    """With the reason, and never to itself; once it takes something, that is told as well."""
    bad, good, env = Scripted(at_last=status), Scripted(), tmp_path / "env"
    httpserver.expect_request("/bad").respond_with_handler(bad)
    httpserver.expect_request("/good").respond_with_handler(good)
    env.write_text("MODE=test\n")
    config = parse(TWO.format(env=env, url=httpserver.url_for("/")))
    sidecar = Sidecar(config, hands, StateFile(str(tmp_path / "state.db"), hands))
    sidecar.outbox.start()

    async def tick_until(holds: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                hands.pass_(1)
                await sidecar.tick(hands())
                await asyncio.sleep(0.02)

    def heard(script: Scripted) -> list[str]:
        return [names(body) for _, body in script.asked]

    await tick_until(lambda: "RECEIVERFAILING" in heard(good))
    told = json.loads(good.asked[-1][1])["alerts"][0]
    assert (told["labels"]["receiver"], told["labels"]["service"]) == ("bad", "watchdog")
    assert f"answered {status}" in told["annotations"]["evidence"]
    bad.at_last = 200
    env.write_text("MODE=live\n")
    await tick_until(lambda: "wrong" in heard(bad))
    hands.pass_(660)  # since then it has refused nothing, and that is known of the whole window
    await tick_until(lambda: "receiverfailing" in heard(good))
    await sidecar.stop()
    assert not any("receiver" in name.lower() for name in heard(bad))
    assert {"WRONG", "wrong"} <= set(heard(good))


async def test_a_silence_that_comes_in_time_takes_back_what_waits(
    httpserver: HTTPServer, tmp_path: Path, hands: Hands, receiver: Scripted
) -> None:
    """Of the beginning nothing was sent, so nothing is sent of the end."""
    env = tmp_path / "env"
    env.write_text("MODE=test\n")
    rules = RULES.format(env=env, url=httpserver.url_for("/")) + "notifications: {group_wait: 1m}\n"
    sidecar = Sidecar(parse(rules), hands, StateFile(str(tmp_path / "state.db"), hands))
    sidecar.outbox.start()
    await sidecar.tick(hands())
    assert sidecar.outbox.depth("hook") == 1
    sidecar.silence(Silence("1", (Matcher("service", "=", "a"),), T0, T0 + minutes(60), "ana", ""))
    hands.pass_(10)
    await sidecar.tick(hands())
    assert (sidecar.outbox.depth("hook"), sidecar.receipts) == (0, {})
    env.write_text("MODE=live\n")
    hands.pass_(60)
    await sidecar.tick(hands())
    await sidecar.stop()
    assert receiver.asked == []


async def test_a_silence_that_comes_too_late_takes_nothing_back(
    httpserver: HTTPServer, tmp_path: Path, hands: Hands, receiver: Scripted
) -> None:
    """The beginning was sent, whatever the wall clock says, so its end is told as well."""
    env = tmp_path / "env"
    env.write_text("MODE=test\n")
    rules = RULES.format(env=env, url=httpserver.url_for("/"))
    rules += "notifications: {group_wait: 200ms, group_interval: 0s}\n"
    sidecar = Sidecar(parse(rules), hands, StateFile(str(tmp_path / "state.db"), hands))
    sidecar.outbox.start()

    async def tick_until(holds: Callable[[], object]) -> None:
        while not holds():  # a file that takes longer than a tick waits for it is seen in one of the next
            await sidecar.tick(hands())
            await asyncio.sleep(0.02)

    async with asyncio.timeout(20):
        await tick_until(lambda: receiver.asked)  # the wall clock still stands before the message's time
    sidecar.silence(Silence("1", (Matcher("service", "=", "a"),), T0, T0 + minutes(60), "ana", ""))
    await sidecar.tick(hands())
    env.write_text("MODE=live\n")
    hands.pass_(60)
    async with asyncio.timeout(20):
        await tick_until(lambda: len(receiver.asked) == 2)
    await sidecar.stop()
    assert [names(body) for _, body in receiver.asked] == ["WRONG", "wrong"]
