"""Which files a log's paths and globs mean now: each file once, and none that rotation put away."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable

from watchdog.errors import CollectError
from watchdog.logs.generations import is_compressed, rotated_from

_Place = tuple[int, int]


class Globs:
    """
    Finds the files of *paths*; a path without wildcards stands even if it is missing.

    What is idle costs a listing and a stat for each name: only names that were not there before are
    looked at more closely.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._plain = [path for path in paths if not glob.has_magic(path)]
        self._magic = [path for path in paths if glob.has_magic(path)]
        self._listed: list[str] = []
        self._live: list[str] = []
        self._compressed: dict[str, bool] = {}
        self._places: dict[str, _Place] = {}  # of what was read last time
        self._renamed: dict[str, _Place] = {}

    def __call__(self) -> list[str]:
        """Return the files to be read; raise CollectError if there is none."""
        listed = [name for path in self._magic for name in sorted(glob.glob(path, recursive=True))]
        if listed != self._listed:
            self._live = self._kept(listed)
            self._listed = listed
        before, self._places = self._places, {}
        taken: set[_Place] = set()
        names = dict.fromkeys(self._plain)
        for name in [*self._plain, *self._live]:
            place = _place(name)
            if place is None or (
                name not in names and (place in taken or self._is_renamed(name, place, before))
            ):
                continue
            taken.add(place)
            names[name] = None
            self._places[name] = place
        if not names:
            raise CollectError(f"no file matches {', '.join(self._magic)}")
        return list(names)

    def _kept(self, listed: list[str]) -> list[str]:
        """Return the names of *listed* that are neither compressed nor what another was rotated to."""
        self._compressed = {
            name: self._compressed[name] if name in self._compressed else is_compressed(name)
            for name in listed
        }
        live = [name for name in dict.fromkeys(listed) if not self._compressed[name] and os.path.isfile(name)]
        folders: dict[str, list[str]] = {}
        for name in {*live, *self._plain}:
            folders.setdefault(os.path.dirname(name), []).append(os.path.basename(name))
        return [
            name
            for name in live
            if not any(rotated_from(os.path.basename(name), one) for one in folders[os.path.dirname(name)])
        ]

    def _is_renamed(self, name: str, place: _Place, before: dict[str, _Place]) -> bool:
        """Say whether *name* is new for a file that is read under the name that it had."""
        if name not in before and (self._renamed.get(name) == place or place in before.values()):
            self._renamed[name] = place
            return True
        self._renamed.pop(name, None)
        return False


def _place(name: str) -> _Place | None:
    """Return which file a name leads to, through links."""
    try:
        status = os.stat(name)
    except OSError:
        return None
    return status.st_dev, status.st_ino
