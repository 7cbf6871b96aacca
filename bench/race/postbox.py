"""The receiver: one for all sides, each at a path of its own; it notes when a page had come whole."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from bench.notify.receiver import OK, Connection, Desk
from watchdog.demo.server import HOST

ALERT = "PendingTooMany"
"""What the one alert is called that counts."""


def fired(body: bytes) -> list[str]:
    """Return the streams of which *body*, in the webhook's form that both sides use, says that they fire."""
    alerts = json.loads(body)["alerts"]
    named = [a["labels"] for a in alerts if a["status"] == "firing" and a["labels"]["alertname"] == ALERT]
    return [labels["stream"] for labels in named]


class Postbox(Desk):
    """What came: at which path, of which stream, and when first (`time.perf_counter`)."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: dict[str, dict[str, float]] = {}
        self.came_one = threading.Condition()

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: Connection(self, set()), HOST, self.ports[0])

    def take(self, path: str, body: bytes) -> bytes:
        """Note whose page came, and return the answer to it."""
        at = time.perf_counter()
        with self.came_one:
            for stream in fired(body):
                self.pages.setdefault(path, {}).setdefault(stream, at)
            self.came_one.notify_all()
        return OK

    def url(self, path: str) -> str:
        """Return the address of *path*."""
        return f"http://{HOST}:{self.ports[0]}{path}"

    def wait_for(self, paths: Collection[str], streams: Collection[str], within: float) -> bool:
        """Return True once each of *paths* was told of all *streams*, False after so many seconds."""

        def complete() -> bool:
            return all(self.pages.get(path, {}).keys() >= set(streams) for path in paths)

        with self.came_one:
            return self.came_one.wait_for(complete, within)

    def forget(self, stream: str) -> None:
        """Forget what came about *stream*."""
        with self.came_one:
            for pages in self.pages.values():
                pages.pop(stream, None)

    def arrivals(self, path: str) -> Mapping[str, float]:
        """Return when each stream's page came at *path*."""
        with self.came_one:
            return dict(self.pages.get(path, {}))


@contextmanager
def running_postbox() -> Iterator[Postbox]:
    """Receive as long as the block lasts, in a thread."""
    box, loop = Postbox(), asyncio.new_event_loop()
    loop.run_until_complete(box.start())
    thread = threading.Thread(target=loop.run_forever, name="postbox")
    thread.start()
    try:
        yield box
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        box.server.close()
        loop.close()
