"""
Why a unit fails, found by looking: at the files it names, and at the end of its journal.

It is looked for only when a unit fails; what it costs a healthy one is nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from watchdog.errors import CollectError
from watchdog.excerpts import excerpt
from watchdog.logs.journalctl import Entry, Journalctl, at_second, read_entry
from watchdog.systemctl.environment import words
from watchdog.systemctl.executables import Account, account, why_not_executable, why_unreachable
from watchdog.systemctl.show import FOREVER, Properties
from watchdog.units import plain

PROPERTIES = (
    "LoadError,ExecStart,ExecStartPre,WorkingDirectory,User,Group,RootDirectory,RootImage,EnvironmentFiles,"
    "ReadWritePaths,ReadOnlyPaths,InaccessiblePaths,MemoryMax,StartLimitBurst,"
    "StartLimitIntervalUSec"
)
LINES = 10
SHOWN = 5
LONGEST = 300
PATIENCE = 1.5  # seconds for the journal
ERROR = 3  # the priority of the journal from which on it is one

_COMMAND = re.compile(r"\{ path=(?P<path>.*?) ; argv\[\]=.*? ; ignore_errors=.*?status=(?P<status>\d+)")
_FILE = re.compile(r"(?P<path>.*) \(ignore_errors=no\)")
_OUTPUT = re.compile(r"^(Standard(?:Output|Error)=(?:append|file|truncate):(/[^\s%]+))\s*$", re.MULTILINE)
_GLOB = re.compile(r"[*?\[]")
_SYSTEMD_SAYS = re.compile(r"(?:Start|Stopp|Finish|Reload)(?:ed|ing) |Failed to start ")
_KEYS_OF_PATHS = ("ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths")


def culprit(told: Properties) -> str | None:
    """Name in one sentence what keeps the unit from running, or None if looking does not tell."""
    if told.get("RootImage"):
        return None  # its files are in an image
    look = _BY_LOAD.get(told.get("LoadState", "")) or _BY_RESULT.get(told.get("Result", "")) or _by_status
    try:
        return look(told)
    except OSError as exc:
        return f"{plain(str(exc.filename))} cannot be looked at: {exc.strerror}" if exc.filename else None


def _load_error(told: Properties) -> str | None:
    text = told.get("LoadError", "").partition(" ")[2].strip('"')
    return excerpt(text, LONGEST) or None


def _not_executable(told: Properties) -> str | None:
    commands = [c for key in ("ExecStartPre", "ExecStart") for c in _COMMAND.finditer(told.get(key, ""))]
    failed = [c for c in commands if c["status"] == "203"] or commands
    who = _account(told)
    if isinstance(who, str):
        return who
    found = (why_not_executable(_inside(told, command["path"]), who) for command in failed)
    return next((why for why in found if why is not None), None)


def _no_directory(told: Properties) -> str | None:
    folder, who = told.get("WorkingDirectory", "").lstrip("!-"), _account(told)
    if isinstance(who, str) or not folder.startswith("/"):
        return None if not isinstance(who, str) else who
    place = _inside(told, folder)
    if (closed := why_unreachable(place, who)) is not None:
        return f"its WorkingDirectory cannot be entered: {closed}"
    if not place.is_dir():
        return f"its WorkingDirectory {plain(folder)} is no directory"
    return (
        None if who.may(place, 1) else f"user {who.name} may not enter its WorkingDirectory {plain(folder)}"
    )


def _no_account(told: Properties) -> str | None:
    who = _account(told)
    return f"{who} (User= and Group= of the unit)" if isinstance(who, str) else None


def _no_output(told: Properties) -> str | None:
    """Look for the file of StandardOutput= or StandardError=; only the unit's own files name it."""
    who = account("")  # systemd opens it before it changes the user
    for file in filter(None, [told.get("FragmentPath", ""), *words(told.get("DropInPaths", ""))]):
        for line, path in _OUTPUT.findall(Path(file).read_text(errors="replace")):
            place = _inside(told, path)
            closed = why_unreachable(place.parent, who) if isinstance(who, Account) else None
            if closed is not None or place.is_dir():
                return f"{plain(line)} cannot be opened: {closed or 'it is a directory'}"
    return None


def _no_namespace(told: Properties) -> str | None:
    for key in _KEYS_OF_PATHS:
        for path in words(told.get(key, "")):
            if path.startswith("/") and not _inside(told, path).exists():
                return f"{key}= names {plain(path)}, which does not exist (make it, or write -{plain(path)})"
    return None


def _no_env_file(told: Properties) -> str | None:
    """Look for an EnvironmentFile= that has to be there and is not, or that cannot be read."""
    for line in told.get("EnvironmentFiles", "").splitlines():
        found = _FILE.fullmatch(line)
        if found is None or _GLOB.search(found["path"]):
            continue
        place = Path(found["path"])
        if not place.exists():
            return f"EnvironmentFile={plain(found['path'])} does not exist"
        if place.is_dir():
            return f"EnvironmentFile={plain(found['path'])} is a directory"
    return None


def _no_memory(told: Properties) -> str | None:
    limit = told.get("MemoryMax", "")
    if limit in FOREVER or not limit.isdecimal():
        return "the kernel killed it because the machine or its slice had no memory left"
    return f"the kernel killed it at its memory limit of {int(limit) / 2**20:.0f} MiB (MemoryMax=)"


def _gave_up(told: Properties) -> str | None:
    burst, span = told.get("StartLimitBurst", "5"), told.get("StartLimitIntervalUSec", "10s")
    how = (
        "with exit status 0, so nothing in it stays running"
        if told.get("ExecMainStatus") == "0"
        else "failing"
    )
    return f"it ended {plain(burst)} times within {plain(span)}, the last time {how}, and systemd gave up"


_BY_LOAD: Mapping[str, Callable[[Properties], str | None]] = dict.fromkeys(
    ("not-found", "bad-setting", "error", "masked"), _load_error
)
_BY_RESULT: Mapping[str, Callable[[Properties], str | None]] = {
    "oom-kill": _no_memory,
    "start-limit-hit": lambda told: _by_status(told) or _gave_up(told),
    "resources": lambda told: _no_env_file(told) or _by_status(told),
}
_BY_STATUS: Mapping[int, Callable[[Properties], str | None]] = {
    200: _no_directory,
    203: _not_executable,
    209: _no_output,
    222: _no_output,
    216: _no_account,
    217: _no_account,
    226: _no_namespace,
}


def _by_status(told: Properties) -> str | None:
    status = told.get("ExecMainStatus", "")
    look = _BY_STATUS.get(int(status)) if status.isdecimal() else None
    return None if look is None else look(told)


def _account(told: Properties) -> Account | str:
    return account(told.get("User", ""), told.get("Group", ""))


def _inside(told: Properties, path: str) -> Path:
    """Return *path* as it is seen from here, which is not the unit's root where it has its own."""
    return Path(f"{told.get('RootDirectory', '').rstrip('/')}{path}")


# ---- the journal ---------------------------------------------------------------------------------


def last_words(unit: str, since: datetime | None, *, user: bool) -> dict[str, object]:
    """Return the end of what the journal holds of the unit from *since* on, and the line that tells most."""
    try:
        entries = _entries(unit, since, user=user)
    except CollectError as exc:
        return {"journal": str(exc)}
    lines = [excerpt(entry.message.decode(errors="replace"), LONGEST) for entry in entries]
    telling = [(line, e) for line, e in zip(lines, entries, strict=True) if not _SYSTEMD_SAYS.match(line)]
    worst = [line for line, entry in telling if entry.priority is not None and entry.priority <= ERROR]
    own = [line for line, _ in telling if not line.startswith(f"{unit}: ")]
    about = [line for line, _ in telling if line.startswith(f"{unit}: Failed to ")]
    last = next(iter([*reversed(worst), *reversed(own), *reversed(about)]), None)
    found: dict[str, object] = {} if last is None else {"last_error": last}
    return found | ({"last_lines": lines[-SHOWN:]} if lines else {})


def _entries(unit: str, since: datetime | None, *, user: bool) -> list[Entry]:
    """
    Return the newest entries: the unit's own, and those of systemd about it.

    Not by the ID of the run: of a process that ends at once journald often learns no more than its unit.
    """
    of_unit = ["-u", unit]
    if user:  # of a process that ended at once journald may not know that it was a user's
        name = unit if "." in unit else f"{unit}.service"
        of_unit = [f"_SYSTEMD_USER_UNIT={name}", "+", f"USER_UNIT={name}", "+", f"_SYSTEMD_UNIT={name}"]
    of_run = [] if since is None else [f"--since={at_second(since)}"]
    journal = Journalctl(["-n", str(LINES), *of_run, *of_unit])
    try:
        lines: list[bytes] = []
        stop = time.monotonic() + PATIENCE
        while not journal.ended and (left := stop - time.monotonic()) > 0:
            lines += journal.take(left, left)[0]
        entries = [entry for entry in map(read_entry, lines) if entry is not None]
        if not entries:
            journal.check(f"the journal of {unit}")
    finally:
        journal.close()
    return entries
