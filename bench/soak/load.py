"""The load: streams, workers, heartbeats, a log, deploys and faults, each at its usual pace times a speed."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import redis

from watchdog.demo.server import HOST

BEAT = 0.05
"""So often it is looked what is due, in seconds."""
LIVES = 30
"""How long a heartbeat lasts, in seconds."""
KEPT = 1_000
"""Entries a stream keeps."""
GROUP = "workers"
WORKED = 10
"""Every stream of so many is one of results, of which the fields are read."""
STUCK = 20
"""Entries that the worker of a faulty stream holds, and the rule speaks of more than half as many."""
REPLACED = 3
"""So many deploys later a consumer of that name is deleted, and a stream that came with it is."""
MOVE = f"""
local worker, stuck = ARGV[1], ARGV[2]
for _, stream in ipairs(KEYS) do
  for i = 1, stream == stuck and {STUCK} or 1 do
    redis.call('XADD', stream, 'MAXLEN', '~', {KEPT}, '*', 'symbol', 'BTCUSDT', 'qty', tostring(i),
      'status', i % 7 == 0 and 'refused' or 'filled', 'error', i % 7 == 0 and 'no_position' or '')
  end
  local found = redis.call('XREADGROUP', 'GROUP', '{GROUP}', worker, 'COUNT', 100, 'STREAMS', stream, '>')
  if found and stream ~= stuck then
    for _, entry in ipairs(found[1][2]) do redis.call('XACK', stream, '{GROUP}', entry[1]) end
  end
end
"""
MEND = f"""
for _, stream in ipairs(KEYS) do
  local left = redis.call('XPENDING', stream, '{GROUP}', '-', '+', 10000)
  for _, entry in ipairs(left) do redis.call('XACK', stream, '{GROUP}', entry[1]) end
end
"""


def stream_of(number: int) -> str:
    """Return the stream of a service."""
    return f"soak:stream:{number:03d}"


def beat_of(number: int) -> str:
    """Return the heartbeat of a service."""
    return f"soak:svc:{number:03d}:heartbeat"


class Neighbour(ThreadingHTTPServer):
    """Whom the sidecar asks and tells: a health endpoint, and a webhook that counts what is *told*."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Answers)
        self.version = 0
        self.well = True
        self.told: Counter[tuple[str, str]] = Counter()

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://{HOST}:{self.server_address[1]}"


class _Answers(BaseHTTPRequestHandler):
    server: Neighbour

    def do_GET(self) -> None:
        status = "ok" if self.server.well else "degraded"
        self._answer(json.dumps({"status": status, "version": self.server.version}).encode())

    def do_POST(self) -> None:
        alerts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"]
        self.server.told.update((alert["labels"]["alertname"], alert["status"]) for alert in alerts)
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@dataclass(slots=True)
class Load:
    """
    The pipeline that is watched.

    *speed* is how many times as fast as usual it goes: each `do_` that `USUAL` names is done so much more
    often; at 0 there are only heartbeats, at their usual pace.
    """

    client: redis.Redis
    directory: Path
    neighbour: Neighbour
    streams: int
    speed: float
    clock: Callable[[], float] = time.time
    turns: dict[str, int] = field(default_factory=dict)
    stuck: int | None = None
    dead: int | None = None
    _move: str = ""
    _mend: str = ""

    def prepare(self) -> None:
        """Make what is there before anybody looks."""
        self._move = str(self.client.script_load(MOVE))
        self._mend = str(self.client.script_load(MEND))
        with self.client.pipeline(transaction=False) as pipe:
            for number in range(self.streams):
                pipe.xgroup_create(stream_of(number), GROUP, id="0", mkstream=True)
            pipe.execute()
        for what in ("deploy", "entries", "beats", "log"):
            getattr(self, f"do_{what}")(0)

    @property
    def log(self) -> Path:
        """Return the log's path."""
        return self.directory / "service.log"

    @property
    def settings(self) -> Path:
        """Return the env file's path."""
        return self.directory / "service.env"

    def do_entries(self, _turn: int) -> None:
        """Have an entry come into every stream and be done with; a stuck worker keeps what it reads."""
        worker = f"worker-{self.turns.get('deploy', 0)}"
        stuck = "" if self.stuck is None else stream_of(self.stuck)
        keys = [stream_of(number) for number in range(self.streams)]
        self.client.evalsha(self._move, len(keys), *keys, worker, stuck)

    def do_beats(self, _turn: int) -> None:
        """Have every service beat that lives."""
        now = f"{self.clock():.3f}"
        with self.client.pipeline(transaction=False) as pipe:
            for number in range(self.streams):
                if number != self.dead:
                    pipe.set(beat_of(number), now, ex=LIVES)
            pipe.execute()

    def do_log(self, turn: int) -> None:
        """Write a line, and now and then an error."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self.clock()))
        line = f"{stamp} INFO order {turn} filled\n"
        if turn % 60 == 0:
            line += f"{stamp} ERROR exchange {turn % 7} refused order {turn}: code {turn % 20}\n"
        with self.log.open("a") as file:
            file.write(line)

    def do_rotation(self, _turn: int) -> None:
        """Begin a new log file."""
        self.log.replace(self.log.with_suffix(".log.1"))

    def do_fault(self, turn: int) -> None:
        """Break something, or mend what is broken: each fault lasts half of the time between two."""
        number, mends = divmod(turn - 1, 2)
        kind, victim, breaks = number % 3, number * 7 % self.streams, not mends
        if kind == 0:
            self.stuck = victim if breaks else None
            if not breaks:
                self.client.evalsha(self._mend, 1, stream_of(victim))
        elif kind == 1:
            self.dead = victim if breaks else None
            if breaks:
                self.client.delete(beat_of(victim))
        else:
            self.neighbour.well = not breaks

    def do_deploy(self, turn: int) -> None:
        """Have workers under new names, a changed setting, a new stream, and no more of what long was old."""
        self.neighbour.version = turn
        self.settings.write_text(f"APPLY_MODE=paper\nVERSION={turn}\n")
        self.client.xadd(f"soak:found:{turn:05d}", {"version": str(turn)})
        if (old := turn - REPLACED) >= 0:
            with self.client.pipeline(transaction=False) as pipe:
                for number in range(self.streams):
                    pipe.xgroup_delconsumer(stream_of(number), GROUP, f"worker-{old}")
                pipe.delete(f"soak:found:{old:05d}")
                pipe.execute()


USUAL = {"entries": 5.0, "beats": 10.0, "log": 1.0, "fault": 600.0, "rotation": 3_600.0, "deploy": 3_600.0}
"""How often each is usually done, in seconds. A fault comes or goes every ten minutes: three an hour."""


@contextmanager
def running_load(load: Load) -> Iterator[None]:
    """Have everything go on as long as the block lasts."""
    ended = threading.Event()
    failed: list[Exception] = []

    def go_on() -> None:
        pace = {"beats": USUAL["beats"]} if not load.speed else {w: s / load.speed for w, s in USUAL.items()}
        due = {what: time.monotonic() + seconds for what, seconds in pace.items()}
        try:
            while not ended.wait(BEAT):
                for what, seconds in pace.items():
                    while due[what] <= time.monotonic() and not ended.is_set():
                        due[what] += seconds
                        load.turns[what] = turn = load.turns.get(what, 0) + 1
                        does: Callable[[int], None] = getattr(load, f"do_{what}")
                        does(turn)
        except Exception as exc:  # noqa: BLE001 (told where the block ends)
            failed.append(exc)

    thread = threading.Thread(target=go_on, name="load")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if failed:
        raise failed[0]


@contextmanager
def running_neighbour() -> Iterator[Neighbour]:
    """Answer as long as the block lasts."""
    with Neighbour() as neighbour:
        thread = threading.Thread(target=neighbour.serve_forever, name="neighbour")
        thread.start()
        try:
            yield neighbour
        finally:
            neighbour.shutdown()
            thread.join()
