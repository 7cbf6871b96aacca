"""Measures and prints; see the package."""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import bench.notify
from bench.notify.child import BenchError
from bench.notify.measures import (
    Flood,
    Latencies,
    Rates,
    Recovery,
    measure_floods,
    measure_latency,
    measure_outage,
    measure_rate,
    middle,
    quantile,
)
from bench.notify.peer import PROGRAM
from bench.notify.receiver import running_receiver

PARTS = ("latency", "rate", "flood", "outage")


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    latency_services: tuple[int, ...] = (20, 200)
    alerts: int = 250
    groups: int = 100
    batches: int = 20
    flood: int = 10_000
    flood_services: tuple[int, ...] = (1, 100, 10_000)
    outage: float = 60.0
    outage_groups: int = 20


QUICK = Size((5,), 5, 20, 2, 200, (1, 20, 200), 1.5, 5)


# ---- tables ------------------------------------------------------------------------------------


def latency_table(found: Iterable[Latencies]) -> Iterator[str]:
    """Yield the lines of the table about one alert; in brackets: how many times Alertmanager's time."""
    yield "| one alert, until the receiver has it | median | p99 |"
    yield "| --- | ---: | ---: |"
    for one in found:
        theirs = (middle(one.theirs), quantile(one.theirs, 0.99))
        ours = (middle(one.ours), quantile(one.ours, 0.99))
        yield f"| Alertmanager | {' | '.join(map(_ms, theirs))} |"
        cells = [f"{_ms(own)} ({own / peer:.2g}×)" for own, peer in zip(ours, theirs, strict=True)]
        yield f"| watchdog, {one.services} services | {' | '.join(cells)} |"
        yield f"| of which the tick | {_ms(middle(one.ticks))} | {_ms(quantile(one.ticks, 0.99))} |"


def rate_table(found: Rates) -> Iterator[str]:
    """Yield the lines of the table about many groups."""
    yield f"| {found.groups} groups at a time, one message each | messages/s | slowest batch |"
    yield "| --- | ---: | ---: |"
    yield f"| Alertmanager | {middle(found.theirs):,.0f} | {min(found.theirs):,.0f} |"
    ratio = middle(found.ours) / middle(found.theirs)
    yield f"| watchdog | {middle(found.ours):,.0f} ({ratio:.2g}×) | {min(found.ours):,.0f} |"


def flood_table(found: Iterable[Flood], alerts: int) -> Iterator[str]:
    """Yield the lines of the table about all alerts at once."""
    yield (
        f"| {alerts:,} alerts at once, as services | what | who | messages to each of 3 |"
        " alerts in them | all told after | tick (its CPU) | peak RSS (before) |"
    )
    yield "| ---: | --- | --- | ---: | ---: | ---: | ---: | ---: |"
    for flood in found:
        messages = _range([told.messages for told in flood.told])
        entries = _range([told.entries for told in flood.told])
        tick = "–" if flood.tick is None else f"{flood.tick.wall:.2f} s ({flood.tick.cpu:.2f})"
        yield (
            f"| {flood.services:,} | {flood.what} | {flood.who} | {messages} | {entries} |"
            f" {flood.drained:.2f} s | {tick} | {flood.peak / 1e6:.0f} MB ({flood.rest / 1e6:.0f}) |"
        )


def outage_table(found: Iterable[Recovery], seconds: float, groups: int) -> Iterator[str]:
    """Yield the lines of the table about the receiver's outage."""
    yield (
        f"| receiver away for {seconds:g} s, {groups} groups begin meanwhile | how |"
        " all told after its return | messages |"
    )
    yield "| --- | --- | ---: | ---: |"
    for one in found:
        yield f"| {one.who} | {one.how} | {one.seconds:.2f} s | {one.messages} |"


def _range(numbers: Sequence[int]) -> str:
    few, many = min(numbers), max(numbers)
    return f"{many:,}" if few == many else f"{few:,} to {many:,}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def machine() -> str:
    """Return the line that says what the figures were measured on."""
    models = re.findall(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    said = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=False)
    (peer, *_) = re.findall(r"revision: (\S+?)\)", said.stdout + said.stderr) or ["of unknown version"]
    return (
        f"{os.cpu_count()} cores ({models[0] if models else platform.machine()}), "
        f"load {os.getloadavg()[0]:.1f} at the start, Linux {platform.release()}, "
        f"Python {platform.python_version()}, httpx {version('httpx')}, Alertmanager {peer}."
    )


# ---- the command -------------------------------------------------------------------------------


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def tables(size: Size, parts: Sequence[str], directory: Path) -> Iterator[str]:
    """Measure and yield the lines of all tables."""
    about = machine()
    with running_receiver(directory) as receiver:
        if "latency" in parts:
            _say("one alert …")
            yield from latency_table(
                [measure_latency(directory, receiver, n, size.alerts) for n in size.latency_services]
            )
            yield ""
        if "rate" in parts:
            _say("many groups …")
            yield from rate_table(measure_rate(directory, receiver, size.groups, size.batches))
            yield ""
        if "flood" in parts:
            floods: list[Flood] = []
            for services in size.flood_services:
                _say(f"{size.flood:,} alerts of {services:,} services …")
                floods += measure_floods(directory, receiver, size.flood, services)
            yield from flood_table(floods, size.flood)
            yield ""
        if "outage" in parts:
            _say(f"an outage of {size.outage:g} s …")
            found = measure_outage(directory, receiver, size.outage, size.outage_groups)
            yield from outage_table(found, size.outage, size.outage_groups)
            yield ""
    yield about


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.notify",
        description=bench.notify.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it works, not how fast")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    args = parser.parse_args(argv)
    unknown = set(args.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))} (there are {', '.join(PARTS)})")
    with tempfile.TemporaryDirectory(prefix="watchdog-bench-") as directory:
        try:
            for line in tables(QUICK if args.quick else Size(), args.parts or PARTS, Path(directory)):
                print(line, flush=True)
        except BenchError as exc:
            sys.exit(str(exc))


if __name__ == "__main__":
    main()
