"""
`watchdog check --connect`: whether every key, stream, group, file, unit and URL of a file exists.

A rule on a key nobody writes never speaks, and nothing ever says so. This asks once, only to read, and
looks for nothing that the file does not name: where it suggests a name, it is one that it has seen anyway.
"""

from __future__ import annotations

import asyncio
import glob
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from watchdog.config import Config, SignalSpec
from watchdog.errors import CollectError, SourceDownError
from watchdog.fleet import Fleet, server_named
from watchdog.logs.seen import describe_log
from watchdog.model import Reading, SignalKey
from watchdog.presence import Finding, Keyspace, Outcome, Wanted, each, judge, named, near, wanted_keys
from watchdog.programs import Program
from watchdog.settings.files import is_backup
from watchdog.signals.base import Command, LocalSignal, RedisSignal, Refused, Reply
from watchdog.signals.nodes import Away
from watchdog.threads import in_thread
from watchdog.units import show_duration
from watchdog.waiting import Told, telling
from watchdog.wire import Batch, Wire

PATIENCE = 20.0
"""How many seconds all of it may take."""
AT_ONCE = 250
MOST_FILES = 5
UNANSWERED = ("dns", "refused", "no_connection", "tls", "not_http", "redirects")
"""Problems of an address at which there is no such service."""
NOT_THERE = (404.0, 410.0)
NO_KEY = "needs no key to be there"
LISTING = ("systemctl", "list-unit-files", "--plain", "--no-legend", "--no-pager")


async def connect(
    config: Config, now: datetime, patience: float = PATIENCE, told: Told | None = None
) -> list[Finding]:
    """
    Return what is found of every signal of *config*, in the file's order.

    Whatever gives no answer within *patience* seconds is unsure; *told* hears what has not answered
    yet. Nothing is written or left behind.
    """
    fleet = Fleet(config)
    try:
        tasks = [_task(_discovered(fleet, now)), *(_task(_server(fleet, name)) for name in fleet.readers)]
        local = {spec.key: _task(_beside(spec, now)) for spec in config.signals if _is_beside(spec)}
        asked = dict(zip(("discovery", *map(server_named, fleet.readers)), tasks, strict=True))
        asked |= {f"{key.kind} of {key.service}": task for key, task in local.items()}
        async with telling(lambda: [name for name, task in asked.items() if not task.done()], told):
            await asyncio.wait([*tasks, *local.values()], timeout=patience)
        found = {f.key: f for task in tasks if task.done() for f in task.result()}
        found |= {key: _told(key, task) for key, task in local.items() if task.done()}
    finally:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await fleet.close()
    late = f"no answer within {show_duration(patience)}"
    wanted = [s.key for s in config.signals if _is_in_redis(s) or _is_beside(s) or s.key.kind == "discovery"]
    return [found.get(key) or Finding(key, Outcome.UNSURE, late) for key in wanted]


def _told(key: SignalKey, task: asyncio.Task[Finding]) -> Finding:
    """Return what *task* found; a failure of ours says nothing of the others."""
    failure = task.exception()
    if failure is None:
        return task.result()
    why = f"looking failed inside the watchdog ({type(failure).__name__}); please report it"
    return Finding(key, Outcome.UNSURE, why)


def _is_in_redis(spec: SignalSpec) -> bool:
    return issubclass(spec.type, RedisSignal)


def _is_beside(spec: SignalSpec) -> bool:
    return issubclass(spec.type, LocalSignal)


def _task(work: Any) -> asyncio.Task[Any]:
    return asyncio.create_task(work)


# ---- in Redis ----------------------------------------------------------------------------------


async def _server(fleet: Fleet, name: str) -> list[Finding]:
    """Return what is found of the signals that are read from the server called *name*."""
    specs = [spec for spec in fleet.config.signals if spec.server == name and _is_in_redis(spec)]
    wanted = {spec.key: wanted_keys(spec.key.kind, spec.config) for spec in specs}
    own = next(key for key in wanted if key.kind == "redis")
    wire = fleet.readers[name].wire
    try:
        seen = await _keyspace(wire, [one for some in wanted.values() for one in some])
    except SourceDownError as exc:
        searched = [scout.key for scout in fleet.scouts if scout.server == name]
        return [Finding(key, Outcome.UNREACHABLE, str(exc)) for key in [*wanted, *searched]]
    answers = Finding(own, Outcome.THERE, f"Redis at {wire.place} answers")
    return [
        answers if key == own else judge(key, some, seen) if some else Finding(key, Outcome.THERE, NO_KEY)
        for key, some in wanted.items()
    ]


async def _keyspace(wire: Wire, wanted: Sequence[Wanted]) -> Keyspace:
    """Ask for the type of every key, and for the groups of every stream of which one is wanted."""
    names = list(dict.fromkeys(one.name for one in wanted))
    await _ask(wire, [("PING",)])
    types = dict(zip(names, await _ask(wire, [("TYPE", name) for name in names]), strict=True))
    streams = [n for n in dict.fromkeys(o.name for o in wanted if o.group) if types[n] == b"stream"]
    groups = dict(zip(streams, await _ask(wire, [("XINFO", "GROUPS", s) for s in streams]), strict=True))
    replies = [*types.items(), *groups.items()]
    return Keyspace(
        types={name: reply.decode() for name, reply in types.items() if isinstance(reply, bytes)},
        groups={s: _names_of(reply) for s, reply in groups.items() if not isinstance(reply, Refused)},
        refused={name: _why(reply) for name, reply in replies if isinstance(reply, Refused)},
    )


async def _ask(wire: Wire, commands: Sequence[Command]) -> list[Reply]:
    replies: list[Reply] = []
    for i in range(0, len(commands), AT_ONCE):
        replies += await wire.ask(Batch(commands[i : i + AT_ONCE]))
    return replies


def _names_of(groups: Sequence[Sequence[bytes]]) -> list[str]:
    """Return the names of groups as XINFO GROUPS tells them."""
    return [dict(zip(g[::2], g[1::2], strict=True))[b"name"].decode("utf-8", "replace") for g in groups]


def _why(refused: Refused) -> str:
    return refused.why if isinstance(refused, Away) else str(refused)


async def _discovered(fleet: Fleet, now: datetime) -> list[Finding]:
    """Return how much each item of `discover` finds, where its Redis answers."""
    await fleet.discover(now)
    return [_found(scout.key, told) for scout in fleet.scouts if (told := scout.reading(now)) is not None]


def _found(key: SignalKey, told: Reading) -> Finding:
    count = told.values.get("found")
    if not isinstance(count, float):
        return Finding(key, Outcome.UNSURE, told.trouble or "cannot be told")
    if not count:
        return Finding(key, Outcome.MISSING, "no key fits its patterns")
    return Finding(key, Outcome.THERE, f"finds {count:,.0f} streams, groups and heartbeats")


# ---- beside it -----------------------------------------------------------------------------------


async def _beside(spec: SignalSpec, now: datetime) -> Finding:
    """Return what is found of a signal that is read from this machine or over HTTP."""
    try:
        return await in_thread(partial(LOOKS.get(spec.key.kind, _foreign), spec, now))
    except CollectError as exc:
        return Finding(spec.key, Outcome.UNSURE, str(exc))


def _look(spec: SignalSpec, now: datetime) -> Reading:
    signal = spec.build(timedelta(0))
    assert isinstance(signal, LocalSignal)
    return signal.look_here(now)


def _foreign(spec: SignalSpec, now: datetime) -> Finding:
    """Look once: of a signal that another package brings nothing else is known."""
    _look(spec, now)
    return Finding(spec.key, Outcome.THERE, "could be read")


def _unit(spec: SignalSpec, now: datetime) -> Finding:
    config: Any = spec.config
    state = _look(spec, now).values["state"]
    if state != "not-found":
        return Finding(spec.key, Outcome.THERE, f"is {state}")
    listed = Program([*LISTING, *(["--user"] if config.user else [])], dict(os.environ), None)
    lines = listed.run(timedelta(seconds=5)).out.splitlines()
    full = config.name if "." in config.name else f"{config.name}.service"
    meant = near(full, [line.split()[0] for line in lines if line.strip()])
    return Finding(spec.key, Outcome.MISSING, "systemd knows no such unit", meant)


def _health(spec: SignalSpec, now: datetime) -> Finding:
    reading = _look(spec, now)
    reason, problem = reading.evidence.get("reason"), reading.values["problem"]
    if problem in UNANSWERED or reading.values.get("status") in NOT_THERE:
        return Finding(spec.key, Outcome.MISSING, str(reason))
    if problem == "ok" or "status" in reading.values:
        return Finding(spec.key, Outcome.THERE, "answers" if problem == "ok" else f"answers, but {reason}")
    return Finding(spec.key, Outcome.UNREACHABLE, str(reason))


def _command(spec: SignalSpec, now: datetime) -> Finding:
    config: Any = spec.config
    program = config.run[0]
    path = config.environment()["PATH"].split(os.pathsep)
    places = [program] if "/" in program else [f"{folder}/{program}" for folder in path]
    if not any(os.path.isfile(Path(config.cwd or "", place)) for place in places):
        return Finding(spec.key, Outcome.MISSING, f"there is no program {program}", near_path(places[0]))
    return Finding(spec.key, Outcome.THERE, f"says {_look(spec, now).values['status']}")


def _log(spec: SignalSpec, now: datetime) -> Finding:
    config: Any = spec.config
    if not config.path:
        _look(spec, now)
        return Finding(spec.key, Outcome.THERE, "its journal can be read")
    chosen = None if config.format == "auto" else config.format
    return _files(spec.key, config.path, lambda path: str(describe_log(path, format=chosen)))


def _settings(spec: SignalSpec, _: datetime) -> Finding:
    config: Any = spec.config
    beside = [config.baseline] if config.baseline is not None else []
    names = [path for name in each(config.file) for path in _read_of(name)]
    return _files(spec.key, [*names, *beside], _readable)


def _read_of(name: str) -> Sequence[str]:
    """Return what is read of an env file's *name*; as in a unit, what stands behind a - may be missing."""
    path = name.removeprefix("-")
    if glob.has_magic(path):
        found = [one for one in sorted(glob.glob(path)) if not is_backup(one)]
    else:
        found = [path] if os.path.lexists(path) else []
    return found or ([] if name.startswith("-") else [path])


def _readable(path: str) -> str:
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as exc:
        raise CollectError(f"{path} cannot be read: {exc.strerror}") from exc
    return "can be read"


LOOKS: Mapping[str, Callable[[SignalSpec, datetime], Finding]] = {
    "log": _log,
    "unit": _unit,
    "health": _health,
    "command": _command,
    "settings": _settings,
}
"""How to find out whether what a signal names is there."""


def _files(key: SignalKey, names: Sequence[str], describe: Callable[[str], str]) -> Finding:
    """Return what is found of files and patterns of files."""
    there: list[str] = []
    for name in names:
        some = sorted(glob.glob(name)) if glob.has_magic(name) else [name] if os.path.lexists(name) else []
        if not some:
            what = f"no file matches {name}" if glob.has_magic(name) else f"there is no file {name}"
            return Finding(key, Outcome.MISSING, what, "" if glob.has_magic(name) else near_path(name))
        there += some
    told = [f"{path}: {describe(path)}" for path in there[:MOST_FILES]]
    more = there[MOST_FILES:]
    return Finding(key, Outcome.THERE, "; ".join([*told, *([f"and {named(more)}"] if more else [])]))


def near_path(name: str) -> str:
    """Return a file that exists and is called almost so: its last part or a folder may be misspelt."""
    path = Path(name)
    wrong = next((p for p in (path, *path.parents) if p.parent.is_dir()), path)
    try:
        meant = near(wrong.name, os.listdir(wrong.parent))
    except OSError:
        return ""
    return str(wrong.parent / meant / path.relative_to(wrong)) if meant else ""
