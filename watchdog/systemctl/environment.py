"""What environment systemd hands a unit's process, as `systemctl show` tells it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from watchdog.errors import CollectError
from watchdog.systemctl.show import Properties, parse_time, show

PROPERTIES = "LoadState,ActiveState,ExecMainStartTimestamp,User,Environment,EnvironmentFiles,UnsetEnvironment"
RUNNING = ("active", "reloading", "refreshing", "deactivating")
_WORD = re.compile(r'"(?P<quoted>(?:[^"\\]++|\\.)*+)"|(?P<plain>[^ "]++)', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:(?P<octal>[0-7]{3})|(?P<sign>.))", re.DOTALL)
_SIGNS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_FILE = re.compile(r"(?P<path>.*) \(ignore_errors=(?P<ignore>yes|no)\)")


@dataclass(frozen=True, slots=True)
class UnitEnvironment:
    """
    The environment of a unit: what itself sets, the files it reads, what it drops again.

    *files* are in their order, with ``-`` in front of one that may be missing; *started* is when its
    process started, None if it has none; *user* is empty for root.
    """

    name: str
    started: datetime | None
    own: Mapping[str, str]
    files: tuple[str, ...]
    dropped: frozenset[str]
    user: str


def ask(name: str, *, user: bool) -> UnitEnvironment:
    """Return the environment of the unit *name*; raise CollectError if systemd cannot tell."""
    (told,) = show([name], PROPERTIES, user=user)
    return read(name, told)


def read(name: str, told: Properties) -> UnitEnvironment:
    """Return the environment that systemd *told* of; raise CollectError if it knows no such unit."""
    if told.get("LoadState") == "not-found":
        raise CollectError(f"systemd knows no unit {name} (correct `unit`)")
    running = told.get("ActiveState") in RUNNING
    started = parse_time(told.get("ExecMainStartTimestamp", "")) if running else None
    own = (word.partition("=") for word in words(told.get("Environment", "")))
    return UnitEnvironment(
        name,
        started,
        {key: value for key, sign, value in own if sign},
        tuple(_files(told.get("EnvironmentFiles", ""))),
        frozenset(words(told.get("UnsetEnvironment", ""))),
        told.get("User", ""),
    )


def words(text: str) -> list[str]:
    """Return the words that systemctl printed in one line, unquoted."""
    return [
        found["plain"] if found["quoted"] is None else _ESCAPE.sub(_sign, found["quoted"])
        for found in _WORD.finditer(text)
    ]


def _sign(match: re.Match[str]) -> str:
    if match["octal"]:
        return chr(int(match["octal"], 8))
    return _SIGNS.get(match["sign"], match["sign"])


def _files(text: str) -> Iterator[str]:
    for line in text.splitlines():
        found = _FILE.fullmatch(line)
        if found is not None:
            yield f"{'-' if found['ignore'] == 'yes' else ''}{found['path']}"
