"""
Whether a process is older than what it was started from: old code that runs on after a deploy.

Looked at are the unit's own files, its env files, its programs and scripts, and whatever the file names as
code. What a package manager puts under /usr is not: that is restarted by other rules.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from watchdog.systemctl.environment import words
from watchdog.systemctl.show import Properties, parse_time

PROPERTIES = "FragmentPath,DropInPaths,EnvironmentFiles,ExecStart,ExecMainStartTimestamp,NeedDaemonReload"
MOST_FILES = 2000
SLACK = timedelta(seconds=1)
"""systemctl prints whole seconds, files have finer ones."""

AGAIN = timedelta(minutes=1)
"""So long what was found holds; the files are not looked at more often."""

_FILE = re.compile(r"(?P<path>.*) \(ignore_errors=(?:yes|no)\)")
_ARGV = re.compile(r"\{ path=(?P<path>.*?) ; argv\[\]=(?P<argv>.*?) ; ignore_errors=")
_OF_PACKAGES = re.compile(r"/(?:usr/(?!local/)|bin/|sbin/|lib\w*/)")
_INTERPRETER = re.compile(
    r"(?:python|pypy|node|ruby|perl|php|bash|sh|dash|java|env|deno|bun|Rscript|lua)[\d.]*"
)
Stamp = tuple[int, int, float]


@dataclass(frozen=True, slots=True)
class Newer:
    """A file that is newer than the process, and since when."""

    path: str
    since: datetime


@dataclass(slots=True)
class Deployment:
    """
    What a process was started from.

    A file counts as changed when it was written after the start. One that was put in its place with an
    older date (rsync -a, git, a symlink moved) is found out if it changes while the process runs.
    """

    start: datetime | None = None
    stamps: dict[str, Stamp] = field(default_factory=dict)
    seen_newer: dict[str, datetime] = field(default_factory=dict)
    newest: Newer | None = None
    _again: datetime | None = None

    def look(self, told: Properties, code: Sequence[str], now: datetime) -> Newer | None:
        """Return what is newer than the unit's process, the first change if there are many."""
        start = parse_time(told.get("ExecMainStartTimestamp", ""))
        if start is None:
            return None
        if start != self.start:
            self.start, self.stamps, self.seen_newer, self._again = start, {}, {}, None
        if self._again is None or not self._again - AGAIN <= now < self._again:
            self.newest = self._newest(start, files_of(told, code), now)
            self._again = now + AGAIN
        return self.newest

    def _newest(self, start: datetime, paths: Iterable[str], now: datetime) -> Newer | None:
        found = []
        for path in islice(dict.fromkeys(paths), MOST_FILES):
            try:
                stamp = _stamp(path)
            except OSError:
                continue  # gone, or not for us to see: that is no newer code
            written = datetime.fromtimestamp(stamp[2], UTC)
            if start + SLACK < written <= now:
                found.append(Newer(path, written))
            elif self.stamps.setdefault(path, stamp) != stamp:
                found.append(Newer(path, self.seen_newer.setdefault(path, now)))
        return min(found, key=lambda newer: newer.since, default=None)


def files_of(told: Properties, code: Sequence[str]) -> Iterator[str]:
    """Yield the files a process of the unit is made from: settings first, then programs, then *code*."""
    yield from filter(None, [told.get("FragmentPath", "")])
    yield from words(told.get("DropInPaths", ""))
    for line in told.get("EnvironmentFiles", "").splitlines():
        if named := _FILE.fullmatch(line):
            yield from glob.iglob(named["path"])
    for command in _ARGV.finditer(told.get("ExecStart", "")):
        programs = [command["path"], *_script(command["path"], command["argv"].split(" ")[1:])]
        yield from (path for path in programs if not _OF_PACKAGES.match(os.path.realpath(path)))
    for pattern in code:
        yield from (path for path in glob.iglob(pattern, recursive=True) if _is_file(path))


def _script(program: str, arguments: Sequence[str]) -> Iterator[str]:
    """Yield what an interpreter is to run; all else in its arguments may be data that changes all day."""
    if _INTERPRETER.fullmatch(Path(program).name):
        named = (word for word in arguments if not word.startswith("-") and "=" not in word)
        yield from (path for path in islice(named, 1) if path.startswith("/") and _is_file(path))


def _stamp(path: str) -> Stamp:
    """Return which file it is and when it was put there, the links on the way to it included."""
    told = os.stat(path)
    place = Path(path)
    links = [os.lstat(part).st_mtime for part in (place, *place.parents) if part.is_symlink()]
    return told.st_ino, told.st_size, max([told.st_mtime, *links])


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False
