"""What every HTTP receiver shares, and the webhook's headers, against a real server."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from tests.drawn import T0, minutes
from tests.notify.test_payloads import ALERT, LINK, notification, receiver, send
from watchdog.errors import NotifyError
from watchdog.model import Labels
from watchdog.notifications import Notification
from watchdog.notifiers.base import encode, is_permanent, none_took, retry_after
from watchdog.notifiers.webhook import payload


async def test_a_signed_request_can_be_checked_by_its_receiver(
    httpserver: HTTPServer, tmp_path: Path
) -> None:
    """The signature is over exactly the bytes that arrive; extra headers come along, also from files."""
    httpserver.expect_request("/").respond_with_data("")
    (tmp_path / "token").write_text("Bearer abc\n")
    headers = {"Authorization": {"file": str(tmp_path / "token")}, "X-Scope": "ops"}
    hook = receiver("webhook", url=httpserver.url_for("/"), secret="s3cret", headers=headers)
    assert await send(hook, notification(ALERT), now=T0 + minutes(3)) is None
    request = httpserver.log[0][0]
    assert json.loads(request.data) == payload(notification(ALERT), LINK)
    assert (request.headers["Content-Type"], request.headers["Idempotency-Key"]) == (
        "application/json",
        "8a4f",
    )
    assert (request.headers["Authorization"], request.headers["X-Scope"]) == ("Bearer abc", "ops")
    timestamp = request.headers["X-Watchdog-Timestamp"]
    expected = hmac.new(b"s3cret", timestamp.encode() + b"." + request.data, hashlib.sha256).hexdigest()
    assert timestamp == str(int((T0 + minutes(3)).timestamp()))
    assert request.headers["X-Watchdog-Signature"] == f"sha256={expected}"


async def test_without_a_secret_nothing_is_signed(httpserver: HTTPServer) -> None:
    """And nothing is said of signatures."""
    httpserver.expect_request("/").respond_with_data("")
    await send(receiver("webhook", url=httpserver.url_for("/")), notification(ALERT))
    assert not [name for name in httpserver.log[0][0].headers.keys() if name.startswith("X-Watchdog")]  # noqa: SIM118


ANSWERS = {
    "asks for patience": (
        Response(status=503, headers={"Retry-After": "20"}),
        ("answered 503", False, 20.0),
    ),
    "until a date": (
        Response(status=429, headers={"Retry-After": "Thu, 19 Feb 2026 01:00:45 GMT"}),
        ("answered 429", False, 45.0),
    ),
    "is broken": (Response(status=500), ("answered 500", False, None)),
    "refuses": (Response("Bearer abc is wrong", status=401), ("answered 401", True, None)),
    "moved": (
        Response(status=308, headers={"Location": "/there"}),
        ("answered 308 (give the URL to which it redirects)", True, None),
    ),
}


@pytest.mark.parametrize(("answer", "expected"), ANSWERS.values(), ids=ANSWERS)
async def test_a_refusal_is_told_by_its_number(
    httpserver: HTTPServer, answer: Response, expected: tuple[str, bool, float | None]
) -> None:
    """What the receiver writes is left out: it may repeat our own secrets."""
    httpserver.expect_request("/").respond_with_handler(lambda _: answer)
    with pytest.raises(NotifyError) as caught:
        await send(receiver("webhook", url=httpserver.url_for("/")), notification(ALERT))
    assert (str(caught.value), caught.value.permanent, caught.value.retry_after) == expected


@pytest.fixture
async def dripping() -> AsyncIterator[str]:
    """A server that answers a byte at a time, always soon enough for a time-out between two bytes."""

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            for _drop in range(100):
                writer.write(b"H")
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    server.close()


async def test_a_dripping_answer_is_none(dripping: str) -> None:
    """The time-out is for the whole of it."""
    with pytest.raises(NotifyError, match=r"^no answer within 0\.2s$") as caught:
        await send(receiver("webhook", url=dripping, timeout="200ms"), notification(ALERT))
    assert not caught.value.permanent


NOWHERE = {
    "nobody listens": ("http://127.0.0.1:1/verysecret", "cannot be reached (ConnectError)", False),
    "no host can be called so": (
        f"http://{'x' * 80}.é/verysecret",
        "has a URL nobody can be reached at",
        True,
    ),
    "a sign that no URL has": (
        "http://127.0.0.1:1/\x7fverysecret",
        "has a URL nobody can be reached at",
        True,
    ),
}


@pytest.mark.parametrize(("url", "said", "permanent"), NOWHERE.values(), ids=NOWHERE)
async def test_nobody_there_is_a_reason_without_the_address(url: str, said: str, permanent: bool) -> None:
    """The URL may carry its own key."""
    with pytest.raises(NotifyError) as caught:
        await send(receiver("webhook", url=url), notification(ALERT))
    assert (str(caught.value), caught.value.permanent) == (said, permanent)


AFTER = {
    "120": 120.0,
    "99999999": 3600.0,
    "Wed, 18 Feb 2026 01:00:00 GMT": 0.0,
    "²": None,
    "soon": None,
    "": None,
}


@pytest.mark.parametrize(("header", "seconds"), AFTER.items())
def test_patience_is_asked_for_in_seconds_or_as_a_date(header: str, seconds: float | None) -> None:
    """An hour at most, and nonsense is nothing."""
    response = httpx.Response(429, headers=[(b"Retry-After", header.encode("latin-1"))])
    assert retry_after(response, T0) == seconds


def test_of_several_refusals_the_hopeful_one_counts() -> None:
    """It is permanent only if nobody may ever take it, and the shortest wait is waited."""
    errors = [
        NotifyError("answered 404", permanent=True),
        NotifyError("answered 429", permanent=False, retry_after=30.0),
        NotifyError("answered 503", permanent=False, retry_after=5.0),
        NotifyError("answered 404", permanent=True),
    ]
    one = none_took(errors)
    assert (str(one), one.permanent, one.retry_after) == (
        "answered 404; answered 429; answered 503",
        False,
        5.0,
    )
    assert none_took(errors[:1]).permanent


def test_there_is_json_for_every_sign() -> None:
    """Half a surrogate pair from a broken log has no UTF-8."""
    message = Notification("k", "hook", Labels(service="\ud800"), notification(ALERT).notices, T0, T0)
    assert b'"\\ud800"' in encode(payload(message, LINK))


@pytest.mark.parametrize(
    ("status", "permanent"), [(400, True), (413, True), (408, False), (425, False), (502, False)]
)
def test_only_what_cannot_change_is_permanent(status: int, permanent: bool) -> None:
    """Any 4xx, but for a time-out and too many requests."""
    assert is_permanent(status) is permanent


def test_the_hour_of_patience_is_also_the_longest_for_a_date() -> None:
    """A clock that is years ahead must not silence a receiver."""
    response = httpx.Response(503, headers={"Retry-After": "Fri, 19 Feb 2106 01:00:00 GMT"})
    assert retry_after(response, T0) == timedelta(hours=1).total_seconds()
