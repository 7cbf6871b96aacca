"""Delivery against real servers: failing, hanging, refusing, asking for patience, coming back."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field
from pytest_httpserver import HTTPServer
from structlog.testing import capture_logs

from tests.drawn import T0, ids, minutes, rows
from tests.outgoing import LINK, Hands, Scripted, alert, answers, ended, message, post, until, webhook
from watchdog.courier import FIRST_PAUSE, LONGEST_PAUSE, SHARE_OF_OUTAGE, back_off
from watchdog.delivery import AlwaysOpen, Outbox
from watchdog.errors import NotifyError
from watchdog.notifications import Notification
from watchdog.notifiers.base import Notifier, Sending, is_permanent
from watchdog.state import StateFile

DAY = 86_400.0


@pytest.fixture
def hands() -> Hands:
    """A clock at `T0`."""
    return Hands()


@pytest.fixture
def state(tmp_path: Path, hands: Hands) -> Iterator[StateFile]:
    """A state file."""
    opened = StateFile(str(tmp_path / "state.db"), hands)
    yield opened
    opened.close()


@pytest.fixture
def receiver(httpserver: HTTPServer) -> Scripted:
    """What answers at `/`."""
    script = Scripted()
    httpserver.expect_request("/").respond_with_handler(script)
    return script


@pytest.fixture
def build(state: StateFile, hands: Hands, httpserver: HTTPServer) -> Callable[..., Outbox]:
    """Build an outbox: with one receiver, `hook`, that posts to `/`, unless told otherwise."""

    def build(**receivers: Notifier) -> Outbox:
        given = receivers or {"hook": webhook(httpserver.url_for("/"))}
        return Outbox(given, LINK, state, hands, monotonic=hands.monotonic)

    return build


@pytest.fixture
def hanging() -> Iterator[str]:
    """A port that accepts and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


Build = Callable[..., Outbox]


def recorded(state: StateFile, outcome: str) -> list[Any]:
    """Return what the delivery log says of an outcome."""
    return state.deliveries(outcome=outcome)


async def sends_nothing(outbox: Outbox) -> bool:
    """Have everybody look, and say whether nobody begins to send."""
    for _ in range(5):
        outbox.wake()
        await asyncio.sleep(0)
    return not any(courier.sending for courier in outbox._couriers.values())


async def come_again(outbox: Outbox, hands: Hands, holds: Callable[[], object]) -> None:
    """Let a minute and a half pass and have everybody look again, until *holds*."""
    hands.pass_(90)
    outbox.wake()
    await until(holds)


# ---- taken at last -----------------------------------------------------------------------------


async def test_a_failed_send_is_sent_again_under_the_same_key(
    build: Build, receiver: Scripted, hands: Hands, state: StateFile
) -> None:
    """500, then 503, then taken: one delivery, one key, one body."""
    receiver.answers = answers(500, 503)
    outbox = build()
    outbox.start()
    post(outbox, state, message())
    for attempt in (1, 2):
        await until(lambda n=attempt: outbox.outcomes["hook", "retried"] == n)  # type: ignore[misc]
        assert outbox.health("hook").why == f"answered {(500, 503)[attempt - 1]}"
        hands.pass_(60)
        outbox.wake()
    await until(lambda: outbox.outcomes["hook", "sent"] == 1)
    await outbox.stop()
    assert receiver.asked == [(message().key, receiver.asked[0][1])] * 3
    assert (outbox.outcomes["hook", "retried"], outbox.depth("hook"), outbox.oldest("hook")) == (2, 0, None)
    assert outbox.health("hook").failing_since is None
    assert (recorded(state, "sent")[0]["attempt"], len(recorded(state, "retried"))) == (3, 1)


HOW_TO_FAIL = """
  what the receiver does                       | what is said of it
  HTTP/1.1 500 Oops\\r\\n\\r\\n                | answered 500
  nothing                                      | no answer within 0.2s
  hangs up                                     | cannot be reached (RemoteProtocolError)
  refuses                                      | cannot be reached (ConnectError)
  SSH-2.0-OpenSSH_9.2\\r\\n                    | cannot be reached (RemoteProtocolError)
  HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\n\\r\\nok | cannot be reached (RemoteProtocolError)
"""


@pytest.mark.parametrize(("does", "said"), rows(HOW_TO_FAIL), ids=ids(HOW_TO_FAIL))
async def test_whatever_a_receiver_does_it_is_tried_again(
    build: Build, hands: Hands, state: StateFile, does: str, said: str
) -> None:
    """None of this is its last word; the first time it answers well, it has been told."""
    well = False

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if well:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        elif does == "nothing":
            await reader.read()
        elif does != "hangs up":
            writer.write(does.encode().decode("unicode_escape").encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if does == "refuses":
        server.close()
    outbox = build(hook=webhook(f"http://127.0.0.1:{port}/", "200ms"))
    outbox.start()
    post(outbox, state, message())
    await until(lambda: outbox.outcomes["hook", "retried"] == 1)
    assert recorded(state, "retried")[0]["why"] == said
    if does == "refuses":
        server = await asyncio.start_server(answer, "127.0.0.1", port)
    well = True
    await come_again(outbox, hands, lambda: outbox.outcomes["hook", "sent"] == 1)
    await outbox.stop()
    server.close()


RETRY_AFTER = """
  answer                  | seconds it is left alone
  429, after 7            | 7
  503, after 7            | 7
  429, after in 90s       | 90
  503, after in 90s       | 90
  429, after 99999999     | 3600
  503, after in 10 years  | 3600
  429, after 0            | some
  503, after 90s ago      | some
  429, after soon         | some
  500                     | some
"""
DATES = {
    "in 90s": timedelta(seconds=90),
    "in 10 years": timedelta(days=3650),
    "90s ago": timedelta(seconds=-90),
}


@pytest.mark.parametrize(("answer", "alone"), rows(RETRY_AFTER), ids=ids(RETRY_AFTER))
async def test_a_receiver_is_left_alone_for_as_long_as_it_asks(
    build: Build, receiver: Scripted, hands: Hands, answer: str, alone: str
) -> None:
    """Told as seconds or as a date, for an hour at most; else the usual pause, a second at most at first."""
    status, _, after = answer.partition(", after ")
    text = format_datetime(T0 + DATES[after], usegmt=True) if after in DATES else after
    receiver.answers = answers(int(status), **({"retry_after": text} if after else {}))
    outbox = build()
    outbox.start()
    outbox.take([message()])
    outbox.wake()
    await until(lambda: outbox.outcomes["hook", "retried"] == 1)
    if alone != "some":
        hands.pass_(float(alone) - 0.01)
        assert await sends_nothing(outbox)
    hands.pass_(0.02 if alone != "some" else FIRST_PAUSE)
    outbox.wake()
    await until(lambda: outbox.outcomes["hook", "sent"] == 1)
    await outbox.stop()


async def test_a_hanging_receiver_delays_no_other(
    build: Build, receiver: Scripted, state: StateFile, httpserver: HTTPServer, hanging: str
) -> None:
    """While one waits for its time-out, the other has been told, again and again."""
    outbox = build(stuck=webhook(hanging, "30s"), hook=webhook(httpserver.url_for("/")))
    outbox.start()
    for number in range(5):
        post(outbox, state, message(alert(f"A{number}"), to="stuck"), message(alert(f"A{number}")))
        await until(lambda n=number: outbox.outcomes["hook", "sent"] == n + 1)  # type: ignore[misc]
    assert (outbox.depth("stuck"), outbox.depth("hook")) == (5, 0)
    assert (outbox.oldest("stuck"), outbox.outcomes["stuck", "retried"]) == (T0, 0)
    await outbox.stop()


# ---- never taken -------------------------------------------------------------------------------


async def test_what_can_never_succeed_is_not_tried_again(
    build: Build, receiver: Scripted, hands: Hands, state: StateFile
) -> None:
    """404 is final, is recorded, and the next message is sent all the same."""
    receiver.answers = answers(404)
    first, second = message(alert("A")), message(alert("B"))
    outbox = build()
    outbox.start()
    with capture_logs() as logs:
        post(outbox, state, first, second)
        await until(lambda: outbox.outcomes["hook", "sent"] == 1)
    assert receiver.keys == [first.key, second.key]
    assert (outbox.outcomes["hook", "refused"], outbox.health("hook").refusals) == (1, [T0])
    [refused] = recorded(state, "refused")
    assert refused == {
        "at": "2026-02-19T01:00:00+00:00",
        "receiver": "hook",
        "outcome": "refused",
        "key": first.key,
        "decided_at": "2026-02-19T01:00:00+00:00",
        "merged": 1,
        "reasons": ["first"],
        "attempt": 1,
        "why": "answered 404",
        "names": ["A/a"],
        "count": 1,
        "alerts": [alert("A").labels.fingerprint],
    }
    assert [(line["log_level"], line["outcome"]) for line in logs] == [
        ("warning", "refused"),
        ("info", "sent"),
    ]
    await outbox.stop()


async def test_a_message_too_old_to_matter_is_given_up_with_a_record(
    build: Build, receiver: Scripted, hands: Hands, state: StateFile
) -> None:
    """After a day of trying it has expired, and what came after it is sent."""
    receiver.answers = answers(*[500] * 3)
    first, second = message(alert("A")), message(alert("B"))
    outbox = build()
    outbox.start()
    post(outbox, state, first, second)
    await until(lambda: outbox.outcomes["hook", "retried"] == 1)
    hands.pass_(DAY + 1)
    outbox.wake()
    await until(lambda: outbox.outcomes["hook", "expired"] == 1)
    await come_again(outbox, hands, lambda: outbox.outcomes["hook", "retried"] == 2)
    await come_again(outbox, hands, lambda: outbox.outcomes["hook", "sent"] == 1)
    await outbox.stop()
    [expired], [sent] = recorded(state, "expired"), recorded(state, "sent")
    assert (expired["key"], expired["why"], expired["attempt"]) == (first.key, "answered 500", 2)
    assert (sent["key"], sent["attempt"]) == (second.key, 2)
    assert receiver.keys == [first.key, first.key, second.key, second.key]
    assert outbox.depth("hook") == 0


JUMPS = {"ten years on": timedelta(days=3650), "ten years back": -timedelta(days=3650)}


@pytest.mark.parametrize("jump", JUMPS.values(), ids=JUMPS.keys())
async def test_a_clock_that_is_set_neither_expires_nor_delays_anything(
    build: Build, receiver: Scripted, hands: Hands, state: StateFile, jump: timedelta
) -> None:
    """What is old is told by a clock that nobody can set; so is for how long a receiver has been failing."""
    receiver.answers = answers(*[500] * 3)
    outbox = build()
    outbox.start()
    post(outbox, state, message(at=T0, due=T0 + timedelta(seconds=5)))
    hands.pass_(5)
    outbox.wake()
    for attempt in (1, 2, 3):
        await until(lambda n=attempt: outbox.outcomes["hook", "retried"] == n)  # type: ignore[misc]
        hands.wall += jump
        hands.pass_(60)
        failing = outbox.health("hook").failing_since
        assert failing is not None
        assert hands.wall - failing == timedelta(seconds=60 * attempt)
        outbox.wake()
    await until(lambda: outbox.outcomes["hook", "sent"] == 1)
    await outbox.stop()
    assert outbox.outcomes["hook", "expired"] == 0


STATUSES = {301: True, 400: True, 401: True, 404: True, 410: True, 413: True, 408: False, 425: False} | {
    429: False,
    500: False,
    502: False,
    503: False,
    504: False,
}


@pytest.mark.parametrize(("status", "permanent"), STATUSES.items())
def test_only_what_cannot_change_is_permanent(status: int, permanent: bool) -> None:
    """Any 4xx, but for a time-out, too early and too many requests."""
    assert is_permanent(status) is permanent


# ---- pauses ------------------------------------------------------------------------------------


def test_the_pauses_grow_and_are_bounded() -> None:
    """Exponential, with full jitter; in a long outage up to a minute."""
    longest = [back_off(attempt, DAY, 1.0) for attempt in range(2_000)]
    assert longest[:4] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE]
    assert (max(longest), back_off(5, DAY, 0.0), back_off(5, DAY, 0.5)) == (LONGEST_PAUSE, 0.0, 16.0)


@pytest.mark.parametrize("outage", [0.0, 10.0, 25.0, 60.0, 600.0, 1_500.0, DAY])
def test_what_waits_goes_out_soon_after_the_outage(outage: float) -> None:
    """However often it was tried: after a minute within seconds."""
    assert back_off(500, outage, 1.0) == min(LONGEST_PAUSE, max(FIRST_PAUSE, SHARE_OF_OUTAGE * outage))
    assert back_off(500, 60, 1.0) < 3


class Slow(Notifier):
    """A notifier that takes everything, ten seconds apart."""

    pause = timedelta(seconds=10)

    async def send(self, notification: Notification, sending: Sending) -> str | None:
        """Note when."""
        SLOW_TOOK.append(sending.now)
        return None


SLOW_TOOK: list[datetime] = []


async def test_the_pause_between_messages_is_kept(build: Build, hands: Hands, state: StateFile) -> None:
    """Not before the first; and news of the sidecar do not shorten it."""
    SLOW_TOOK.clear()
    outbox = build(hook=Slow.model_validate({}))
    outbox.start()
    post(outbox, state, message(alert("A")), message(alert("B")))
    await until(lambda: len(SLOW_TOOK) == 1)
    hands.pass_(9.99)
    assert await sends_nothing(outbox)
    assert len(SLOW_TOOK) == 1
    hands.pass_(0.01)
    outbox.wake()
    await until(lambda: len(SLOW_TOOK) == 2)
    await outbox.stop()
    assert SLOW_TOOK[1] - SLOW_TOOK[0] == timedelta(seconds=10)


# ---- our own errors ----------------------------------------------------------------------------


class Clumsy(Notifier):
    """A notifier that fails in a way of its own, as often as it is told."""

    times: int
    error: Any
    tried: list[str] = Field(default_factory=list)

    async def send(self, notification: Notification, sending: Sending) -> str | None:
        """Fail, or take it."""
        self.tried.append(notification.key)
        if len(self.tried) <= self.times:
            raise self.error
        return None


ERRORS = {
    "a bug": RuntimeError("token xoxb-secret"),
    "a time-out that is none of ours": TimeoutError("xoxb-secret"),
    "a cause within": ExceptionGroup("xoxb-secret", [ValueError("xoxb-secret")]),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS.keys())
async def test_an_error_of_our_own_loses_nothing_and_tells_no_secret(
    build: Build, hands: Hands, state: StateFile, error: Exception
) -> None:
    """It counts as a failed attempt: logged, retried, seen in the receiver's health."""
    outbox = build(hook=Clumsy.model_validate({"times": 2, "error": error}))
    outbox.start()
    with capture_logs() as logs:
        post(outbox, state, message())
        await until(lambda: outbox.outcomes["hook", "retried"] == 1)
        assert outbox.health("hook").why == (
            f"failed inside the watchdog ({type(error).__name__}); please report it"
        )
        await come_again(outbox, hands, lambda: outbox.outcomes["hook", "retried"] == 2)
        await come_again(outbox, hands, lambda: outbox.outcomes["hook", "sent"] == 1)
    assert (outbox.working, outbox.failures) == (True, 0)
    await outbox.stop()
    [failed, *_] = [line for line in logs if line["event"] == "send_failed"]
    assert (failed["error"], "test_delivery.py:" in failed["at"][-1]) == (type(error).__name__, True)
    assert "secret" not in json.dumps(logs) + json.dumps(state.deliveries())


class Endless(Notifier):
    """A notifier that forgets to come back."""

    async def send(self, notification: Notification, sending: Sending) -> str | None:
        """Wait for what never comes."""
        await asyncio.Event().wait()
        return None


async def test_a_send_that_does_not_end_is_given_up(build: Build, state: StateFile) -> None:
    """After several times the receiver's time-out: else nobody would ever hear that it fails."""
    outbox = build(hook=Endless.model_validate({"timeout": "10ms"}))
    outbox.start()
    post(outbox, state, message())
    await until(lambda: outbox.outcomes["hook", "retried"] == 1)
    assert outbox.health("hook").why == "came to no end within 0.06s"
    await outbox.stop()


class Unsure(AlwaysOpen):
    """A gate that fails once when asked."""

    def __init__(self) -> None:
        self.asked = 0

    def open(self, _receiver: str) -> bool:
        """Fail the first time."""
        self.asked += 1
        if self.asked == 1:
            raise RuntimeError("xoxb-secret")
        return True


async def test_a_courier_survives_whatever_goes_wrong(
    build: Build, receiver: Scripted, state: StateFile
) -> None:
    """It is logged and counted, and it goes on after a moment."""
    outbox = build()
    assert not outbox.working
    outbox.gate = Unsure()
    outbox.start()
    with capture_logs() as logs:
        post(outbox, state, message())
        await until(lambda: outbox.outcomes["hook", "sent"] == 1)
    assert (outbox.failures, outbox.working) == (1, True)
    assert [line["event"] for line in logs] == ["courier_failed", "notification"]
    assert "secret" not in json.dumps(logs)
    await outbox.stop()
    assert not outbox.working


# ---- who may send ------------------------------------------------------------------------------


class Door(AlwaysOpen):
    """A gate that is opened and closed by hand, for each receiver."""

    def __init__(self) -> None:
        self.closed = {"hook": asyncio.Event(), "other": asyncio.Event()}
        self.told: list[Notification] = []

    def open(self, receiver: str) -> bool:
        """Say whether it is open."""
        return self.closed[receiver].is_set()

    async def opened(self, receiver: str) -> None:
        """Wait for it."""
        await self.closed[receiver].wait()

    def sent(self, message: Notification) -> None:
        """Note what was taken."""
        self.told.append(message)


async def test_nothing_is_sent_while_the_gate_is_closed(
    build: Build, receiver: Scripted, state: StateFile, httpserver: HTTPServer
) -> None:
    """And all of it once it is open; each receiver has its own."""
    outbox = build(hook=webhook(httpserver.url_for("/")), other=webhook(httpserver.url_for("/")))
    door = outbox.gate = Door()
    door.closed["other"].set()
    outbox.start()
    mine, others = message(), message(to="other")
    post(outbox, state, mine, others)
    await until(lambda: outbox.outcomes["other", "sent"] == 1)
    assert (receiver.keys, outbox.depth("hook")) == ([others.key], 1)
    door.closed["hook"].set()
    await until(lambda: outbox.outcomes["hook", "sent"] == 1)
    assert (receiver.keys, door.told) == ([others.key, mine.key], [others, mine])
    await outbox.stop()


async def test_a_gate_that_closes_in_an_outage_is_noticed(
    build: Build, receiver: Scripted, hands: Hands, state: StateFile
) -> None:
    """Between two attempts it became somebody else's to tell."""
    receiver.answers = answers(500)
    outbox = build()
    door = outbox.gate = Door()
    door.closed["hook"].set()
    outbox.start()
    post(outbox, state, message())
    await until(lambda: outbox.outcomes["hook", "retried"] == 1)
    door.closed["hook"].clear()
    hands.pass_(60)
    assert await sends_nothing(outbox)
    outbox.drop("hook", lambda _: None)
    door.closed["hook"].set()
    post(outbox, state, message(alert("B")))
    await until(lambda: outbox.outcomes["hook", "sent"] == 1)
    assert receiver.keys == [message().key, message(alert("B")).key]
    await outbox.stop()


async def test_what_somebody_else_told_is_dropped_even_while_it_is_tried(
    build: Build, receiver: Scripted, hands: Hands, state: StateFile
) -> None:
    """It is gone from the file; what is said after it is not held up, and not lost."""
    receiver.answers = answers(500, 200)
    outbox = build()
    outbox.start()
    post(outbox, state, message(alert("A")))
    await until(lambda: outbox.outcomes["hook", "retried"] == 1)
    receiver.go_on.clear()
    hands.pass_(60)
    outbox.wake()
    await until(lambda: len(receiver.asked) == 2)
    outbox.drop("hook", lambda told: None if told.key == message(alert("A")).key else told)
    post(outbox, state, message(alert("B")))
    assert (outbox.depth("hook"), list(state.book("outbox"))) == (1, ["000000000002"])
    receiver.go_on.set()
    await until(lambda: outbox.outcomes["hook", "sent"] == 2)
    assert receiver.keys == [message(alert(name)).key for name in ("A", "A", "B")]
    assert state.book("outbox") == {}
    await outbox.stop()


async def test_what_somebody_else_told_is_not_waited_for(
    build: Build, receiver: Scripted, hands: Hands, state: StateFile
) -> None:
    """A letter that is dropped in its pause does not go out any more, and leaves its place to the next."""
    receiver.answers = answers(503, retry_after="30")
    outbox = build()
    outbox.start()
    post(outbox, state, message(alert("A")))
    await until(lambda: outbox.outcomes["hook", "retried"] == 1)
    outbox.drop("hook", lambda _: None)
    post(outbox, state, message(alert("B")))
    assert outbox.depth("hook") == 1
    hands.pass_(31)
    outbox.wake()
    await until(lambda: outbox.outcomes["hook", "sent"] == 1)
    assert receiver.keys == [message(alert("A")).key, message(alert("B")).key]
    await outbox.stop()


# ---- after an outage ---------------------------------------------------------------------------


async def test_an_outage_is_followed_by_no_storm(
    build: Build, receiver: Scripted, hands: Hands, state: StateFile
) -> None:
    """A hundred messages become two: the one that was tried, and all others in one, newest state first."""
    receiver.at_last = 500
    outbox = build()
    outbox.start()
    lives = [alert(f"A{number}", fired_at=T0 + timedelta(seconds=number)) for number in range(60)]
    for number, begun in enumerate(lives):
        post(outbox, state, message(begun, at=hands()))
        if number % 3 == 0:
            post(outbox, state, message(ended(begun, hands()), at=hands()))
        hands.pass_(1)
        await until(lambda n=number: outbox.outcomes["hook", "retried"] >= min(n + 1, 2))  # type: ignore[misc]
    before = len(receiver.asked)
    receiver.at_last = 200
    await come_again(outbox, hands, lambda: outbox.depth("hook") == 0)
    await outbox.stop()
    assert len(receiver.asked) - before == 2
    first, rest = (json.loads(body)["alerts"] for _, body in receiver.asked[before:])
    assert [one["labels"]["alertname"] for one in first] == ["A0"]
    said = [(one["status"], one["labels"]["alertname"], one["startsAt"]) for one in rest]
    fires = [("firing", one.name, one.fired_at) for one in reversed(lives) if int(one.name[1:]) % 3]
    over = [("resolved", one.name, one.fired_at) for one in reversed(lives) if int(one.name[1:]) % 3 == 0]
    assert said == [
        (status, name, at.strftime("%Y-%m-%dT%H:%M:%SZ")) for status, name, at in fires + over if at
    ]
    assert sum(record["merged"] for record in recorded(state, "sent")) == 80


async def test_the_content_is_frozen_while_the_receiver_is_out(
    build: Build, receiver: Scripted, hands: Hands, state: StateFile
) -> None:
    """The alert ends meanwhile: what was tried says so only in the next message, and with its own time."""
    receiver.answers = answers(500, 500)
    begun = alert(evidence={"z": 1, "a": [1, 2]})
    outbox = build()
    outbox.start()
    post(outbox, state, message(begun))
    await until(lambda: outbox.outcomes["hook", "retried"] == 1)
    post(outbox, state, message(ended(begun, T0 + minutes(1)), at=T0 + minutes(1)))
    await come_again(outbox, hands, lambda: outbox.outcomes["hook", "retried"] == 2)
    await come_again(outbox, hands, lambda: outbox.outcomes["hook", "sent"] == 2)
    await outbox.stop()
    assert len(set(receiver.asked[:3])) == 1
    assert [json.loads(body)["status"] for _, body in receiver.asked] == ["firing"] * 3 + ["resolved"]
    [last] = json.loads(receiver.asked[3][1])["alerts"]
    assert (last["startsAt"], last["endsAt"]) == ("2026-02-19T01:00:00Z", "2026-02-19T01:01:00Z")


# ---- the end of the process --------------------------------------------------------------------


async def test_what_is_being_sent_at_the_end_may_come_to_its_own(
    build: Build, receiver: Scripted, state: StateFile
) -> None:
    """A receiver that answers within moments is not told again by the next process."""
    outbox = build()
    outbox.start()
    receiver.go_on.clear()
    post(outbox, state, message(alert("A")), message(alert("B")))
    await until(lambda: len(receiver.asked) == 1)
    stopping = asyncio.create_task(outbox.stop())
    await asyncio.sleep(0)
    receiver.go_on.set()
    await stopping
    assert (outbox.outcomes["hook", "sent"], receiver.keys) == (1, [message(alert("A")).key])
    assert (outbox.working, len(state.book("outbox"))) == (False, 1)


async def test_what_hangs_at_the_end_is_sent_by_the_next_process(
    build: Build, receiver: Scripted, state: StateFile, httpserver: HTTPServer, hanging: str
) -> None:
    """Cut off in the middle of a send it may have been taken: the key is the same."""
    outbox = build(hook=webhook(hanging, "30s"))
    outbox.start()
    post(outbox, state, message())
    await until(lambda: outbox._couriers["hook"].sending)
    with capture_logs() as logs:
        async with asyncio.timeout(5):
            await outbox.stop()
    assert [(line["event"], line["messages"]) for line in logs] == [("undelivered_at_stop", 1)]
    again = build()
    again.start()
    again.wake()
    await until(lambda: again.outcomes["hook", "sent"] == 1)
    await again.stop()
    assert (receiver.keys, state.book("outbox")) == ([message().key], {})


async def test_a_refusal_is_not_told_apart_by_its_class_alone(
    build: Build, hands: Hands, state: StateFile
) -> None:
    """A notifier says itself whether it is of use to try again."""
    for permanent, outcome in ((True, "refused"), (False, "retried")):
        error = NotifyError("no such channel", permanent=permanent)
        outbox = build(hook=Clumsy.model_validate({"times": 1, "error": error}))
        outbox.start()
        post(outbox, state, message(alert(outcome)))
        await until(lambda o=outbox, out=outcome: o.outcomes["hook", out] == 1)  # type: ignore[misc]
        await outbox.stop()
        assert recorded(state, outcome)[0]["why"] == "no such channel"
