"""
What changes on an open page, told as it happens (server-sent events).

A page is made of parts. They are drawn once a look for all who watch the page, and who watches is
sent the parts that differ from those he has: each part knows with which drawing it last changed. So
nothing is ever queued for anybody: who takes long gets what changed meanwhile in one message, and
who takes nothing for too long is let go. While nobody watches nothing is drawn.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from watchdog.report import Snapshot, to_json
from watchdog.units import EPOCH
from watchdog.web.server import ENDING

log = structlog.get_logger()

MOST_LISTENERS = 32
KEPT_BOARDS = 64
"""So many pages are remembered that somebody looked at."""
TOO_MANY = f"{MOST_LISTENERS} pages are open already (close one; this one works without, load it anew)"


@dataclass(frozen=True, slots=True)
class Pace:
    """
    How fast things go, in seconds.

    Every *glance* it is seen whether there was a new look. After *quiet* without news it is said that
    there are none, so that a page knows that it is current. A message must be taken within *patience*.
    """

    glance: float = 0.25
    quiet: float = 15.0
    patience: float = 30.0


PACE = Pace()


@dataclass(frozen=True, slots=True)
class Parts:
    """
    A page in parts: *html* by the id of the element that each is, *lists* the parts of a list in order.

    What is in a list is added, moved and taken away as the list says.
    """

    html: Mapping[str, str]
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)


Draw = Callable[[datetime], Parts]


class Lately(Protocol):
    """Who knows when it was looked last."""

    def fresh(self, now: datetime) -> bool:
        """Say whether that was lately."""


class Watched(Protocol):
    """What the pages need of the sidecar to tell what is new."""

    @property
    def latest(self) -> Snapshot | None:
        """Return what was seen last."""

    @property
    def fitness(self) -> Lately:
        """Return who knows when it looked."""

    def clock(self) -> datetime:
        """Return the time."""


class Board:
    """One page as it was drawn last, and with which drawing each of its parts changed."""

    def __init__(self, draw: Draw, boot: str) -> None:
        """Draw it with *draw*; *boot* tells this process from others."""
        self.parts = Parts({})
        self.version = 0
        self.listeners = 0
        self._draw = draw
        self._boot = boot
        self._seen: object = None
        self._drawn_at = EPOCH
        self._changed: dict[str, int] = {}
        self._said: tuple[int, int, str] = (-1, -1, "")

    @property
    def mark(self) -> str:
        """Return up to where somebody has heard who has all of it: the process and the drawing."""
        return f"{self._boot}-{self.version}"

    def heard(self, mark: str) -> int | None:
        """Return which drawing *mark* names; None if it is not one of ours."""
        boot, _, version = mark.rpartition("-")
        known = boot == self._boot and version.isascii() and version.isdigit()
        return int(version) if known and int(version) <= self.version else None

    def look(self, sidecar: Watched, now: datetime) -> None:
        """Draw anew if there was a look since, or it became clear that there is none."""
        seen = (sidecar.latest, sidecar.fitness.fresh(now))
        if self._seen != seen:
            self.draw(now)
            self._seen = seen

    def draw(self, now: datetime) -> None:
        """Draw anew, and note what changed."""
        before, self.parts, self._drawn_at = self.parts, self._draw(now), now
        html, lists = self.parts.html, self.parts.lists
        changed = [id_ for id_, text in html.items() if before.html.get(id_) != text]
        changed += [id_ for id_, order in lists.items() if before.lists.get(id_) != order]
        if changed:
            self.version += 1
            self._changed |= dict.fromkeys(changed, self.version)
            self._changed = {id_: n for id_, n in self._changed.items() if id_ in html or id_ in lists}

    def since(self, version: int) -> str:
        """Return as JSON what changed after *version*; all who are at one version share the text."""
        if self._said[:2] != (version, self.version):
            new = {id_ for id_, changed in self._changed.items() if changed > version}
            body = {
                "now": int(self._drawn_at.timestamp()),
                "html": {id_: html for id_, html in self.parts.html.items() if id_ in new},
                "lists": {id_: list(order) for id_, order in self.parts.lists.items() if id_ in new},
            }
            self._said = (version, self.version, to_json(body))
        return self._said[2]


class Live:
    """All pages that somebody looks at."""

    def __init__(self, sidecar: Watched, pace: Pace = PACE) -> None:
        """Show what *sidecar* sees; nobody looks yet."""
        self.sidecar = sidecar
        self.pace = pace
        self.listeners = 0
        self._boards: OrderedDict[str, Board] = OrderedDict()
        self._boot = f"{int(sidecar.clock().timestamp() * 1000):x}"

    def board(self, address: str, draw: Draw) -> Board:
        """Return the page at *address* as it is now, drawn by *draw*."""
        board = self._boards.pop(address, None) or Board(draw, self._boot)
        self._boards[address] = board
        for other in [other for other, found in self._boards.items() if not found.listeners]:
            if len(self._boards) > KEPT_BOARDS and other != address:
                del self._boards[other]
        board.look(self.sidecar, self.sidecar.clock())
        return board

    def routes(self) -> list[Route]:
        """Return the route at which one listens."""

        async def listen(request: Request) -> Response:
            if self.listeners >= MOST_LISTENERS:
                raise HTTPException(503, TOO_MANY)
            heard = request.headers.get("last-event-id") or request.query_params.get("seen", "")
            return Listening(self, self._boards.get(request.query_params.get("page", "")), heard)

        return [Route("/live", listen)]


def event(name: str, body: str, mark: str = "") -> bytes:
    """Return one event as it goes over the wire; JSON has no ends of lines."""
    return (f"event: {name}\n" + (f"id: {mark}\n" if mark else "") + f"data: {body}\n\n").encode()


class Listening(Response):
    """The answer that goes on until the page is closed, the server stops or nobody takes it."""

    media_type = "text/event-stream"

    def __init__(self, live: Live, board: Board | None, heard: str) -> None:
        super().__init__(headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._live = live
        self._board = board
        self._heard = heard
        self._quiet_until = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what changes, as it changes."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        board = self._board
        version = board.heard(self._heard) if board is not None else None
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
        elif board is None or version is None:  # another process drew that page, or it was long ago
            await send({"type": "http.response.body", "body": event("reload", "{}")})
        else:
            await self._serve(board, version, scope.get(ENDING), receive, send)

    async def _serve(
        self, board: Board, version: int, ending: asyncio.Event | None, receive: Receive, send: Send
    ) -> None:
        left = asyncio.ensure_future(_left(receive))
        board.listeners += 1
        self._live.listeners += 1
        try:
            while not left.done() and (ending is None or not ending.is_set()):
                version = await self._tell(board, version, send)
                await asyncio.wait({left}, timeout=self._live.pace.glance)
            await asyncio.wait_for(send({"type": "http.response.body", "body": b""}), self._live.pace.glance)
        except TimeoutError:
            log.info(
                "page_let_go", after=self._live.pace.patience
            )  # it takes nothing: the server closes the connection
        finally:
            left.cancel()
            board.listeners -= 1
            self._live.listeners -= 1

    async def _tell(self, board: Board, version: int, send: Send) -> int:
        """Send what changed after *version*, or now and then that nothing did; return what is known then."""
        sidecar, loop = self._live.sidecar, asyncio.get_running_loop()
        now = sidecar.clock()
        board.look(sidecar, now)
        if board.version == version and loop.time() < self._quiet_until:
            return version
        body = board.since(version) if board.version != version else f'{{"now": {now.timestamp():.0f}}}'
        name = "parts" if board.version != version else "same"
        message = {"type": "http.response.body", "body": event(name, body, board.mark), "more_body": True}
        version = board.version  # while it is sent there may come more
        await asyncio.wait_for(send(message), self._live.pace.patience)
        self._quiet_until = loop.time() + self._live.pace.quiet
        return version


async def _left(receive: Receive) -> None:
    """Return once the page was closed."""
    while (await receive())["type"] != "http.disconnect":
        pass
