"""
What rules.yaml can name and a class answers to: our own, and what other packages bring.

A class is loaded when somebody asks for it by its name. Other packages offer theirs as entry points, and
nobody looks for these before a file names what is none of ours.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from watchdog.errors import PluginError
from watchdog.excerpts import excerpt
from watchdog.later import later

if TYPE_CHECKING:
    from importlib import metadata
else:
    metadata = later("importlib.metadata")

T = TypeVar("T")
LONGEST = 200
MEND = "have its author mend it, or uninstall it"
NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
"""What a kind may be called: the word stands in conditions and in the names of metrics."""


class Kinds(Mapping[str, type[T]], Generic[T]):
    """
    Classes by the names that a rules file knows them by, ours in our order.

    To go over them brings ours and those of other packages that were asked for before.
    """

    def __init__(self, what: str, group: str, own: Mapping[str, str], unfit: str):
        """
        Take *own* as name → ``module:class``, and others from the entry points of *group*.

        *what* is what one of them is called; *unfit* (``module:function``) says of a name and the class
        offered under it why it cannot be used, or nothing.
        """
        self.what = what
        self.group = group
        self._own = own
        self._unfit = unfit
        self._loaded: dict[str, type[T]] = {}
        self._foreign: dict[str, str] = {}

    def __getitem__(self, name: str) -> type[T]:
        """Return the class called *name*; KeyError if there is none, PluginError if it cannot be used."""
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        """Say whether *name* is ours or was asked for before: nothing is looked for."""
        return name in self._own or name in self._foreign

    def __iter__(self) -> Iterator[str]:
        return iter((*self._own, *self._foreign))

    def __len__(self) -> int:
        return len(self._own) + len(self._foreign)

    def name_of(self, found: type) -> str:
        """Return the name under which *found* was asked for."""
        return next(name for name, loaded in self._loaded.items() if loaded is found)

    def brought_by(self, name: str) -> str:
        """Return the package that brings *name*; ours are brought by nobody."""
        return self._foreign.get(name, "")

    def offered(self) -> Mapping[str, str]:
        """Return the names that other packages offer, each with its package; be they of use or not."""
        return {point.name: _package(point) for point in metadata.entry_points(group=self.group)}

    def adopt(self, name: str) -> bool:
        """
        Take *name* from the package that offers it, and say whether one does; PluginError if it is of no use.

        One of ours stays ours, and of a name that two packages offer neither is taken.
        """
        points = list(metadata.entry_points(group=self.group, name=name))
        if not points:
            return False
        said = f'the {self.what} "{name}" of the package {_package(points[0])}'
        if name in self._own:
            raise PluginError(f"{said} is called like a built-in one", "uninstall it, or have it renamed")
        if len(points) > 1:
            raise PluginError(f"{said} is also in {_package(points[1])}", "uninstall one of the two")
        if name in self._foreign:
            return True
        if not NAME.fullmatch(name):
            raise PluginError(f"{said} has a name that no rule could write", "have it renamed")
        try:
            found = points[0].load()
        except (Exception, SystemExit) as exc:  # it is not our code, and may raise anything
            why = excerpt(f"{type(exc).__name__}: {exc}", LONGEST)
            raise PluginError(f"{said} cannot be loaded: {why}", MEND) from exc
        if why := _at(self._unfit)(name, found):
            raise PluginError(f"{said} does not fit: {why}", MEND)
        self._loaded[name] = found
        self._foreign[name] = _package(points[0])
        return True

    def adopt_all(self) -> list[str]:
        """Take whatever other packages offer; return in a sentence each why some of it is of no use."""
        said = []
        for name in self.offered():
            try:
                self.adopt(name)
            except PluginError as exc:
                said.append(str(exc))
        return said

    def _load(self, name: str) -> type[T]:
        if name not in self._own:
            raise KeyError(name)
        found: type[T] = _at(self._own[name])
        return found


def _at(home: str) -> Any:
    """Return what stands at *home*, ``module:name``."""
    module, _, name = home.partition(":")
    return getattr(importlib.import_module(module), name)


def _package(point: metadata.EntryPoint) -> str:
    """Return the name and version of the package that has *point*."""
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "of unknown name"
