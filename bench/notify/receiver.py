"""
The receiver: takes whatever is posted, as fast as Python can, and notes when.

It is the same for both sides. Bodies are kept as they came and read only once somebody asks.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.notify.child import BenchError, Child, running, serve
from watchdog.demo.server import HOST, free_port

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
ONE_ALERT = b'"fingerprint":'
PATIENCE = 180.0


@dataclass(frozen=True, slots=True)
class Told:
    """
    What came at one path.

    *alerts* counts each beginning and each end once, *entries* every time it was told. *first_at*
    and *last_at* (`time.perf_counter`) are the messages that brought the first and the last news.
    """

    messages: int = 0
    alerts: int = 0
    entries: int = 0
    first_at: float = float("inf")
    last_at: float = float("-inf")


@dataclass(slots=True)
class Tally:
    """Counts what came at one path, in the webhook's form that both sides use."""

    told: Told = field(default_factory=Told)
    seen: set[tuple[str, ...]] = field(default_factory=set)

    def add(self, messages: Iterable[tuple[float, bytes]]) -> None:
        """Count *messages*: when each came, and its body."""
        for at, body in messages:
            alerts = json.loads(body)["alerts"]
            news = {(a["fingerprint"], a["status"], a["startsAt"]) for a in alerts} - self.seen
            self.seen |= news
            told = self.told
            self.told = Told(
                told.messages + 1,
                len(self.seen),
                told.entries + len(alerts),
                min(told.first_at, at) if news else told.first_at,
                at if news else told.last_at,
            )


# ---- seen from the benchmark -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Receiver:
    """The running receiver; each path is a receiver of its own."""

    child: Child
    ports: tuple[int, int]

    def url(self, path: str, port: int = 0) -> str:
        """Return the address of *path* at one of the two ports."""
        return f"http://{HOST}:{self.ports[port]}{path}"

    def wait(self, wanted: Mapping[str, int], within: float = PATIENCE) -> dict[str, Told]:
        """Return what came at each path, once so many alerts did; BenchError if they do not come."""
        answer = self.child.ask("wait", wanted=wanted, within=within)
        told = {path: Told(**found) for path, found in answer.items()}
        for path, number in wanted.items():
            if told[path].alerts != number:
                raise BenchError(
                    f"{path} was told {told[path].alerts} beginnings and ends instead of {number}"
                )
        return told

    def clear(self) -> None:
        """Forget what came."""
        self.child.ask("clear")

    def fail(self) -> None:
        """From now on the second port refuses connections, and paths that end in ``/503`` answer that."""
        self.child.ask("fail")

    def recover(self) -> float:
        """Take everything again; return since when."""
        return float(self.child.ask("recover")["at"])


@contextmanager
def running_receiver(directory: Path) -> Iterator[Receiver]:
    """Run a receiver as long as the block lasts."""
    with running("receiver", log=directory / "receiver.log") as child:
        first, second = child.ask("ports")["ports"]
        yield Receiver(child, (first, second))


# ---- the process -------------------------------------------------------------------------------


class Desk:
    """What all connections share."""

    def __init__(self) -> None:
        self.ports = (free_port(), free_port())
        self.failing = False
        self.came: dict[str, list[tuple[float, bytes]]] = {}
        self.rough: dict[str, int] = {}
        self.tallies: dict[str, Tally] = {}
        self.news = asyncio.Event()
        self.open: set[asyncio.BaseTransport] = set()

    async def start(self) -> None:
        """Listen at both ports."""
        loop = asyncio.get_running_loop()
        await loop.create_server(lambda: Connection(self, set()), HOST, self.ports[0])
        await self._listen()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self.second = await loop.create_server(lambda: Connection(self, self.open), HOST, self.ports[1])

    def take(self, path: str, body: bytes) -> bytes:
        """Note a message and return the answer to it."""
        if self.failing and path.endswith("/503"):
            return UNAVAILABLE
        self.came.setdefault(path, []).append((time.perf_counter(), body))
        self.rough[path] = self.rough.get(path, 0) + body.count(ONE_ALERT)
        self.news.set()
        return OK

    async def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Do what the benchmark asks for."""
        match question["do"]:
            case "ports":
                return {"ports": self.ports}
            case "wait":
                return await self.wait(question["wanted"], question["within"])
            case "clear":
                for kept in (self.came, self.rough, self.tallies):
                    kept.clear()
            case "fail":
                self.failing = True
                self.second.close()
                for transport in list(self.open):
                    transport.abort()  # type: ignore[attr-defined]
            case "recover":
                await self._listen()
                self.failing = False
                return {"at": time.perf_counter()}
        return {}

    async def wait(self, wanted: Mapping[str, int], within: float) -> dict[str, Any]:
        """Return what was told once it is as much as *wanted*, or *within* so many seconds."""
        try:
            async with asyncio.timeout(within):
                while not all(self.enough(path, number) for path, number in wanted.items()):
                    self.news.clear()
                    await self.news.wait()
        except TimeoutError:
            pass
        return {path: asdict(self.tally(path).told) for path in wanted}

    def enough(self, path: str, number: int) -> bool:
        """Say whether *path* was told *number* beginnings and ends."""
        return self.rough.get(path, 0) >= number and self.tally(path).told.alerts >= number

    def tally(self, path: str) -> Tally:
        """Return the count of what came at *path*."""
        found = self.tallies.setdefault(path, Tally())
        found.add(self.came.pop(path, ()))
        return found


class Connection(asyncio.Protocol):
    """Just enough HTTP for two well-behaved clients: a request has a length, and follows an answer."""

    def __init__(self, desk: Desk, among: set[asyncio.BaseTransport]) -> None:
        self.desk = desk
        self.among = among
        self.buffer = bytearray()
        self.whole = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.among.add(transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        """End."""
        self.among.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        """Take what came, and answer once the request is whole."""
        self.buffer += data
        if not self.whole:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self.buffer[:end]).lower()
            _, _, length = head.partition(b"\r\ncontent-length:")
            self.body, self.whole = end + 4, end + 4 + int(length.split(b"\r\n", 1)[0])
        if len(self.buffer) < self.whole:
            return
        path = bytes(self.buffer[: self.body]).split(b" ", 2)[1].decode()
        self.transport.write(self.desk.take(path, bytes(self.buffer[self.body : self.whole])))
        del self.buffer[: self.whole]
        self.whole = 0


async def main() -> None:
    """Receive until the benchmark ends."""
    desk = Desk()
    await desk.start()
    await serve(desk.answer)


if __name__ == "__main__":
    asyncio.run(main())
