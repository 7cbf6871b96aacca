"""The three measurements: how soon the page is there, how soon it is seen, and what it costs while open."""

from __future__ import annotations

import http.client
import re
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import sync_playwright

from bench.notify.child import BenchError
from bench.page.served import Ours
from bench.poll.process import cpu_of

HOST = "127.0.0.1"
CHROMIUM = "/usr/bin/chromium"
HTML = {"accept": "text/html"}
PAINT = """() => new Promise((seen) => new PerformanceObserver((list) => {
  for (const entry of list.getEntriesByName("first-contentful-paint")) seen(entry.startTime);
}).observe({type: "paint", buffered: true}))"""


@dataclass(frozen=True, slots=True)
class Load:
    """How soon a page is there, in seconds: its first byte, and all of it; and its *size* in bytes."""

    first: float
    whole: float
    size: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What the sidecar took with *pages* open: CPU as a share of a core, and bytes a page and minute."""

    changing: float
    pages: int
    share: float
    sent: float
    looks: int


def measure_loads(ours: Ours, path: str, times: int) -> list[Load]:
    """Load *path* so often over connections of its own, as a browser does first."""
    return [_load(ours, path) for _ in range(times)]


def _load(ours: Ours, path: str) -> Load:
    connection = http.client.HTTPConnection(HOST, ours.port)
    connection.connect()
    began = time.perf_counter()
    connection.request("GET", path, headers=HTML)
    answer = connection.getresponse()
    first = time.perf_counter() - began
    body = answer.read()
    whole = time.perf_counter() - began
    connection.close()
    if answer.status != 200:
        raise BenchError(f"{path} was answered with {answer.status}")
    return Load(first, whole, len(body))


def measure_paints(ours: Ours, path: str, times: int) -> list[float]:
    """Return after how many seconds chromium first shows something of *path*, in each of so many loads."""
    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        for _ in range(times + 1):  # the first one starts chromium's processes, and does not count
            page.goto(f"http://{HOST}:{ours.port}{path}", wait_until="load")
            found.append(page.evaluate(PAINT) / 1000)
        browser.close()
    return found[1:]


# ---- while it is open --------------------------------------------------------------------------


@dataclass(slots=True)
class Reader:
    """An open page: it reads what comes and counts it."""

    received: int = 0
    looks: int = 0
    ended: threading.Event = field(default_factory=threading.Event)


@contextmanager
def open_page(ours: Ours, path: str) -> Iterator[Reader]:
    """Have *path* open as long as the block lasts."""
    with socket.create_connection((HOST, ours.port)) as plain:
        plain.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nAccept: text/html\r\nConnection: close\r\n\r\n".encode()
        )
        page = b"".join(iter(lambda: plain.recv(65_536), b"")).decode()
    (seen,) = re.findall(r'data-seen="([^"]+)"', page)
    reader = Reader()
    with socket.create_connection((HOST, ours.port)) as live:
        live.sendall(f"GET /live?page={path}&seen={seen} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        thread = threading.Thread(target=_read, args=(live, reader), daemon=True)
        thread.start()
        yield reader
        live.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def _read(live: socket.socket, reader: Reader) -> None:
    while piece := live.recv(65_536):
        reader.received += len(piece)
        reader.looks += piece.count(b"event: ")
    reader.ended.set()


def measure_open(ours: Ours, path: str, changing: float, pages: int, seconds: float) -> Cost:
    """Measure for so many *seconds* what the sidecar takes while *pages* are open."""
    ours.change(changing)
    with ExitStack() as stack:
        readers = [stack.enter_context(open_page(ours, path)) for _ in range(pages)]
        time.sleep(min(6, seconds))  # the first news, with what was not drawn while nobody looked
        before, cpu, began = sum(r.received for r in readers), cpu_of(ours.child.pid), time.monotonic()
        time.sleep(seconds)
        took, passed = cpu_of(ours.child.pid) - cpu, time.monotonic() - began
        sent = sum(r.received for r in readers) - before
        if any(reader.ended.is_set() for reader in readers):
            raise BenchError("an open page was let go")
    each = sent / pages / passed * 60 if pages else 0.0
    return Cost(changing, pages, took / passed, each, sum(r.looks for r in readers))


def middle(numbers: list[float]) -> float:
    """Return the median."""
    return statistics.median(numbers)
