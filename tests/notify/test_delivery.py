"""Delivery against real HTTP servers: failing, hanging, refusing, asking for patience."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.notify.test_payloads import ALERT
from watchdog.clock import utc_now
from watchdog.delivery import FIRST_PAUSE, LONGEST_PAUSE, Outbox, back_off
from watchdog.model import Labels
from watchdog.notifications import Notice, Notification
from watchdog.notifiers import NOTIFIERS
from watchdog.notifiers.base import Notifier, is_permanent

SERVICES = Labels(service="rl_trainer")


def webhook(url: str, timeout: str = "2s") -> Notifier:
    """Return a webhook notifier as rules.yaml would make it."""
    return NOTIFIERS["webhook"].model_validate({"url": url, "timeout": timeout})


def notification(receiver: str = "hook", key: str = "k1") -> Notification:
    """Return a message for *receiver*."""
    return Notification(key, receiver, SERVICES, (Notice(ALERT, None, ()),), utc_now())


async def until(holds: Callable[[], bool], within: float = 10) -> None:
    """Return once *holds*, which takes events on this loop to become true."""
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.005)


class Scripted:
    """A receiver that answers as told, once per request, and remembers when and what it was asked."""

    def __init__(self, *answers: Response) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[float, str]] = []

    def __call__(self, request: Request) -> Response:
        self.asked.append((time.monotonic(), request.headers["Idempotency-Key"]))
        return self.answers.pop(0) if self.answers else Response(status=200)


@pytest.fixture
def hanging() -> Iterator[str]:
    """A port that accepts and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


async def test_a_failed_send_is_sent_again_under_the_same_key(httpserver: HTTPServer) -> None:
    """500, then 503 with a wish for patience, then taken: one delivery, one key."""
    script = Scripted(Response(status=500), Response(status=503, headers={"Retry-After": "1"}))
    httpserver.expect_request("/").respond_with_handler(script)
    outbox = Outbox({"hook": webhook(httpserver.url_for("/"))}, "http://x", utc_now)
    outbox.start()
    outbox.put([notification()])
    await until(lambda: outbox.outcomes["hook", "sent"] == 1)
    await outbox.stop()
    assert [key for _, key in script.asked] == ["k1", "k1", "k1"]
    assert script.asked[2][0] - script.asked[1][0] >= 1.0
    assert (outbox.outcomes["hook", "retried"], outbox.depth("hook"), outbox.oldest("hook")) == (2, 0, None)


async def test_what_can_never_succeed_is_not_tried_again(httpserver: HTTPServer) -> None:
    """404 is final, and the next message is sent all the same."""
    script = Scripted(Response(status=404))
    httpserver.expect_request("/").respond_with_handler(script)
    outbox = Outbox({"hook": webhook(httpserver.url_for("/"))}, "http://x", utc_now)
    outbox.start()
    outbox.put([notification(key="first"), notification(key="second")])
    await until(lambda: outbox.outcomes["hook", "sent"] == 1)
    await outbox.stop()
    assert [key for _, key in script.asked] == ["first", "second"]
    assert outbox.outcomes["hook", "refused"] == 1


async def test_a_hanging_receiver_delays_no_other(httpserver: HTTPServer, hanging: str) -> None:
    """While one waits for its time-out, the other has been told."""
    script = Scripted()
    httpserver.expect_request("/").respond_with_handler(script)
    receivers = {"stuck": webhook(hanging, "30s"), "hook": webhook(httpserver.url_for("/"))}
    outbox = Outbox(receivers, "http://x", utc_now)
    outbox.start()
    outbox.put([notification("stuck"), notification("hook")])
    await until(lambda: outbox.outcomes["hook", "sent"] == 1, within=10)  # of the 30 s the other hangs
    assert (outbox.depth("stuck"), outbox.depth("hook")) == (1, 0)
    assert outbox.oldest("stuck") is not None
    await outbox.stop()


async def test_a_time_out_and_a_refused_connection_are_tried_again(hanging: str) -> None:
    """Neither is the receiver's last word."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refused = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    outbox = Outbox({"stuck": webhook(hanging, "200ms"), "gone": webhook(refused)}, "http://x", utc_now)
    outbox.start()
    outbox.put([notification("stuck"), notification("gone")])
    await until(lambda: min(outbox.outcomes[name, "retried"] for name in ("stuck", "gone")) >= 1)
    await outbox.stop()
    assert (outbox.depth("stuck"), outbox.depth("gone")) == (1, 1)


async def test_a_message_too_old_to_matter_is_given_up_with_a_record(httpserver: HTTPServer) -> None:
    """After six hours without success it counts as expired."""
    httpserver.expect_request("/").respond_with_handler(lambda _: Response(status=500))
    outbox = Outbox(
        {"hook": webhook(httpserver.url_for("/"))}, "http://x", lambda: utc_now() + timedelta(hours=7)
    )
    outbox.start()
    outbox.put([notification()])
    await until(lambda: outbox.outcomes["hook", "expired"] == 1)
    await outbox.stop()
    assert outbox.depth("hook") == 0


STATUSES = {400: True, 401: True, 404: True, 301: True, 408: False, 429: False, 500: False, 503: False}


@pytest.mark.parametrize(("status", "permanent"), STATUSES.items())
def test_only_what_cannot_change_is_permanent(status: int, permanent: bool) -> None:
    """Any 4xx, but for a time-out and too many requests."""
    assert is_permanent(status) is permanent


def test_the_pauses_grow_and_are_bounded() -> None:
    """Exponential, with full jitter."""
    longest = [back_off(attempt, 1.0) for attempt in range(12)]
    assert longest[:4] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE]
    assert (max(longest), back_off(5, 0.0)) == (LONGEST_PAUSE, 0.0)
