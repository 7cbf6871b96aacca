"""Measures and prints; see the package."""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import bench.poll
from bench.notify.child import BenchError
from bench.poll.bystanders import measure_hurt, measure_patience
from bench.poll.measures import (
    PAGES,
    Plan,
    measure_distance,
    measure_growth,
    measure_metrics,
    measure_parts,
    measure_ticks,
)
from bench.poll.peer import PROGRAM
from bench.poll.streams import FORMS, SERVER
from bench.poll.table import (
    distance_table,
    growth_table,
    hurt_table,
    looks_table,
    metrics_table,
    parts_table,
    patience_table,
    spread_table,
)

ROUND_TRIP = 0.0015


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    runs: int = 5
    warm: int = 15
    series: int = 60
    tick: tuple[int, ...] = (100, 1_000, 5_000)
    rtt: int = 1_000
    metrics: tuple[int, ...] = (1_000, 5_000)
    hurt: int = 5_000
    hurt_seconds: float = 10.0
    linear: tuple[int, ...] = (1_000, 5_000, 10_000, 20_000)
    parts: int = 5_000
    slow: int = 1_000
    slow_seconds: float = 60.0
    slow_every: str = "5s"
    slow_timeout: str = "3s"


QUICK = Size(1, 2, 3, (20,), 20, (20,), 20, 0.2, (20,), 20, 20, 1.0, "300ms", "500ms")


# ---- the parts ---------------------------------------------------------------------------------


def tick(size: Size, plan: Plan) -> Iterator[str]:
    """Scrapes beside ticks."""
    found = [measure_ticks(plan, streams) for streams in size.tick]
    yield from looks_table(found)
    yield ""
    yield from spread_table(found)


def rtt(size: Size, plan: Plan) -> Iterator[str]:
    """The same, far away."""
    yield from distance_table(measure_distance(plan, size.rtt, ROUND_TRIP))


def metrics(size: Size, plan: Plan) -> Iterator[str]:
    """/metrics beside a scrape."""
    yield from metrics_table(
        [measure_metrics(plan, streams, page) for streams in size.metrics for page in PAGES]
    )


def hurt(size: Size, plan: Plan) -> Iterator[str]:
    """What others feel."""
    yield from hurt_table(measure_hurt(plan, size.hurt, size.hurt_seconds))


def linear(size: Size, plan: Plan) -> Iterator[str]:
    """More and more streams."""
    yield from growth_table([measure_growth(plan, streams) for streams in size.linear])


def parts(size: Size, plan: Plan) -> Iterator[str]:
    """Where the CPU goes."""
    yield from parts_table(list(measure_parts(plan, size.parts)))


def slow(size: Size, plan: Plan) -> Iterator[str]:
    """What waits at a Redis that does not keep up."""
    found = measure_patience(plan, size.slow, size.slow_seconds, size.slow_every, size.slow_timeout)
    yield from patience_table(list(found))


PARTS: Mapping[str, Callable[[Size, Plan], Iterator[str]]] = {
    part.__name__: part for part in (tick, rtt, metrics, hurt, linear, parts, slow)
}


# ---- the command -------------------------------------------------------------------------------


def machine() -> str:
    """Return the line that says what the figures were measured on."""
    models = re.findall(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return (
        f"{os.cpu_count()} cores ({models[0] if models else platform.machine()}), "
        f"load {os.getloadavg()[0]:.1f} at the start, Linux {platform.release()}, "
        f"Python {platform.python_version()}, redis-py {version('redis')}, hiredis {version('hiredis')}, "
        f"Redis {_version(SERVER, '--version', says='v=')}, "
        f"redis_exporter {_version(PROGRAM, '-version', says='Exporter ')}."
    )


def _version(*argv: str, says: str) -> str:
    try:
        said = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError as exc:
        raise BenchError(f"{argv[0]} is needed (apt-get install {argv[0]})") from exc
    return next(iter(re.findall(rf"{says}(\S+)", said.stdout + said.stderr)), "of unknown version")


def numbers(text: str) -> tuple[int, ...]:
    """Read ``100,1000,5000``."""
    return tuple(int(part) for part in text.split(","))


def _size(args: argparse.Namespace) -> Size:
    size = QUICK if args.quick else Size()
    changed = {name: getattr(args, name) for name in ("runs", "warm") if getattr(args, name) is not None}
    if args.streams is not None:
        changed |= {"tick": args.streams, "metrics": args.streams, "linear": args.streams}
        changed |= dict.fromkeys(("rtt", "hurt", "parts", "slow"), args.streams[-1])
    return Size(**{**{name: getattr(size, name) for name in Size.__dataclass_fields__}, **changed})


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.poll",
        description=bench.poll.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it works, not how fast")
    parser.add_argument(
        "--streams", type=numbers, help="e.g. 100,1000,5000; a part that has one size takes the last"
    )
    parser.add_argument("--runs", type=int, help="so many times both sides take turns")
    parser.add_argument("--warm", type=int, help="so many ticks before anything counts")
    parser.add_argument(
        "--pace", type=float, default=0.0, help="seconds between ticks in a row (5: as in life)"
    )
    parser.add_argument("--as", dest="form", choices=FORMS, default=FORMS[0], help="how streams are declared")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    args = parser.parse_args(argv)
    unknown = [part for part in args.parts if part not in PARTS]
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)} (there are {', '.join(PARTS)})")
    size = _size(args)
    with tempfile.TemporaryDirectory(prefix="watchdog-bench-") as directory:
        plan = Plan(Path(directory), args.form, size.runs, size.warm, size.series, args.pace)
        try:
            about = machine()
            for part in args.parts or PARTS:
                print(f"{part} …", file=sys.stderr, flush=True)
                for line in PARTS[part](size, plan):
                    print(line, flush=True)
                print()
        except BenchError as exc:
            sys.exit(str(exc))
    print(about)


if __name__ == "__main__":
    main()
