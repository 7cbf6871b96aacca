"""
Run the incident library on the moved clock: `python -m tests.incident`, or some of it by their ids.

Each fault runs in a process of its own on a world that has lived healthily for hours, and so does its healthy
twin. `--write` puts the table into docs/incidents.md; that is `make incidents`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from tests.incident.library import Result, run_all
from tests.incident.lockstep import Past, lived, world
from tests.incident.pages import library_page, put
from watchdog.demo.faults import FAULTS
from watchdog.demo.faults.fault import Alarm, Fault
from watchdog.errors import WatchdogError
from watchdog.terminal import quiet_logs

PAST = timedelta(minutes=90)
QUIET = timedelta(minutes=15)


async def _quiet(past: Past, directory: Path) -> dict[Alarm, str]:
    async with world(directory, past) as found:
        await found.live(QUIET)
        return {alarm: fired.summary for alarm, fired in found.fired.items()}


def told(result: Result) -> str:
    """Return a result as lines for the terminal."""
    outcome, row = result.outcome, FAULTS[result.outcome.fault]
    lines = [f"{outcome.fault}  {'ok' if result.ok else 'NOT OK'}  {row.title}"]
    for (name, service), said in outcome.said.items():
        cause = f", cause {said.cause}" if said.cause else ""
        after = f"told {said.told:.1f} s" if said.told is not None else f"fired {said.fired:.1f} s, held back"
        lines.append(f"       {name} of {service}: {after}{cause}: {said.summary}")
    lines += [f"       found: {outcome.found}"] if outcome.found else []
    lines += [f"       MISSING {name} of {service}" for name, service in outcome.missing]
    lines += [f"       WRONG {name} of {service}" for name, service in outcome.wrong]
    lines += ["       LATE"] if outcome.late else []
    lines += [f"       {outcome.trouble}"] if outcome.trouble else []
    lines += [f"       TWIN says {n} of {s}: {text}" for (n, s), text in (result.twin or {}).items()]
    return "\n".join(lines)


def the_past(directory: Path) -> Past:
    """Return the healthy past kept in *directory*, lived through now if there is none."""
    mark = directory / "at"
    if not mark.exists():
        shutil.rmtree(directory, ignore_errors=True)
        past = asyncio.run(lived(directory, PAST))
        mark.write_text(past.at.isoformat(), encoding="utf-8")
    return Past.of(directory)


def main() -> int:
    """Run what the command line asks for; 1 if anything was not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.incident", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="ID", help="all, if none is given")
    parser.add_argument("--no-twins", action="store_true", help="leave the healthy twins out")
    parser.add_argument("--healthy", action="store_true", help="only 15 minutes without any fault")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument(
        "--past", type=Path, metavar="DIR", help="keep the healthy past there for the next run"
    )
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    given = parser.parse_args()
    quiet_logs()
    unknown = set(given.faults) - set(FAULTS)
    if unknown:
        raise WatchdogError(f"no such fault: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="incident-") as name:
        past = the_past(given.past or Path(name) / "past")
        if given.healthy:
            said = asyncio.run(_quiet(past, Path(name) / "quiet"))
            sys.stdout.write("".join(f"{n} of {s}: {text}\n" for (n, s), text in said.items()) or "silent\n")
            return bool(said)
        results = {}
        chosen = sorted(given.faults or FAULTS)
        for result in run_all(chosen, past, twins=not given.no_twins, jobs=given.jobs):
            results[result.outcome.fault] = result
            sys.stdout.write(f"{told(result)}\n")
            sys.stdout.flush()
    good = sum(result.ok for result in results.values())
    sys.stdout.write(f"{good} of {len(results)} as they should be\n")
    if given.write is not None:
        ordered: list[tuple[Fault, Result]] = [(FAULTS[fault], results[fault]) for fault in chosen]
        put(given.write, "library", library_page([(f, r.outcome, r.twin) for f, r in ordered]))
    return good != len(results)


if __name__ == "__main__":
    sys.exit(main())
