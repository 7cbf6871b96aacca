"""Receivers that do their worst, over real sockets, and remember all they were told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FAULTS: Mapping[str, tuple[bool, bytes | None]] = {
    "fine": (True, OK),
    "slow": (True, OK),
    "taken, then closed": (True, b""),
    "taken, half an answer": (True, OK[:20]),
    "taken, then garbage": (True, b"\x00\xffnot HTTP at all\r\n\r\n"),
    "taken, then hangs": (True, None),
    "500": (False, b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"),
    "503 with Retry-After": (False, b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"),
    "429": (False, b"HTTP/1.1 429 Slow down\r\nContent-Length: 0\r\n\r\n"),
    "429 with Retry-After": (
        False,
        b"HTTP/1.1 429 Slow down\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
    ),
    "garbage": (False, b"\x00\xffnot HTTP at all\r\n\r\n"),
    "hangs": (False, None),
    "closes unread": (False, b""),
    "closes in the middle": (False, b""),
    "closes after reading": (False, b""),
}
"""What can happen to a request: whether the receiver took it, and what it answers (None: nothing, ever)."""


MOMENTS = ("half a request", "a whole request", "half an answer", "a whole answer")
"""Where a sender can be killed from the other side of the wire."""


@dataclass(frozen=True)
class Request:
    """One request that was read to its end."""

    key: str
    body: bytes
    taken: bool

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts it tells of."""
        found: list[dict[str, Any]] = json.loads(self.body)["alerts"]
        return found


@dataclass
class Receiver:
    """One address; each request meets *badness* with a fault picked at random, until it is healthy."""

    name: str
    seed: str
    badness: float
    healthy: bool = False
    requests: list[Request] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    url: str = ""
    at: tuple[str, int] = ("", 0)
    """At which of `MOMENTS` to have the sender *killed*, when it comes for the so-many-th time."""
    kill: Callable[[], None] = lambda: None
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Receiver:
        self._luck = random.Random(self.seed)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()

    def _pick(self) -> str:
        if self.healthy or self._luck.random() >= self.badness:
            return "fine"
        return self._luck.choice([name for name in FAULTS if name != "fine"])

    def _reach(self, moment: str) -> None:
        name, count = self.at
        if name == moment:
            self.at = (name, count - 1)
            if count == 1:
                self.kill()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read a request and treat it as it fares; say whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        length = int(headers["content-length"])
        fault = self._pick()
        self.faults[fault] += 1
        if fault == "closes unread":
            return False
        if fault == "closes in the middle":
            await reader.readexactly(length // 2)
            return False
        body = await reader.readexactly(length // 2)
        self._reach("half a request")
        body += await reader.readexactly(length - len(body))
        taken, answer = FAULTS[fault]
        self.requests.append(Request(headers["idempotency-key"], body, taken))
        self._reach("a whole request")
        if fault == "slow":
            await asyncio.sleep(0.05)
        if answer is None:
            await reader.read()  # until the other side gives up, or dies
            return False
        writer.write(answer[: len(answer) // 2])
        await writer.drain()
        self._reach("half an answer")
        writer.write(answer[len(answer) // 2 :])
        await writer.drain()
        self._reach("a whole answer")
        return answer.endswith((b"ok", b"\r\n\r\n")) and answer[:4] == b"HTTP"
