"""What is wrong in a repository of env files: in themselves, and by the settings rules that name them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePath

from watchdog.errors import CollectError
from watchdog.settings.files import EnvFile, Shelf, exposed, known_keys, merged, usable
from watchdog.settings.requirements import Template, of_others, violated
from watchdog.signals.settings import SettingsConfig


@dataclass(frozen=True, slots=True, order=True)
class Flaw:
    """One thing wrong: where, of which kind, what, and the cure."""

    file: str
    line: int
    column: int
    kind: str
    what: str
    cure: str = ""

    def render(self) -> str:
        """Return it as ``FILE:LINE:COL: what (cure)``."""
        cure = f" ({self.cure})" if self.cure else ""
        return f"{self.file}:{self.line}:{self.column}: {self.what}{cure}"


def flaws_of(file: EnvFile) -> Iterator[Flaw]:
    """Yield what is wrong with *file* whatever it is for."""
    refused = (file.text.refused,) if file.text.refused is not None else ()
    for remark in (*refused, *file.text.remarks):
        yield Flaw(file.path, remark.line, remark.column, remark.kind, remark.what, remark.cure)
    # git keeps no such permissions, so in its working tree they say nothing of where the file will be.
    if not any((parent / ".git").exists() for parent in Path(file.path).resolve().parents):
        secret = exposed(file)
        if secret is not None:
            yield Flaw(file.path, 1, 1, "readable-secret", secret)


def likeness(configured: str, path: str) -> int:
    """
    Return how many last parts of *path* are as *configured*: 0 if not even the name is.

    A repository keeps ``etc/quantum/execution.env`` or just ``execution.env`` for what will be
    ``/etc/quantum/execution.env``.
    """
    wanted = PurePath(configured.removeprefix("-")).parts[::-1]
    given = Path(path).absolute().parts[::-1]
    same = 0
    while same < min(len(wanted), len(given)) and fnmatch.fnmatchcase(given[same], wanted[same]):
        same += 1
    return same


class Checker:
    """Holds the files of a repository against the settings rules that are about them."""

    def __init__(self, configs: Sequence[SettingsConfig], files: Sequence[EnvFile], shelf: Shelf) -> None:
        self.configs = configs
        self.files = files
        self._shelf = shelf

    def meant(self, path: str) -> list[SettingsConfig]:
        """Return what is about *path*: the rules that name a path most like it."""
        scores = [max(likeness(name, path) for name in config.file) for config in self.configs]
        best = max(scores, default=0)
        return [config for config, score in zip(self.configs, scores, strict=True) if score == best > 0]

    def violations(self, today: date) -> Iterator[Flaw]:
        """Yield what the rules want of the files and do not find."""
        for config in self.configs:
            given = [file for file in self.files if any(config is one for one in self.meant(file.path))]
            if given:
                yield from self._of(config, given, today)

    def _of(self, config: SettingsConfig, given: Sequence[EnvFile], today: date) -> Iterator[Flaw]:
        layers = [self._found(name, given) for name in config.file]
        found = merged([file for layer in layers for file in layer])
        known = None
        if config.known is not None:
            template = self._found(config.known.file, given) if isinstance(config.known, Template) else []
            known = config.keys_known(frozenset(key for file in template for key in known_keys(file)))
            known = known if template or not isinstance(config.known, Template) else None
        paths = {path: self._found(path, given) for rule in config.agree for path in rule.files}
        others = of_others(config, {path: merged(files) for path, files in paths.items()})
        judgeable = tuple(rule for rule in config.agree if all(paths[path] for path in rule.files))
        rules = config.model_copy(update={"agree": judgeable})
        for one in violated(rules, found, others, known, today):
            # What is not in the files at hand may be in one that the repository does not have.
            if one.key in found or one.key in others or all(layers):
                told = found.get(one.key) or others.get(one.key)
                place = (told.place, told.line) if told is not None else (given[-1].path, 1)
                yield Flaw(*place, 1, one.kind, one.sentence)

    def _found(self, configured: str, given: Sequence[EnvFile]) -> list[EnvFile]:
        """Return what is to be *configured*: one of the files to check, or else one beside *given*."""
        alike = [(likeness(configured, file.path), file) for file in self.files]
        best = max((score for score, _ in alike), default=0)
        if best > 0:
            return [file for score, file in alike if score == best]
        for file in given:
            try:
                return [usable(self._shelf.read(str(Path(file.path).with_name(PurePath(configured).name))))]
            except CollectError:
                continue
        return []
