"""What systemd says of units, through one run of ``systemctl show``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from watchdog.errors import CollectError
from watchdog.units import show_duration

PATIENCE = timedelta(seconds=5)
NEVER = ("", "n/a", "0")
_DATE = re.compile(r"(?:[A-Z][a-z]{2} )?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC")

Properties = Mapping[str, str]


def show(
    units: Sequence[str], properties: str, *, user: bool, patience: timedelta = PATIENCE
) -> list[Properties]:
    """
    Return *properties* (names with commas) of each of *units*, in their order.

    With *user* the user's own systemd is asked. Raise CollectError if systemctl cannot tell.
    """
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        raise CollectError("there is no systemctl here, so nothing can tell the unit's state")
    argv = [systemctl, *(["--user"] if user else []), "show", "-p", properties, "--", *units]
    environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C", "SYSTEMD_COLORS": "0"}
    asked = f"systemctl show {units[0]}" + (f" and {len(units) - 1} more" if len(units) > 1 else "")
    try:
        done = subprocess.run(  # noqa: S603 - the names are checked when the file is read
            argv, capture_output=True, timeout=patience.total_seconds(), env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        waited = show_duration(patience.total_seconds())
        raise CollectError(f"{asked} gave no answer within {waited}") from None
    except OSError as exc:
        raise CollectError(f"systemctl cannot be run: {exc.strerror}") from exc
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it gave no reason"]
        raise CollectError(f"{asked} failed: {said[0]}")
    told = parse_show(done.stdout.decode(errors="replace"))
    if len(told) != len(units):
        raise CollectError(f"{asked} told of {len(told)} units")
    return told


def parse_show(output: str) -> list[Properties]:
    """Return what ``systemctl show`` printed, unit by unit; an empty line stands between two."""
    return [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for block in output.strip("\n").split("\n\n")
    ]


def parse_time(text: str) -> datetime | None:
    """Return the moment systemctl printed with TZ=UTC, or None where it printed that there is none."""
    if text in NEVER:
        return None
    found = _DATE.fullmatch(text)
    if found is None:
        raise CollectError(f'systemctl printed a time that cannot be read: "{text}"')
    return datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
