"""Measures and prints; see the package."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import bench.race
from bench.notify.child import BenchError
from bench.notify.measures import middle, quantile
from bench.notify.peer import PROGRAM as ALERTMANAGER
from bench.poll.__main__ import machine
from bench.race.measures import Finish, Heat, measure_race
from bench.race.sides import PROMETHEUS, Timing

SLOW, USUAL, FAST = Timing(15, 15, 30), Timing(5, 5, 0), Timing(1, 1, 0)


def full(trials: int) -> list[Heat]:
    """Return what docs/benchmarks.md shows: three timings at 100 streams, two at 5,000."""
    few = ((SLOW, 75.0), (USUAL, 60.0), (FAST, 45.0))
    return [
        *(Heat(100, timing, (1, 5), trials, seconds) for timing, seconds in few),
        Heat(5_000, SLOW, (1, 5), trials, 75.0),
        Heat(5_000, USUAL, (5,), trials, 60.0),  # two cores have no more, and a scrape takes over a second
    ]


QUICK = [Heat(20, FAST, (1,), 3, 4.0)]


# ---- tables ------------------------------------------------------------------------------------


def times_table(found: Sequence[Sequence[Finish]]) -> Iterator[str]:
    """Yield the lines of the table about times; in brackets how many times faster than the stack."""
    yield "| streams | from fault to page | paged | median | min | p90 | max |"
    yield "| ---: | --- | ---: | ---: | ---: | ---: | ---: |"
    for heat in found:
        stack = heat[0]
        for one in heat:
            told = f"{len(one.seconds)} of {len(one.seconds) + one.missed}"
            median, *rest = _spread(one.seconds)
            if one is not stack and one.seconds and stack.seconds:
                faster = middle(stack.seconds) / middle(one.seconds)
                median += f" ({faster:.0f}×)" if faster >= 10 else f" ({faster:.1f}×)"
            yield f"| {one.heat.streams:,} | {one.name} | {told} | {' | '.join([median, *rest])} |"
    yield from together(found)


def costs_table(found: Sequence[Sequence[Finish]]) -> Iterator[str]:
    """Yield the lines of the table about CPU and memory; in brackets the share of the stack beside it."""
    yield "| streams | in the same race | CPU | RSS | peak RSS | of which |"
    yield "| ---: | --- | ---: | ---: | ---: | --- |"
    for heat in found:
        whole = _costs(heat[0])
        for one in heat:
            cells = [_percent(_costs(one)[0]), _mb(_costs(one)[1]), _mb(_costs(one)[2])]
            if one is not heat[0]:
                shares = [own / of if of else 0.0 for own, of in zip(_costs(one), whole, strict=True)]
                cells = [f"{cell} ({share:.2f}×)" for cell, share in zip(cells, shares, strict=True)]
            parts = [f"{name} {_percent(one.cpu[name])}, {_mb(one.steady[name])}" for name in one.cpu]
            of_which = "; ".join(parts) if len(parts) > 1 else "–"
            yield f"| {one.heat.streams:,} | {one.name} | {' | '.join(cells)} | {of_which} |"


def together(found: Sequence[Sequence[Finish]]) -> Iterator[str]:
    """Yield a line of the table about times for whoever took part in several heats: all its trials."""
    trials: dict[tuple[int, str], list[Finish]] = {}
    for one in (one for heat in found for one in heat):
        trials.setdefault((one.heat.streams, one.name), []).append(one)
    for (streams, name), several in trials.items():
        if len(several) > 1:
            seconds = [second for one in several for second in one.seconds]
            told = f"{len(seconds)} of {len(seconds) + sum(one.missed for one in several)}"
            yield f"| {streams:,} | {name}, all races | {told} | {' | '.join(_spread(seconds))} |"


def _spread(seconds: Sequence[float]) -> Sequence[str]:
    """Return median, least, nine tenths and most."""
    if not seconds:
        return ("–",) * 4
    found = (middle(seconds), min(seconds), quantile(seconds, 0.9), max(seconds))
    return [f"{number:.2f} s" for number in found]


def _costs(one: Finish) -> tuple[float, float, float]:
    """Return CPU, memory and most memory of all processes of a side."""
    return sum(one.cpu.values()), sum(one.steady.values()), sum(one.peak.values())


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _mb(size: float) -> str:
    return f"{size / 1e6:.0f} MB"


def about() -> str:
    """Return the line that says what the figures were measured on."""
    ours = machine().removesuffix(".")
    return f"{ours}, Prometheus {_version(PROMETHEUS)}, Alertmanager {_version(ALERTMANAGER)}."


def _version(program: str) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return next(iter(re.findall(r"version (\S+?),? ", said.stdout + said.stderr)), "of unknown version")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.race",
        description=bench.race.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="one small race: shows that it works")
    parser.add_argument("--trials", type=int, default=20, help="so many faults a race (20)")
    parser.add_argument("--streams", type=int, help="only the races at so many streams (100 or 5000)")
    args = parser.parse_args(argv)
    heats = QUICK if args.quick else full(args.trials)
    heats = [heat for heat in heats if args.streams in (None, heat.streams)]
    found: list[list[Finish]] = []
    with tempfile.TemporaryDirectory(prefix="watchdog-bench-") as directory:
        try:
            line = about()
            for heat in heats:
                print(f"{heat.streams:,} streams, the stack at {heat.timing} …", file=sys.stderr, flush=True)
                found.append(measure_race(Path(directory), heat))
        except BenchError as exc:
            print(exc, file=sys.stderr)
        for one in (*times_table(found), "", *costs_table(found), "", line) if found else ():
            print(one)
    if len(found) < len(heats):
        sys.exit(1)


if __name__ == "__main__":
    main()
