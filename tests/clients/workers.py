"""A library's real workers and producer, on a server whose clock the tests move."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from tests.moved import MovedClock
from tests.nursery import Born, Nursery
from watchdog.demo.server import EmbeddedServer

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Library:
    """
    A library as its users run it: what it calls its stream and group, and how `python -m` runs a worker.

    *loads* is what every worker loads before it comes to the app.
    """

    app: str
    stream: str
    group: str
    worker: Sequence[str]
    loads: Sequence[str]


def until(holds: Callable[[], Any], within: float = 20) -> Any:
    """Return what *holds* returns once it is true."""
    deadline = time.monotonic() + within
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.005)
    return found


@dataclass
class Place:
    """A server on a moved clock, and a producer of the library's own."""

    server: EmbeddedServer
    clock: MovedClock
    directory: Path
    producer: subprocess.Popen[str]
    nursery: Nursery

    def environment(self) -> dict[str, str]:
        """Return what every process here is started with."""
        return {**os.environ, **self.clock.environment, "REDIS_URL": self.server.url, "PYTHONPATH": str(ROOT)}


class Workers:
    """The library's workers and what stands between them and the watchdog: one stream, one group."""

    def __init__(self, library: Library, place: Place, directory: Path) -> None:
        self.library = library
        self.place = place
        self.directory = directory
        self.log = directory / "worker.log"
        self.log.touch()
        self.redis = redis.Redis(port=place.server.port)
        self._running: list[Born] = []

    def start(self, **environment: str) -> None:
        """Start a worker, which takes a new name, and return once it reads."""
        known = self.readers()
        with self.log.open("ab") as log:
            process = self.place.nursery.bear(
                self.library.worker, {**self.place.environment(), **environment}, log, log, self.directory
            )
        self._running.append(process)
        until(lambda: process.poll() is not None or (self.readers() - known and self.own_group()))
        assert process.poll() is None, self.log.read_text()

    def kill(self) -> None:
        """Kill every worker as the kernel would: without a word."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask every worker to end and wait until it has."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        for process in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, how)
        for process in self._running:
            process.wait(20)
        self._running.clear()
        until(lambda: not self.readers())  # or the server would still deliver to who is gone

    def ended(self) -> None:
        """Return once every worker has ended by itself."""
        for process in self._running:
            process.wait(20)
        self._end(signal.SIGKILL)

    def put(self, what: str, count: int = 1) -> None:
        """Have the producer put *count* orders to do *what*."""
        assert self.place.producer.stdin
        assert self.place.producer.stdout
        self.place.producer.stdin.write(f"{what} {count}\n")
        self.place.producer.stdin.flush()
        assert self.place.producer.stdout.readline() == "put\n"

    def state(self) -> tuple[bool, int]:
        """Return whether everything was delivered, and how many entries are pending."""
        info = self.redis.xinfo_stream(self.library.stream)
        group = self.own_group()
        return group["last-delivered-id"] == info["last-generated-id"], group["pending"]

    def own_group(self) -> dict[str, Any]:
        """Return Redis' own row about the group; a library may try to read before it made one."""
        try:
            groups = self.redis.xinfo_groups(self.library.stream)
        except redis.ResponseError:
            return {}
        return next((group for group in groups if group["name"].decode() == self.library.group), {})

    def settle(self, pending: int = 0) -> None:
        """Return once everything was delivered and exactly *pending* entries are left."""
        until(lambda: self.state() == (True, pending))

    def delivered(self, times: int) -> None:
        """Return once the oldest pending entry was delivered so many *times*."""
        stream, group = self.library.stream, self.library.group
        until(lambda: self.redis.xpending_range(stream, group, "-", "+", 1)[0]["times_delivered"] == times)

    def readers(self) -> set[str]:
        """Return the connections that read for a group (before 7.2 a new consumer has no name yet)."""
        return {client["addr"] for client in self.redis.client_list() if client["cmd"] == "xreadgroup"}

    def tells_attempts(self) -> bool:
        """Say whether the server tells a consumer's last attempt from its last success: from 7.2 on."""
        major, minor, _ = self.redis.info("server")["redis_version"].split(".")  # Valkey has it too: 7.2.4
        return (int(major), int(minor)) >= (7, 2)

    def names(self) -> set[str]:
        """Return the names of the group's consumers."""
        try:
            found = self.redis.xinfo_consumers(self.library.stream, self.library.group)
        except redis.ResponseError:  # neither stream nor group yet
            return set()
        return {row["name"].decode() for row in found}
