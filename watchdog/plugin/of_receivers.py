"""Whether a receiver keeps to what the watchdog relies on."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
from pydantic import SecretStr, ValidationError

from watchdog.errors import NotifyError
from watchdog.links import Links
from watchdog.notifiers.base import Notifier, Sending
from watchdog.notifiers.fitting import why_no_notifier
from watchdog.plugin.demands import NOW, demand, refuses_unknown_keys
from watchdog.routing import Habit
from watchdog.trial import trial

_SECRET = re.compile(r"token|password|secret|api_?key|webhook", re.IGNORECASE)


def check_notifier(name: str, notifier: type[Notifier], *examples: Mapping[str, Any]) -> None:
    """
    Demand that *notifier*, called *name* in rules.yaml, keeps to the contract; nothing is sent.

    Each of *examples* is what stands under its name in the file.
    """
    why = why_no_notifier(name, notifier)
    demand(not why, f"{name}: {why}")
    demand(examples, f"{name}: give at least one example of what stands under its name in rules.yaml")
    for key, field in notifier.model_fields.items():
        shown = _SECRET.search(key) and field.annotation in (str, str | None)
        demand(not shown, f"{name}: {key} would be shown (make it a Secret)")
    for example in examples:
        try:
            receiver = notifier.model_validate(dict(example))
        except ValidationError as exc:
            raise AssertionError(f"{name}: an example is refused: {exc}") from exc
        refuses_unknown_keys(name, notifier, example)
        demand(isinstance(receiver.habit, Habit), f"{name}: habit is no Habit")
        for secret in _secrets(receiver):
            demand(secret not in repr(receiver), f"{name}: its repr shows a secret")


def _secrets(receiver: Notifier) -> Iterator[str]:
    for key in type(receiver).model_fields:
        found = getattr(receiver, key)
        if isinstance(found, SecretStr) and len(found.get_secret_value()) > 4:
            yield found.get_secret_value()


def check_sending(name: str, receiver: Notifier) -> None:
    """Demand that *receiver* takes a message when it is asked to send one; the message is a test."""
    taken = asyncio.run(_send(receiver))
    if taken is not None and not isinstance(taken, str):
        raise AssertionError(f"{name}: {taken!r} came of sending, and not a thread or None")


ANSWERS: Mapping[str, bool | None] = {
    "200 OK": None,
    "500 Internal Server Error": False,
    "503 Service Unavailable": False,
    "429 Too Many Requests": False,
    "400 Bad Request": True,
    "404 Not Found": True,
}
"""What an HTTP service may answer, and whether that refuses a message for good (None: it takes it)."""


def check_posting(name: str, at: Callable[[str], Notifier]) -> None:
    """
    Demand that a receiver which posts over HTTP takes every answer for what it means.

    *at* returns one that posts to the URL it is given and waits a second for an answer at most.
    """
    for status, permanent in ANSWERS.items():
        error = asyncio.run(_answered(at, status))
        if permanent is None:
            demand(error is None, f"{name}: {status} is taken for an error: {error}")
            continue
        if error is None:
            raise AssertionError(f"{name}: {status} is taken for success, so the message would be lost")
        again = "is tried again" if not error.permanent else "is given up"
        demand(error.permanent is permanent, f"{name}: after {status} the message {again}")
        wait = error.retry_after if status.startswith("429") else 7
        demand(wait == 7, f"{name}: it does not heed Retry-After")
    error = asyncio.run(_answered(at, ""))
    demand(error is not None and not error.permanent, f"{name}: where nobody answers in time, it gives up")


async def _answered(at: Callable[[str], Notifier], status: str) -> NotifyError | None:
    """Send to a server of ours that answers *status*, or never if that is empty; return the error."""
    closing = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if status:
            writer.write(f"HTTP/1.1 {status}\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{{}}".encode())
            await writer.drain()
        await closing.wait()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        await _send(at(f"http://127.0.0.1:{port}/"))
    except NotifyError as exc:
        return exc
    finally:
        closing.set()
        server.close()
    return None


async def _send(receiver: Notifier) -> str | None:
    async with httpx.AsyncClient(verify=False) as client:  # noqa: S501 (it asks nobody but this test)
        return await receiver.send(trial("tested", NOW), Sending(client, Links("http://127.0.0.1:9821"), NOW))
