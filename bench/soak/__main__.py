"""Runs and prints; see the package."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import redis

import bench.soak
from bench.notify.child import BenchError
from bench.poll.__main__ import machine
from bench.poll.streams import SERVER
from bench.soak.load import Load, running_neighbour
from bench.soak.phases import Phase, Ran, run_phase
from bench.soak.table import not_flat, report
from tests.incident.pages import put
from watchdog.demo.server import start_server
from watchdog.units import show_duration

SPEED = 20.0
USUAL_POLL = 5.0
MARK = "soak"


def phases_of(minutes: float, beside: float) -> list[Phase]:
    """Return the phases: the soak itself, and for *beside* minutes each the usual speed and none."""
    return [
        Phase(f"{SPEED:g}× the usual", SPEED, minutes * 60, USUAL_POLL / SPEED, watching=True),
        Phase("the usual", 1.0, beside * 60, USUAL_POLL),
        Phase("nothing moves but heartbeats", 0.0, beside * 60, USUAL_POLL),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Run and print; end with 1 if something grows."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.soak",
        description=bench.soak.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=60, help="how long the soak lasts (60)")
    parser.add_argument("--beside", type=float, default=5, help="and each of the two slow phases (5)")
    parser.add_argument("--streams", type=int, default=100, help="so many streams (100)")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables into a page")
    args = parser.parse_args(argv)
    found: list[Ran] = []
    with (
        tempfile.TemporaryDirectory(prefix="watchdog-soak-") as name,
        start_server(binary=SERVER) as server,
        redis.Redis.from_url(server.url, socket_timeout=30) as client,
        running_neighbour() as neighbour,
    ):
        load = Load(client, Path(name), neighbour, args.streams, SPEED)
        load.prepare()
        line = machine()
        try:
            for phase in phases_of(args.minutes, args.beside):
                print(f"{phase.name}, {show_duration(round(phase.seconds))} …", file=sys.stderr, flush=True)
                found.append(run_phase(phase, load, Path(name), server.url))
        except BenchError as exc:
            print(exc, file=sys.stderr)
            if not found:
                sys.exit(1)
    text = report(found, line)
    print(text)
    if args.write is not None:
        put(args.write, MARK, text)
    if (grown := not_flat(found[0])) or len(found) < 3:
        print(f"not flat: {', '.join(grown) or 'a phase failed'}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
