"""What of this machine was named: units by their pattern, logs by their globs."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace

from watchdog.discovery import tellable
from watchdog.firstlook.seen import LogSeen, Seen
from watchdog.logs.levels import Level
from watchdog.logs.survey import survey
from watchdog.units import plain

LISTINGS = ("list-units", "list-unit-files")
"""Those that are loaded, instances of templates among them, and those that are only installed."""
KINDS = (".service", ".timer")
PATIENCE = 5.0
MOST_UNITS, MOST_LOGS = 200, 200
TAIL = 1 << 20
"""So much is read of the end of a log."""
GROWN = (".gz", ".bz2", ".xz", ".zst", ".1", ".2", ".3", ".old")
"""Endings of what was a log once and is written no more."""


def with_this_machine(seen: Seen, units: Sequence[str], logs: Sequence[str], hosts: frozenset[str]) -> Seen:
    """Return *seen* with the units and logs that fit the patterns, and why others could not be looked at."""
    found_units, unit_remarks = _units(units) if units else ([], [])
    found_logs, log_remarks = _logs(logs)
    return replace(
        seen, units=found_units, logs=found_logs, hosts=hosts, remarks=[*unit_remarks, *log_remarks]
    )


def _units(patterns: Sequence[str]) -> tuple[list[str], list[str]]:
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return [], ["there is no systemctl here, so no unit was looked for"]
    found: dict[str, None] = {}
    for listing in LISTINGS:
        argv = [
            systemctl,
            listing,
            *(["--all"] if listing == "list-units" else []),
            "--plain",
            "--no-legend",
            "--no-pager",
            "--",
            *patterns,
        ]
        try:
            done = subprocess.run(  # noqa: S603 - the patterns stand behind --
                argv, capture_output=True, timeout=PATIENCE, env={**os.environ, "LC_ALL": "C"}, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return [], ["systemctl gave no answer, so no unit was looked for"]
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["it gave no reason"]
            return [], [f"systemctl cannot list units: {plain(said[0])[:120]}"]
        found |= dict.fromkeys(_unit_names(done.stdout.decode(errors="replace")))
    if not found:
        return [], [f"no unit fits {' or '.join(map(plain, patterns))}"]
    more = [f"{len(found) - MOST_UNITS} more units fit and were left out"] if len(found) > MOST_UNITS else []
    return sorted(found)[:MOST_UNITS], more


def _unit_names(listing: str) -> Iterator[str]:
    """Yield the services and timers of a listing; a template is none."""
    for line in listing.splitlines():
        name = line.split()[0] if line.split() else ""
        if name.endswith(KINDS) and "@." not in name and tellable(name):
            yield name


def _logs(patterns: Sequence[str]) -> tuple[list[LogSeen], list[str]]:
    found: list[LogSeen] = []
    remarks: list[str] = []
    for pattern in patterns:
        paths = [
            path for path in sorted(glob.glob(pattern)) if os.path.isfile(path) and not path.endswith(GROWN)
        ]
        if not paths:
            remarks.append(f"no log fits {plain(pattern)}")
        for path in paths[: MOST_LOGS - len(found)]:
            if not tellable(path):
                remarks.append(f"a log that fits {plain(pattern)} has a name that no page can show")
                continue
            try:
                found.append(_log(os.path.abspath(path)))
            except OSError as exc:
                remarks.append(f"{plain(path)} cannot be read: {exc.strerror}")
    return found, remarks


def _log(path: str) -> LogSeen:
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL))
        data = file.read(TAIL)
    if size > TAIL:
        data = data[data.find(b"\n") + 1 :]
    found = survey([data]) if data else survey([])
    errors = sum(found.levels.get(level, 0) for level in (Level.ERROR, Level.CRITICAL))
    return LogSeen(path, found.format, found.tally.records, errors)
