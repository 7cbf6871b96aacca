"""What systemd says of units, through one run of ``systemctl show``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from watchdog.errors import CollectError
from watchdog.units import plain, show_duration

PATIENCE = timedelta(seconds=5)
NEVER = ("", "n/a", "0")
FOREVER = ("", "infinity", "[not set]")
_DATE = re.compile(r"(?:[A-Z][a-z]{2} )?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC")

_SPAN = re.compile(r"([0-9.]+)(y|month|w|d|h|min|ms|us|s) ?")
_SPANS = {
    "y": 31557600.0, "month": 2629800.0, "w": 604800.0, "d": 86400.0, "h": 3600.0, "min": 60.0,
    "s": 1.0, "ms": 1e-3, "us": 1e-6,
}  # fmt: skip
_AWAY = re.compile(r"(?i)not been booted|connect to (?:system |user )?(?:scope )?bus|transport endpoint")
_USER_CURE = "set XDG_RUNTIME_DIR=/run/user/UID for the watchdog, and run `loginctl enable-linger`"
_CURE = "leave `unit` out where there is no systemd, or give the watchdog its bus, /run/systemd/private"

Properties = Mapping[str, str]


class ManagerAwayError(CollectError):
    """There is no systemd that could be asked, so nothing is known of any of its units."""


def show(
    units: Sequence[str], properties: str, *, user: bool, patience: timedelta = PATIENCE
) -> list[Properties]:
    """
    Return *properties* (names with commas) of each of *units*, in their order.

    With *user* the user's own systemd is asked. Raise CollectError if systemctl cannot tell.
    """
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        raise ManagerAwayError("there is no systemctl here, so nothing can tell the unit's state")
    argv = [systemctl, *(["--user"] if user else []), "show", "-p", properties, "--", *units]
    environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C", "SYSTEMD_COLORS": "0"}
    asked = f"systemctl show {units[0]}" + (f" and {len(units) - 1} more" if len(units) > 1 else "")
    try:
        done = subprocess.run(  # noqa: S603 - the names are checked when the file is read
            argv, capture_output=True, timeout=patience.total_seconds(), env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        waited = show_duration(patience.total_seconds())
        raise ManagerAwayError(f"{asked} gave no answer within {waited}") from None
    except OSError as exc:
        raise ManagerAwayError(f"systemctl cannot be run: {exc.strerror}") from exc
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it gave no reason"]
        if _AWAY.search(said[0]):
            cure = _USER_CURE if user else _CURE
            raise ManagerAwayError(f"systemd cannot be asked: {plain(said[0]).rstrip('.')} ({cure})")
        raise CollectError(f"{asked} failed: {plain(said[0])}")
    told = parse_show(done.stdout.decode(errors="replace"))
    if len(told) != len(units):
        raise CollectError(f"{asked} told of {len(told)} units")
    return told


def show_each(units: Sequence[str], properties: str, *, user: bool) -> list[Properties | CollectError]:
    """
    Return *properties* of each of *units*, or why there are none; one that is refused spoils no other.

    Raise ManagerAwayError where none of them can be asked for. It takes one run of systemctl, and one
    a unit only if it refuses a name or if what it prints cannot be told apart.
    """
    try:
        return list(show(units, properties, user=user))
    except ManagerAwayError:
        raise
    except CollectError as exc:
        if len(units) == 1:
            return [exc]
    return [show_each([unit], properties, user=user)[0] for unit in units]


def parse_show(output: str) -> list[Properties]:
    """
    Return what ``systemctl show`` printed, unit by unit; an empty line stands between two.

    A property of several lines, such as EnvironmentFiles, is one text with an end of line after each.
    """
    return [_properties(block) for block in output.strip("\n").split("\n\n")]


def _properties(block: str) -> Properties:
    found: dict[str, str] = {}
    for line in block.split("\n"):
        name, sign, text = line.partition("=")
        if sign:
            found[name] = f"{found[name]}\n{text}" if name in found else text
    return found


def parse_time(text: str) -> datetime | None:
    """Return the moment systemctl printed with TZ=UTC, or None where it printed that there is none."""
    if text in NEVER:
        return None
    found = _DATE.fullmatch(text)
    try:
        return datetime.fromisoformat(found[1]).replace(tzinfo=UTC) if found else _refuse(text)
    except ValueError:
        return _refuse(text)


def _refuse(text: str) -> NoReturn:
    raise CollectError(f'systemctl printed a time that cannot be read: "{plain(text)}"')


def parse_span(text: str) -> float | None:
    """Return the seconds of what systemctl printed as a time span, ``1min 30s``; None for no end."""
    if text in FOREVER:
        return None
    parts = _SPAN.findall(text)
    if text != "0" and "".join(f"{number}{unit}" for number, unit in parts) != text.replace(" ", ""):
        _refuse(text)
    try:
        return sum(float(number) * _SPANS[unit] for number, unit in parts)
    except ValueError:
        _refuse(text)
