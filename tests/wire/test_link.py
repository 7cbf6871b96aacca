"""One connection: every answer finds its question, or there is none and the next question starts afresh."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from watchdog.demo.server import HOST
from watchdog.errors import SourceDownError
from watchdog.signals.base import Refused
from watchdog.wire import Batch, Wire, open_wire
from watchdog.wire.link import LARGEST_REPLY

GREETED = b"+OK\r\n+PONG\r\n"
GET = Batch([("GET", "a"), ("XINFO", "STREAM", "s"), ("LRANGE", "l", 0, -1), ("GET", "none")])
ANSWER = b"$4\r\na\r\nb\r\n-ERR no such key\r\n*3\r\n:1\r\n-NOPERM nested\r\n*2\r\n$1\r\nx\r\n*0\r\n$-1\r\n"
MEANT = [b"a\r\nb", "ERR no such key", [1, "NOPERM nested", [b"x", []]], None]
ONE = Batch([("GET", "one")])
TWO = Batch([("GET", "two")])

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def speaking(*talks: Talk, timeout: float = 5.0) -> AsyncIterator[Wire]:
    """Greet every connection and then talk to each as told; yield a wire to it."""
    waiting = list(talks)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"PING\r\n")
        writer.write(GREETED)
        await waiting.pop(0)(reader, writer)
        while await reader.read(65536):
            pass
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        wire = open_wire(f"redis://{HOST}:{server.sockets[0].getsockname()[1]}/0", timeout)
        yield wire
        await wire.close()


def says(answer: bytes, step: int = 1 << 20) -> Talk:
    """Return a talk that answers the first question with *answer*, *step* bytes at a time."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        for at in range(0, len(answer), step):
            writer.write(answer[at : at + step])
            await writer.drain()
            await asyncio.sleep(0)

    return talk


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Break off in the middle of an answer."""
    await reader.read(65536)
    writer.write(ANSWER[:9])
    await writer.drain()
    writer.transport.abort()


# ---- in order ----------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
async def test_however_the_answer_is_cut(step: int) -> None:
    """Line ends in values, errors inside of lists and NULL come out as they went in."""
    async with speaking(says(ANSWER, step)) as wire:
        replies = await wire.ask(GET)
    assert replies == MEANT
    assert [type(replies[1]), type(replies[2][1])] == [Refused, Refused]


async def test_nothing_asked() -> None:
    """An empty batch is answered without a connection."""
    async with speaking() as wire:
        assert await wire.ask(Batch([])) == []


async def test_two_batches_under_way() -> None:
    """The second is sent before the first is answered, and each gets its own."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"two\r\n")  # both are here, none is answered
        writer.write(b"$1\r\n1\r\n$1\r\n2")
        await writer.drain()
        writer.write(b"\r\n")

    async with speaking(talk) as wire:
        assert list(await asyncio.gather(wire.ask(ONE), wire.ask(TWO))) == [[b"1"], [b"2"]]


async def test_a_long_answer_lets_others_have_their_turn() -> None:
    """While 20 MB are read, another task is on dozens of times."""
    turns = 0

    async def another() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    many = Batch([("GET", "k")] * 20_000)
    async with speaking(says((b"$1000\r\n" + b"x" * 1000 + b"\r\n") * 20_000)) as wire:
        other = asyncio.create_task(another())
        replies = await wire.ask(many)
        other.cancel()
    assert len(replies) == 20_000
    assert turns > 40


# ---- no answer, and none for the next ----------------------------------------------------------

BROKEN = {
    "half an answer": (says(b"$5\r\nhal"), "does not answer in time"),
    "no answer": (says(b""), "does not answer in time"),
    "it hangs up in the middle": (hangs_up, "closes the connection"),
    "another protocol": (says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "does not speak Redis' protocol"),
    "it loads": (says(b"-LOADING Redis is loading\r\n"), "refuses: LOADING Redis is loading"),
    "its master is away": (says(b"-MASTERDOWN Link with MASTER is down\r\n"), "refuses: MASTERDOWN Link"),
    "a script runs": (says(b"-BUSY Redis is busy running a script.\r\n"), "refuses: BUSY Redis is busy"),
    "the login is taken back": (says(b"-NOAUTH Authentication required.\r\n"), "refuses: NOAUTH"),
    "too much": (says(b"$99999999\r\n" + bytes(LARGEST_REPLY + 1)), "sends an answer of more than 64 MiB"),
}


@pytest.mark.parametrize(("broken", "why"), BROKEN.values(), ids=BROKEN)
async def test_no_answer_is_told_and_the_next_question_gets_its_own(broken: Talk, why: str) -> None:
    """One sentence with the place; the connection is not used again."""
    async with speaking(broken, says(b"$4\r\nmine\r\n"), timeout=0.3) as wire:
        with pytest.raises(SourceDownError) as told:
            await wire.ask(ONE)
        assert str(told.value).startswith(f"Redis at {wire.place} {why}")
        assert await wire.ask(TWO) == [b"mine"]


async def test_more_than_was_asked() -> None:
    """What nobody asked for answers nobody."""
    async with speaking(says(b"$1\r\n1\r\n$5\r\nextra\r\n"), says(b"$4\r\nmine\r\n")) as wire:
        assert await wire.ask(ONE) == [b"1"]
        assert await wire.ask(TWO) == [b"mine"]


async def test_a_late_answer_is_nobodys() -> None:
    """What comes after the time-out does not answer the next question."""
    late = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        await late.wait()
        writer.write(b"$5\r\nstale\r\n")

    async with speaking(talk, says(b"$5\r\nfresh\r\n"), timeout=0.1) as wire:
        with pytest.raises(SourceDownError, match="does not answer in time"):
            await wire.ask(ONE)
        late.set()
        assert await wire.ask(TWO) == [b"fresh"]


async def test_a_question_given_up_leaves_no_answer_behind() -> None:
    """Cancelled while it is out: the next one has a connection of its own."""
    asked, answered = asyncio.Event(), asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        asked.set()
        await answered.wait()
        writer.write(b"$5\r\nstale\r\n")

    async with speaking(talk, says(b"$5\r\nfresh\r\n")) as wire:
        task = asyncio.create_task(wire.ask(ONE))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        answered.set()
        assert await wire.ask(TWO) == [b"fresh"]


async def test_both_batches_under_way_fail_together() -> None:
    """Neither waits for an answer that cannot come."""
    async with speaking(hangs_up) as wire:
        found = await asyncio.gather(wire.ask(GET), wire.ask(TWO), return_exceptions=True)
    assert [type(one) for one in found] == [SourceDownError] * 2


async def test_an_answer_in_drops_is_not_waited_for_for_ever() -> None:
    """A byte now and then keeps nobody waiting for longer than three time-outs."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(b"$9999\r\n")
        gone = asyncio.ensure_future(reader.read())
        while not gone.done():
            writer.write(b"x")
            await asyncio.wait([gone], timeout=0.02)

    async with speaking(drip, timeout=0.1) as wire:
        async with asyncio.timeout(3):
            with pytest.raises(SourceDownError, match="does not answer in time"):
                await wire.ask(ONE)


async def test_closed_between_two_questions() -> None:
    """A server that came back meanwhile is not away: there is a new connection before the question."""
    hung_up = asyncio.Event()

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(b"$1\r\n1\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        hung_up.set()

    async with speaking(once, says(b"$1\r\n2\r\n")) as wire:
        assert await wire.ask(ONE) == [b"1"]
        await hung_up.wait()
        await asyncio.sleep(0)
        assert await wire.ask(TWO) == [b"2"]
