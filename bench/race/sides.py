"""The sides: what a user would run, each process by itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.notify.child import ROOT, BenchError
from bench.notify.peer import PROGRAM as ALERTMANAGER
from bench.poll import peak_rss
from bench.poll.peer import running_exporter
from bench.poll.process import cpu_of, rss
from bench.poll.streams import GROUPS, PATTERN, World
from bench.race.faults import MOST
from bench.race.postbox import ALERT
from watchdog.demo.server import HOST, free_port, tethered

PROMETHEUS = "prometheus"
EXPORTER = "redis_exporter"
LONGEST_SCRAPE = 10
"""Seconds; Prometheus' own default."""
SUMMARY = "a worker of {{ $labels.group }} holds {{ $value }} entries of {{ $labels.stream }}"


@dataclass(frozen=True, slots=True)
class Timing:
    """How often the stack scrapes and evaluates, and how long Alertmanager waits for a group, in seconds."""

    scrape: int
    evaluate: int
    group_wait: int

    def __str__(self) -> str:
        return f"{self.scrape} s/{self.evaluate} s/{self.group_wait} s"


@dataclass(frozen=True, slots=True)
class Runner:
    """A side in the race: its *name*, the path it posts to, and its processes by what they are called."""

    name: str
    path: str
    pids: dict[str, int]

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds of each process so far."""
        return {name: cpu_of(pid) for name, pid in self.pids.items()}

    def rss(self) -> dict[str, int]:
        """Return the memory each process has now, in bytes."""
        return {name: rss(pid) for name, pid in self.pids.items()}

    def peak(self) -> dict[str, int]:
        """Return the most memory each process ever had, in bytes."""
        return {name: peak_rss(pid) for name, pid in self.pids.items()}


# ---- the usual stack ---------------------------------------------------------------------------


def prometheus_text(timing: Timing, exporter: str, alertmanager: str) -> str:
    """Return Prometheus' configuration: it asks *exporter* and tells *alertmanager* (host:port)."""
    return json.dumps(
        {
            "global": {
                "scrape_interval": f"{timing.scrape}s",
                "scrape_timeout": f"{min(timing.scrape, LONGEST_SCRAPE)}s",
                "evaluation_interval": f"{timing.evaluate}s",
            },
            "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": "redis", "static_configs": [{"targets": [exporter]}]}],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        }
    )


def prometheus_rules() -> str:
    """
    Return the rule: the same condition as ours, and as ours without `for`.

    Prometheus evaluates a group at a fixed distance from its scrapes, which the group's name decides. In ten
    groups, each for the streams that end in one digit, one run meets ten such distances.
    """
    groups = []
    for digit in range(10):
        rule = {
            "alert": ALERT,
            "expr": f'redis_stream_group_messages_pending{{stream=~".*{digit}"}} > {MOST}',
            "labels": {"severity": "critical"},
            "annotations": {"summary": SUMMARY},
        }
        groups.append({"name": f"race-{digit}", "rules": [rule]})
    return json.dumps({"groups": groups})


def alertmanager_text(timing: Timing, url: str) -> str:
    """Return Alertmanager's configuration: every alert is a group of its own, told at *url*."""
    route = {
        "receiver": "race",
        "group_by": ["..."],
        "group_wait": f"{timing.group_wait}s",
        "group_interval": "5m",
        "repeat_interval": "4h",
    }
    hook = {"url": url, "send_resolved": True}
    return json.dumps({"route": route, "receivers": [{"name": "race", "webhook_configs": [hook]}]})


@contextmanager
def running_stack(directory: Path, world: World, timing: Timing, path: str, url: str) -> Iterator[Runner]:
    """Run redis_exporter, Prometheus and Alertmanager as long as the block lasts."""
    place = _fresh(directory, "stack")
    alertmanager, prometheus = f"{HOST}:{free_port()}", f"{HOST}:{free_port()}"
    (place / "am.yml").write_text(alertmanager_text(timing, url))
    (place / "rules.yml").write_text(prometheus_rules())
    with ExitStack() as stack:
        exporter = stack.enter_context(running_exporter(world.server.url, len(world.names)))
        target = exporter.url.removeprefix("http://").removesuffix("/metrics")
        (place / "prometheus.yml").write_text(prometheus_text(timing, target, alertmanager))
        argv = [
            ALERTMANAGER,
            f"--config.file={place / 'am.yml'}",
            f"--storage.path={place / 'am'}",
            f"--web.listen-address={alertmanager}",
            "--cluster.listen-address=",
        ]
        am = stack.enter_context(_running(argv, place / "alertmanager.log"))
        argv = [
            PROMETHEUS,
            f"--config.file={place / 'prometheus.yml'}",
            f"--storage.tsdb.path={place / 'tsdb'}",
            f"--web.listen-address={prometheus}",
        ]
        prom = stack.enter_context(_running(argv, place / "prometheus.log"))
        pids = {EXPORTER: exporter.pid, "Prometheus": prom.pid, "Alertmanager": am.pid}
        yield Runner(f"the stack at {timing}", path, pids)


# ---- ours --------------------------------------------------------------------------------------


def rules_text(world: World, every: int, url: str, state: Path) -> str:
    """Return rules.yaml: every stream that fits the pattern, the built-in rules and the one that counts."""
    rule = f'alert: {ALERT}, when: "consumes.pending > {MOST}", severity: critical'
    summary = "a worker of {group} holds {consumes.pending} entries of {stream}"
    return f"""\
redis: {{url: "{world.server.url}"}}
every: {every}s
state: "{state}"
listen: "{HOST}:{free_port()}"
discover: {{streams: "{PATTERN.replace("*", "{service}")}", limit: {len(world.names) * (1 + len(GROUPS))}}}
rules:
  - {{{rule}, summary: "{summary}"}}
receivers: {{race: {{webhook: {{url: "{url}"}}}}}}
"""


@contextmanager
def running_sidecar(directory: Path, world: World, every: int, path: str, url: str) -> Iterator[Runner]:
    """Run `watchdog run` as long as the block lasts; but for its poll it has all its defaults."""
    place = _fresh(directory, f"ours-{every}")
    (place / "rules.yaml").write_text(rules_text(world, every, url, place / "state.db"))
    argv = [sys.executable, "-m", "watchdog", "run", "--rules", str(place / "rules.yaml")]
    with _running(argv, place / "log") as process:
        yield Runner(f"watchdog, a poll of {every} s", path, {"watchdog": process.pid})


def _fresh(directory: Path, name: str) -> Path:
    place = directory / f"{name}-{len(list(directory.iterdir()))}"
    place.mkdir()
    return place


@contextmanager
def _running(argv: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run *argv* as long as the block lasts; BenchError if it ended by itself."""
    if shutil.which(argv[0]) is None:
        raise BenchError(f"{argv[0]} is needed (apt-get install {argv[0]})")
    with (
        log.open("w") as told,
        subprocess.Popen(tethered(argv), cwd=ROOT, stdout=told, stderr=told) as process,
    ):
        try:
            yield process
            if process.poll() is not None:
                said = log.read_text(errors="replace")[-2000:].rstrip()
                raise BenchError(f"{argv[0]} ended with status {process.returncode}:\n{said}")
        finally:
            process.terminate()
