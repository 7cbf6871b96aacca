"""A sidecar that runs under a load, for a while."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from bench.notify.child import ROOT, BenchError
from bench.poll.process import cpu_of
from bench.soak.load import GROUP, LIVES, STUCK, WORKED, Load, beat_of, running_load, stream_of
from bench.soak.samples import PAGE, Sample, Sidecar
from watchdog.demo.server import HOST, free_port, tethered
from watchdog.units import write_duration

EVERY = 15.0
"""So often it is looked at, in seconds, as a Prometheus does; in a short run more often."""
START_WITHIN = 30.0
LEAST_SAMPLES = 30


@dataclass(frozen=True, slots=True)
class Phase:
    """
    One part of the run: its *name*, how fast everything goes, for how many *seconds*, and the sidecar's poll.

    While somebody is *watching*, the page is asked for as often as /metrics.
    """

    name: str
    speed: float
    seconds: float
    poll: float
    watching: bool = False

    @property
    def pause(self) -> float:
        """Return the seconds between two samples."""
        return min(EVERY, self.seconds / LEAST_SAMPLES)


@dataclass(slots=True)
class Ran:
    """What a phase showed: what starting took, its samples, what stopping took, and what was *told*."""

    phase: Phase
    start_seconds: float
    start_cpu: float
    samples: list[Sample] = field(default_factory=list)
    stop_seconds: float = 0.0
    told: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def cpu(self) -> float:
        """Return the share of a core it took, once it had settled."""
        first, last = self.samples[len(self.samples) // 3], self.samples[-1]
        return (last.cpu - first.cpu) / (last.at - first.at)


def rules_text(load: Load, state: Path, url: str, port: int, poll: float) -> str:
    """Return rules.yaml: a service for every stream; the first has all that can be watched beside it."""
    lines = [
        f'redis: {{url: "{url}"}}',
        f"every: {write_duration(timedelta(seconds=poll))}",
        f'state: "{state}"',
        f'listen: "{HOST}:{port}"',
        'discover: {streams: "soak:found:*", every: 10s, forget_after: 1m}',
        "services:",
    ]
    for number in range(load.streams):
        stream = f'stream: "{stream_of(number)}"'
        lines += [
            f"  s{number:03d}:",
            f'    stream: {{key: "{stream_of(number)}", expect_every: 1d}}',
            f"    consumes: {{{stream}, group: {GROUP}}}",
            f'    heartbeat: {{key: "{beat_of(number)}", ttl: {LIVES}s}}',
        ]
        if number % WORKED == 0:
            lines.append(f"    executions: {{{stream}, success: {{status: filled}}, reason: error}}")
        if number == 0:
            lines += [
                f'    log: {{path: "{load.log}", patterns: {{filled: "filled"}}}}',
                f'    health: {{url: "{load.neighbour.url}/health", every: {poll}s, expect: {{status: ok}}}}',
                f'    settings: {{file: "{load.settings}"}}',
            ]
    return (
        "\n".join(lines)
        + f"""
rules:
  - {{alert: SoakStuck, when: "consumes.pending > {STUCK // 2}", severity: critical}}
  - {{alert: SoakDead, when: "heartbeat.present == 0", severity: critical}}
  - {{alert: SoakIll, when: "health.up == 0", severity: critical}}
receivers: {{hook: {{webhook: {{url: "{load.neighbour.url}/hook"}}}}}}
notifications: {{group_wait: 1s, group_interval: 1s, flapping: off}}
"""
    )


@contextmanager
def running_sidecar(phase: Phase, load: Load, directory: Path, url: str) -> Iterator[tuple[Sidecar, Ran]]:
    """Run `watchdog run`, on the state file the one before left, and measure its start and its stop."""
    sidecar_log, rules, state = (directory / name for name in ("sidecar.log", "rules.yaml", "state.db"))
    port = free_port()
    rules.write_text(rules_text(load, state, url, port, phase.poll))
    argv = [sys.executable, "-m", "watchdog", "run", "--rules", str(rules), "--log-level", "warning"]
    began = time.monotonic()
    with (
        sidecar_log.open("w") as told,
        subprocess.Popen(tethered(argv), cwd=ROOT, stdout=told, stderr=told) as process,
    ):
        sidecar = Sidecar(process.pid, f"http://{HOST}:{port}", state)
        try:
            while not sidecar.ready():
                if process.poll() is not None or time.monotonic() - began > START_WITHIN:
                    raise BenchError(f"the sidecar did not start:\n{sidecar_log.read_text()[-2000:]}")
                time.sleep(0.01)
            ran = Ran(phase, time.monotonic() - began, cpu_of(process.pid))
            yield sidecar, ran
            if ran.samples[-1].failed:
                raise BenchError(f"{ran.samples[-1].failed} ticks failed:\n{sidecar_log.read_text()[-2000:]}")
            ended = time.monotonic()
            process.send_signal(signal.SIGTERM)
            if (status := process.wait(START_WITHIN)) != 0:
                raise BenchError(f"the sidecar ended with {status}:\n{sidecar_log.read_text()[-2000:]}")
            ran.stop_seconds = time.monotonic() - ended
        finally:
            process.kill()


def run_phase(phase: Phase, load: Load, directory: Path, url: str) -> Ran:
    """Run a sidecar and look at it until the phase is over."""
    load.speed = phase.speed
    load.neighbour.told.clear()
    with running_load(load), running_sidecar(phase, load, directory, url) as (sidecar, ran):
        began = time.monotonic()
        while (passed := time.monotonic() - began) < phase.seconds:
            time.sleep(max(0.0, (len(ran.samples) + 1) * phase.pause - passed))
            if phase.watching:
                sidecar.ask(PAGE)
            ran.samples.append(sidecar.sample())
    ran.told = load.neighbour.told.copy()
    return ran
