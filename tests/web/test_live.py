"""What changes on an open page: told once to all who watch, only where it changed, and never kept for who is slow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from starlette.types import Message

from tests.drawn import T0
from tests.web.conftest import Ask, Desk
from watchdog.web.app import build_app
from watchdog.web.pages.live import MOST_LISTENERS, Board, Listening, Live, Pace, Parts
from watchdog.web.server import ENDING, WebServer, bind

QUICK = Pace(glance=0.005, quiet=60, patience=0.05)


@dataclass
class Sights:
    """A sidecar that has seen what it is told, and counts how often that was drawn."""

    latest: Any = "first"
    alive: bool = True
    drawn: int = 0
    shown: dict[str, str] = field(default_factory=lambda: {"a": "<p id=a>1</p>", "b": "<p id=b>1</p>"})
    order: list[str] = field(default_factory=lambda: ["a", "b"])

    def clock(self) -> datetime:
        """Return a time that stands still."""
        return T0

    @property
    def fitness(self) -> Sights:
        """Return who knows when it looked."""
        return self

    def fresh(self, now: datetime) -> bool:
        """Say whether it looks."""
        return self.alive

    def draw(self, now: datetime) -> Parts:
        """Draw what is shown."""
        self.drawn += 1
        return Parts(dict(self.shown), {"list": list(self.order)})

    def see(self, **shown: str) -> None:
        """Have a look in which some parts are other ones."""
        self.shown |= {id_: f"<p id={id_}>{text}</p>" for id_, text in shown.items()}
        self.latest = object()


@dataclass
class Reader:
    """Somebody who has a page open: what came, and whether the page was closed or takes nothing more."""

    came: list[bytes] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    takes: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False

    async def receive(self) -> Message:
        """Wait until the page is closed."""
        await self.closed.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a message, unless nothing is taken."""
        await self.takes.wait()
        if message["type"] == "http.response.body":
            self.ended = not message.get("more_body", False)
            if message["body"]:
                self.came.append(message["body"])
                self.news.set()

    async def hear(self) -> dict[str, Any]:
        """Return what the next event holds."""
        await asyncio.wait_for(self.news.wait(), 5)
        self.news.clear()
        return told(self.came[-1])


def told(event: bytes) -> dict[str, Any]:
    """Return name, id and body of one event."""
    assert event.endswith(b"\n\n")
    fields = dict(line.split(": ", 1) for line in event.decode().strip().split("\n"))
    return {**fields, "data": json.loads(fields["data"])}


Opening = Callable[..., Awaitable[tuple[Reader, asyncio.Task[None]]]]


@pytest.fixture
async def opening() -> AsyncIterator[Opening]:
    """Open pages, and close them in the end."""
    tasks = []

    async def opened(
        live: Live, heard: str = "", *, takes: bool = True, ending: asyncio.Event | None = None
    ) -> tuple[Reader, asyncio.Task[None]]:
        reader = Reader()
        reader.takes.set()
        board = live._boards.get("/")
        answer = Listening(live, board, heard or (board.mark if board else ""))
        scope = {"type": "http", "method": "GET", ENDING: ending}
        listens = asyncio.create_task(answer(scope, reader.receive, reader.send))
        tasks.append(listens)
        await reader.hear()
        if not takes:
            reader.takes.clear()
        return reader, listens

    yield opened
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# ---- the board ---------------------------------------------------------------------------------


def test_only_parts_that_changed_are_told() -> None:
    """To each who listens from where he was: who missed one hears of both at once."""
    sights = Sights()
    board = Board(sights.draw, "boot")
    board.look(sights, T0)
    first = board.version
    sights.see(a="2")
    board.look(sights, T0)
    second = board.version
    sights.see(b="2")
    sights.order = ["b", "a"]
    board.look(sights, T0)
    assert set(json.loads(board.since(second))["html"]) == {"b"}
    assert json.loads(board.since(first))["html"] == {"a": "<p id=a>2</p>", "b": "<p id=b>2</p>"}
    assert json.loads(board.since(first))["lists"] == {"list": ["b", "a"]}


def test_what_shows_the_same_is_no_news() -> None:
    """A look that brought nothing else draws, and tells nothing; without a look nothing is drawn."""
    sights = Sights()
    board = Board(sights.draw, "boot")
    board.look(sights, T0)
    before = board.mark
    board.look(sights, T0)
    assert sights.drawn == 1
    sights.see()
    board.look(sights, T0)
    assert (sights.drawn, board.mark) == (2, before)
    sights.alive = False
    board.look(sights, T0)
    assert sights.drawn == 3


def test_all_at_one_place_share_one_text() -> None:
    """It is made once."""
    sights = Sights()
    board = Board(sights.draw, "boot")
    board.look(sights, T0)
    sights.see(a="2")
    board.look(sights, T0)
    assert board.since(1) is board.since(1)


MARKS = {"ours": ("boot-1", 1), "another process": ("other-1", None), "ahead": ("boot-2", None)}
MARKS |= {
    "empty": ("", None),
    "no number": ("boot-x", None),
    "negative": ("boot--1", None),
    "odd": ("boot-²", None),
}


@pytest.mark.parametrize(("mark", "version"), MARKS.values(), ids=MARKS)
def test_a_mark_that_is_not_ours_is_none(mark: str, version: int | None) -> None:
    """Such a page is loaded anew."""
    sights = Sights()
    board = Board(sights.draw, "boot")
    board.look(sights, T0)
    assert board.heard(mark) == version


def test_boards_that_nobody_watches_are_forgotten() -> None:
    """However many pages were looked at once."""
    live = Live(Sights())
    for n in range(300):
        live.board(f"/services/{n}", Sights().draw)
    assert len(live._boards) == 64
    assert "/services/299" in live._boards


# ---- listening ---------------------------------------------------------------------------------


async def test_two_who_watch_get_the_same(opening: Opening) -> None:
    """And it is drawn once for both."""
    sights = Sights()
    live = Live(sights, QUICK)
    live.board("/", sights.draw)
    (one, _), (two, _) = await opening(live), await opening(live)
    sights.see(a="2")
    assert await one.hear() == await two.hear()
    assert one.came[-1] is not two.came[-1] or one.came[-1] == two.came[-1]
    assert told(one.came[-1])["event"] == "parts"
    assert set(told(one.came[-1])["data"]["html"]) == {"a"}
    assert sights.drawn == 2


async def test_who_comes_back_hears_what_he_missed(opening: Opening) -> None:
    """From the mark he had."""
    sights = Sights()
    live = Live(sights, QUICK)
    had = live.board("/", sights.draw).mark
    sights.see(b="2")
    live.board("/", sights.draw)
    reader, _ = await opening(live, had)
    event = told(reader.came[0])
    assert (event["event"], set(event["data"]["html"])) == ("parts", {"b"})
    assert event["id"] == live._boards["/"].mark


async def test_a_page_of_another_process_is_loaded_anew(opening: Opening) -> None:
    """And the answer ends."""
    sights = Sights()
    live = Live(sights, QUICK)
    live.board("/", sights.draw)
    reader, listens = await opening(live, "1234-7")
    await asyncio.wait_for(listens, 5)
    assert (told(reader.came[0])["event"], reader.ended) == ("reload", True)


async def test_while_nothing_changes_only_that_is_said(opening: Opening) -> None:
    """At once, and then each while: a few bytes from which the page knows that it is current."""
    sights = Sights()
    live = Live(sights, Pace(glance=0.001, quiet=0.01, patience=1))
    live.board("/", sights.draw)
    reader, _ = await opening(live)
    for _ in range(3):
        await reader.hear()
    assert {told(event)["event"] for event in reader.came} == {"same"}
    assert max(map(len, reader.came)) < 100
    assert sights.drawn == 1


async def test_who_takes_nothing_is_let_go_and_nothing_is_kept_for_him(opening: Opening) -> None:
    """Others are told all the while."""
    sights = Sights()
    live = Live(sights, QUICK)
    live.board("/", sights.draw)
    slow, listens = await opening(live, takes=False)
    quick, _ = await opening(live)
    for n in range(2, 5):
        sights.see(a=str(n))
        await quick.hear()
    await asyncio.wait_for(listens, 5)
    assert len(slow.came) == 1
    assert (live.listeners, live._boards["/"].listeners) == (1, 1)


async def test_a_closed_page_costs_nothing_any_more(opening: Opening) -> None:
    """Nothing is drawn while nobody watches."""
    sights = Sights()
    live = Live(sights, QUICK)
    live.board("/", sights.draw)
    reader, listens = await opening(live)
    reader.closed.set()
    await asyncio.wait_for(listens, 5)
    sights.see(a="2")
    assert (live.listeners, sights.drawn) == (0, 1)


async def test_a_stop_ends_it(opening: Opening) -> None:
    """In good order, so that no browser takes it for a failure."""
    sights = Sights()
    live = Live(sights, QUICK)
    live.board("/", sights.draw)
    ending = asyncio.Event()
    reader, listens = await opening(live, ending=ending)
    ending.set()
    await asyncio.wait_for(listens, 5)
    assert reader.ended


# ---- over HTTP ---------------------------------------------------------------------------------


@pytest.fixture
async def served(desk: Desk) -> AsyncIterator[tuple[WebServer, int]]:
    """The sidecar over real connections, after a look."""
    desk.log("worker", "works")
    desk.log("shop", "works")
    await desk.tick()
    listener = bind("127.0.0.1", 0)
    listener.listen()  # whoever connects before it serves waits
    web = WebServer(build_app(desk.sidecar), listener)
    web.start()
    yield web, listener.getsockname()[1]
    await web.stop()


async def test_too_many_are_told_so_and_a_stop_ends_them_all(served: tuple[WebServer, int]) -> None:
    """With what to do; the server does not wait for pages that are open."""
    web, port = served
    mark = await mark_of(port)
    streams = [await listen(port, mark) for _ in range(MOST_LISTENERS)]
    refused = await get(port, f"/live?page=/&seen={mark}")
    assert b" 503 " in refused.partition(b"\r\n")[0]
    assert b"pages are open already" in refused
    began = asyncio.get_running_loop().time()
    await web.stop()
    assert asyncio.get_running_loop().time() - began < 1
    for reader, writer in streams:
        await asyncio.wait_for(reader.read(), 5)
        writer.close()


async def mark_of(port: int) -> str:
    """Return up to where the page has heard that is loaded now."""
    return (await get(port, "/")).partition(b'data-seen="')[2].partition(b'"')[0].decode()


async def get(port: int, path: str) -> bytes:
    """Return a whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


async def listen(port: int, mark: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Listen, and return once the first event has come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /live?page=/&seen={mark} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert b"text/event-stream" in head
    await asyncio.wait_for(reader.readuntil(b"event: same"), 10)
    return reader, writer


async def test_head_of_the_stream_ends(ask: Ask, desk: Desk) -> None:
    """Nobody waits for what has no end."""
    await desk.tick()
    answer = await ask("HEAD", "/live?page=/")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["cache-control"] == "no-store"


async def test_an_open_page_hears_of_the_next_look(desk: Desk, served: tuple[WebServer, int]) -> None:
    """The whole way: what changed is sent, and nothing else; ages are for the browser to count."""
    port = served[1]
    reader, writer = await listen(port, await mark_of(port))
    desk.log("worker", "breaks", "ERROR")
    while not (loud := [alert for alert in desk.sidecar.alerts.values() if alert.name == "Loud"]):
        await desk.tick()  # on a busy machine a look may come after its tick
    alert = f"alert-{loud[0].labels.fingerprint}"
    body: dict[str, Any] = {"html": {}}
    while alert not in body["html"]:
        await asyncio.wait_for(reader.readuntil(b"event: parts"), 10)
        line = await asyncio.wait_for(reader.readuntil(b"\n\n"), 10)
        body = json.loads(line.partition(b"data: ")[2])
    assert "worker is loud" in body["html"][alert]
    assert alert in body["lists"]["alerts"]
    assert "service-shop" not in body["html"]
    assert '"></time>' in body["html"][alert]
    writer.close()
