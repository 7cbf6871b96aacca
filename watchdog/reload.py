"""
The rules file is read anew while the sidecar runs: when somebody asks, or when what it says has changed.

It is checked whole before anything follows from it. One that cannot be used changes nothing: that is an
alert, a metric and a line on the page until there is one that can.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import structlog

from watchdog.changing import change
from watchdog.config import Config
from watchdog.courier import where
from watchdog.errors import ConfigError
from watchdog.fields import secrets_noted
from watchdog.loading import Loading
from watchdog.sidecar import Sidecar
from watchdog.threads import in_thread

LOOK_EVERY = 2.0
"""Seconds between two looks at the files; a change is taken once two looks have seen the same."""
log = structlog.get_logger()


class Seen(NamedTuple):
    """A file as it was seen: what tells whether it was touched, and what it says; None for no such file."""

    touched: tuple[int, ...] | None
    says: str | None


Files = Mapping[str, Seen]
NOTHING_SEEN = Seen(None, None)


class Manager(Protocol):
    """Who wants to know while the file is read anew, as systemd does."""

    def reloading(self) -> None:
        """Hear that it is being read."""

    def reloaded(self) -> None:
        """Hear that this is over."""


class Loaded(NamedTuple):
    """What reading the file brought: a configuration or its problems, and the files that it was read from."""

    config: Config | None
    problems: tuple[str, ...]
    files: frozenset[str]


def read(load: Callable[[], Config]) -> Loaded:
    """Have the rules file read by *load*, and note which files it refers to."""
    with secrets_noted() as secrets:
        try:
            return Loaded(load(), (), frozenset(secrets))
        except ConfigError as exc:
            problems = tuple(problem.render(exc.path) for problem in exc.problems)
            return Loaded(None, problems, frozenset(secrets))


def look(paths: Iterable[str], before: Files) -> Files:
    """Return the files at *paths* as they are; what was not touched since *before* is not read again."""
    return {path: _seen(path, before.get(path, NOTHING_SEEN)) for path in paths}


def _seen(path: str, before: Seen) -> Seen:
    try:
        found = os.stat(path)  # behind all links: a ConfigMap changes where they lead
        touched = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev)
        if touched == before.touched:
            return before
        return Seen(touched, hashlib.sha256(Path(path).read_bytes()).hexdigest())
    except OSError:
        return NOTHING_SEEN


class Reloader:
    """Keeps *sidecar* in step with its rules file."""

    def __init__(
        self,
        sidecar: Sidecar,
        load: Callable[[], Config],
        in_force: Files,
        *,
        fit: Callable[[Config], Awaitable[None]],
        manager: Manager | None = None,
        listens: bool = True,
    ) -> None:
        """
        Have the file read by *load*; those of *in_force* were read at the start.

        *fit* makes what is beside the sidecar fit a new configuration. Unless it *listens* where the file
        says, another address in the file means nothing.
        """
        self._sidecar = sidecar
        self._load = load
        self._path = sidecar.config.path
        self._files = self._in_force = self._judged = in_force
        self._fit = fit
        self._manager = manager
        self._listens = listens
        self._asked = asyncio.Event()
        self._one_by_one = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look at the files from now on."""
        self._task = asyncio.create_task(self._watch(), name="rules file")

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def ask(self) -> None:
        """Have the file read at once, changed or not (SIGHUP)."""
        self._asked.set()

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._asked.wait()
            try:
                if self._asked.is_set():
                    self._asked.clear()
                    await self.reload()
                else:
                    await self.glance()
            except Exception as exc:  # noqa: BLE001 (this is a loop that has to go on)
                log.error("reload_failed", **where(exc))

    async def glance(self) -> None:
        """Look whether the files say something new, and read them once they have said it twice."""
        before, self._files = self._files, await in_thread(partial(look, self._files, self._files))
        if _says(before) == _says(self._files) != _says(self._judged):
            await self.reload()

    async def reload(self) -> Loading:
        """Read the file now, put it in force if it can be, and return how it was taken."""
        async with self._one_by_one:
            if self._manager is not None:
                self._manager.reloading()
            try:
                self._sidecar.loading = await self._reload()
            finally:
                if self._manager is not None:
                    self._manager.reloaded()
            return self._sidecar.loading

    async def _reload(self) -> Loading:
        text = await in_thread(partial(look, [self._path], {}))
        try:
            found = await in_thread(partial(read, self._load))
        except Exception as exc:  # noqa: BLE001 (nothing that a file says may go unanswered)
            found = Loaded(None, (self._own_fault("load_failed", exc),), frozenset())
        now, before = self._sidecar.clock(), self._sidecar.loading
        paths = {self._path, *found.files, *(() if found.config else self._in_force)}
        seen = await in_thread(partial(look, paths, self._files))
        self._files, self._judged = seen, {**seen, **text}  # what changed in the middle is seen as a change
        if found.config is None:
            return self._refuse(before, found.problems)
        if _says(self._judged) == _says(self._in_force):
            log.info("config_unchanged" if before.well else "config_put_back", rules=self._path)
            return before.loaded(now, before.at_restart)
        config, at_restart = self._as_it_can_be(found.config)
        try:
            await change(self._sidecar, config)
        except Exception as exc:  # noqa: BLE001 (nothing that a file says may end the process)
            return self._refuse(before, [self._own_fault("change_failed", exc)])
        self._in_force = self._judged
        await self._fit(config)
        log.info(
            "config_loaded", rules=self._path, services=len(config.services), signals=len(config.signals)
        )
        for sentence in (*config.warnings, *at_restart):
            log.warning("config", rules=self._path, what=sentence)
        return before.loaded(now, at_restart)

    def _own_fault(self, event: str, exc: Exception) -> str:
        """Log where *exc* came from, and return what is said of it: its own words may hold a secret."""
        log.error(event, **where(exc))
        return f"{self._path}: failed inside the watchdog ({type(exc).__name__}); please report it"

    def _refuse(self, before: Loading, problems: Iterable[str]) -> Loading:
        refused = before.refused(self._sidecar.clock(), problems)
        log.error("config_rejected", rules=self._path, problems=list(refused.problems))
        return refused

    def _as_it_can_be(self, config: Config) -> tuple[Config, list[str]]:
        """Return *config*, but with what cannot change now as it is, and a sentence for each such thing."""
        now = self._sidecar.config
        sentences = []
        host, port = config.listen
        if config.listen != now.listen:
            if self._listens:
                here = f"{now.listen[0]}:{now.listen[1]}"
                sentences.append(
                    f"listen: {host}:{port} takes effect at the next start, until then it is {here}"
                )
            own_address = config.link == f"http://{host}:{port}"
            config = replace(config, listen=now.listen, link=now.link if own_address else config.link)
        if config.state != now.state:
            sentences.append(
                f"state: {config.state} takes effect at the next start, until then it is {now.state}"
            )
            config = replace(config, state=now.state)
        return config, sentences


def _says(files: Files) -> dict[str, str | None]:
    return {path: seen.says for path, seen in files.items()}
