"""A network between two processes of this machine: bytes come later, but as many as before."""

from __future__ import annotations

import ctypes
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue

from bench.notify.child import ROOT, BenchError
from watchdog.demo.server import HOST, free_port, tethered

CHUNK = 1 << 20
LONGEST_TUNING = 0.5
FEWEST_PINGS, MOST_PINGS = 5, 200
"""How many PINGs a measurement takes: as many as there is time for."""
ATTEMPTS = 4
TOLERANCE = 0.05
TIMER_SLACK = 29
"""PR_SET_TIMERSLACK: a sleep ends when it should, not up to 50 µs later."""

# ---- seen from the benchmark -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy to a Redis; *round_trip* is the median of its PINGs, in seconds."""

    url: str
    round_trip: float


@contextmanager
def running_proxy(port: int, round_trip: float) -> Iterator[Proxy]:
    """Run a proxy to *port* through which a PING takes *round_trip* seconds, as long as the block lasts."""
    here = free_port()
    argv = tethered([sys.executable, "-m", __name__, str(here), str(port)])
    with subprocess.Popen(
        argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        try:
            yield Proxy(f"redis://{HOST}:{here}/0", _tune(process, here, round_trip))
        finally:
            process.kill()


def _tune(process: subprocess.Popen[str], port: int, round_trip: float) -> float:
    """Have PINGs take *round_trip*, the way through the proxy included; return what they take."""
    delay = round_trip / 2
    times = min(max(int(LONGEST_TUNING / round_trip), FEWEST_PINGS), MOST_PINGS)
    for _ in range(ATTEMPTS):
        _tell(process, delay)
        found = ping(port, times)
        if abs(found - round_trip) <= TOLERANCE * round_trip:
            return found
        delay = min(round_trip / 2, max(0.0, delay + (round_trip - found) / 2))
    _tell(process, round_trip / 2)
    return ping(port, times)


def _tell(process: subprocess.Popen[str], delay: float) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{delay}\n")
    if not process.stdout.readline():
        raise BenchError(f"the proxy ended with status {process.wait()}")


def ping(port: int, times: int) -> float:
    """Return how many seconds a PING to *port* takes, the median of so many."""
    took = []
    with socket.create_connection((HOST, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(times):
            began = time.perf_counter()
            connection.sendall(b"PING\r\n")
            if connection.recv(64) != b"+PONG\r\n":
                raise BenchError(f"port {port} does not answer a PING")
            took.append(time.perf_counter() - began)
    return statistics.median(took)


# ---- the process -------------------------------------------------------------------------------


class Road:
    """All connections through the proxy, each way by two threads: one takes in, one gives out later."""

    def __init__(self, here: int, there: int) -> None:
        self.there = there
        self.delay = 0.0
        self.listener = socket.create_server((HOST, here))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            near, _ = self.listener.accept()
            far = socket.create_connection((HOST, self.there))
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._carry(near, far)
            self._carry(far, near)

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        on_the_way: SimpleQueue[tuple[float, bytes]] = SimpleQueue()

        def take_in() -> None:
            data = b"-"
            while data:
                try:
                    data = source.recv(CHUNK)
                except OSError:
                    data = b""
                on_the_way.put((time.perf_counter() + self.delay, data))

        def give_out() -> None:
            ctypes.CDLL(None).prctl(TIMER_SLACK, 1)
            try:
                while data := _when_due(*on_the_way.get()):
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)
            except OSError:
                source.close()

        threading.Thread(target=take_in, daemon=True).start()
        threading.Thread(target=give_out, daemon=True).start()


def _when_due(due: float, data: bytes) -> bytes:
    pause = due - time.perf_counter()
    if pause > 0:
        time.sleep(pause)
    return data


def main(here: int, there: int) -> None:
    """Carry bytes until there is nobody left to say how much later."""
    sys.setswitchinterval(1e-4)
    road = Road(here, there)
    for line in sys.stdin:
        road.delay = float(line)
        print("ok", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
