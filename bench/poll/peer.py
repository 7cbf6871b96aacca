"""Debian's redis_exporter, told to look at all streams, and what its exposition says of them."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from bench.notify.child import BenchError
from bench.poll.process import cpu_of
from bench.poll.streams import PATTERN
from watchdog.demo.server import HOST, free_port, tethered

PROGRAM = "prometheus-redis-exporter"
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
Series = tuple[str, frozenset[tuple[str, str]]]
"""Name and labels."""


@dataclass(frozen=True, slots=True)
class Scraped:
    """What one scrape brought, and what it took in seconds."""

    wall: float
    cpu: float
    body: bytes


@dataclass(frozen=True, slots=True)
class Exporter:
    """The running redis_exporter."""

    pid: int
    url: str
    streams: int

    def scrape(self) -> Scraped:
        """Scrape once; BenchError unless it tells of all streams."""
        found = scrape(self.url, self.pid)
        seen = found.body.count(b"\nredis_stream_length{")
        if seen != self.streams:
            raise BenchError(f"redis_exporter told of {seen} streams instead of {self.streams}")
        return found


def scrape(url: str, pid: int) -> Scraped:
    """Ask *url*, which process *pid* answers."""
    began, cpu = time.perf_counter(), cpu_of(pid)
    with urllib.request.urlopen(url, timeout=300) as answer:
        body = answer.read()
    return Scraped(time.perf_counter() - began, cpu_of(pid) - cpu, body)


@contextmanager
def running_exporter(url: str, streams: int) -> Iterator[Exporter]:
    """Run redis_exporter as long as the block lasts; it looks at the Redis at *url*."""
    if shutil.which(PROGRAM) is None:
        raise BenchError(f"{PROGRAM} is needed (apt-get install {PROGRAM})")
    port = free_port()
    argv = [
        PROGRAM,
        *("-redis.addr", url),
        *("-web.listen-address", f"{HOST}:{port}"),
        *("-check-streams", f"db0={PATTERN}"),
    ]
    process = subprocess.Popen(tethered(argv), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(f"http://{HOST}:{port}/", process)
        yield Exporter(process.pid, f"http://{HOST}:{port}/metrics", streams)
    finally:
        process.terminate()
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except urllib.error.HTTPError:
            return
        except OSError as exc:
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"{PROGRAM} does not start: {exc}") from exc
            time.sleep(0.02)
        else:
            return


# ---- what an exposition says of streams --------------------------------------------------------

OF_THE_CLOCK = frozenset({"redis_stream_group_consumer_idle_seconds"})
"""What is another number at every look."""


def series(body: bytes) -> dict[Series, float]:
    """Return every series about streams in *body*, with its number."""
    found: dict[Series, float] = {}
    for line in body.decode().splitlines():
        if line.startswith("redis_stream_"):
            name, _, rest = line.partition("{")
            labels, _, number = rest.rpartition("} ")
            found[name, frozenset(LABEL.findall(labels))] = float(number)
    return found


def compare(theirs: Mapping[Series, float], ours: Mapping[Series, float]) -> int:
    """Return how many series there are; BenchError if we lack one of *theirs* or say another number."""
    lacking = theirs.keys() - ours.keys()
    if lacking:
        name, labels = min(lacking, key=str)
        raise BenchError(f"/metrics lacks {len(lacking)} of {len(theirs)} series, as {name}{dict(labels)}")
    for one, number in theirs.items():
        if one[0] not in OF_THE_CLOCK and ours[one] != number:
            raise BenchError(f"{one[0]}{dict(one[1])} is {number} there and {ours[one]} here")
    return len(theirs)
