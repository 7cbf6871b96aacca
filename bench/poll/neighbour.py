"""Another client of the same Redis: PINGs, adds an entry, and has the streams move, at a steady pace."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bench.notify.child import ROOT, BenchError
from bench.poll.streams import CHURN, MOVE, World, stream_names
from watchdog.demo.server import HOST, tethered

NAME = "bench-neighbour"
OWN_STREAM = "bench:neighbour"
PACE = 0.002
"""A PING and an XADD every 2 ms."""
EVERY = 5.0
"""In so many seconds a tenth of the streams moves, one by one."""


@dataclass(frozen=True, slots=True)
class Felt:
    """How long the neighbour's commands took, in seconds, and how many streams it moved."""

    ping: list[float]
    xadd: list[float]
    moved: int


@contextmanager
def running_neighbour(world: World, seconds: float, into: list[Felt]) -> Iterator[None]:
    """Run the neighbour for so long, at least as long as the block lasts; put what it felt *into* a list."""
    sha = str(world.client.script_load(MOVE))
    argv = [sys.executable, "-m", __name__, *map(str, (world.server.port, len(world.names), seconds, sha))]
    with subprocess.Popen(tethered(argv), cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield
            said, _ = process.communicate(timeout=seconds + 60)
        finally:
            process.kill()
    if process.returncode:
        raise BenchError(f"the neighbour ended with status {process.returncode}")
    into.append(Felt(**json.loads(said)))
    world.moved += into[-1].moved


# ---- the process -------------------------------------------------------------------------------


class Neighbour:
    """One connection, one command at a time."""

    def __init__(self, port: int) -> None:
        self.connection = socket.create_connection((HOST, port))
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ask("CLIENT", "SETNAME", NAME)

    def ask(self, *command: str) -> float:
        """Send *command*, whose reply has one or two lines; return how many seconds its answer took."""
        words = "".join(f"${len(word)}\r\n{word}\r\n" for word in command)
        asked = f"*{len(command)}\r\n{words}".encode()
        began = time.perf_counter()
        self.connection.sendall(asked)
        said = self.connection.recv(4096)
        took = time.perf_counter() - began
        while not said.endswith(b"\r\n"):
            said += self.connection.recv(4096)
        if said.startswith(b"-"):
            raise BenchError(f"{command[0]}: {said.decode()}")
        return took


def live(port: int, streams: Sequence[str], seconds: float, sha: str) -> Felt:
    """Do what the module says for so many *seconds*."""
    neighbour = Neighbour(port)
    felt = Felt([], [], 0)
    began = time.perf_counter()
    moved = 0
    while (now := time.perf_counter()) < began + seconds:
        felt.ping.append(neighbour.ask("PING"))
        felt.xadd.append(neighbour.ask("XADD", OWN_STREAM, "MAXLEN", "~", "1000", "*", "some", "thing"))
        while moved < (now - began) / EVERY * len(streams) / CHURN:
            neighbour.ask("EVALSHA", sha, "1", streams[moved * CHURN % len(streams)])
            moved += 1
        time.sleep(max(0.0, now + PACE - time.perf_counter()))
    return Felt(felt.ping, felt.xadd, moved)


if __name__ == "__main__":
    _port, _streams, _seconds, _sha = sys.argv[1:]
    found = live(int(_port), stream_names(int(_streams)), float(_seconds), _sha)
    print(json.dumps({"ping": found.ping, "xadd": found.xadd, "moved": found.moved}))
