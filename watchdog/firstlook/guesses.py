"""
What is guessed from what was seen: services, their signals and what they need, each with its reason.

Nothing is invented: a threshold is never below what was seen, what a night or a weekend may change is left to
be learnt, and what could not be told is said (`Guesses.left_out`, and guesses that are not `sure`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from graphlib import TopologicalSorter

from watchdog.firstlook.families import Family, families_of
from watchdog.firstlook.figures import (
    count_of,
    duration,
    nice_above,
    said,
    silence,
    traffic,
    work,
)
from watchdog.firstlook.keys import flag_of, heartbeats_of, is_heartbeat_stream
from watchdog.firstlook.names import (
    Known,
    service_of_file,
    service_of_key,
    service_of_unit,
    without_common_beginning,
)
from watchdog.firstlook.owners import Owner, Owners
from watchdog.firstlook.results import Results
from watchdog.firstlook.seen import Seen, StreamSeen
from watchdog.topology import find_cycle

REGULAR = timedelta(days=7)
FEWEST_GAPS, LONGEST_PART = 100, 20
"""A silence is declared where a week was seen, so many entries, and no gap longer than such a part of it."""
ROOM = 1.5
LEAST_SILENCE = timedelta(minutes=1)
SWITCHES = "switches"
"""The service of flags that belong to none."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A signal as the file will have it, and why; one that is not *sure* is written as a comment."""

    kind: str
    keys: Mapping[str, object]
    why: str
    sure: bool = True


@dataclass(slots=True)
class Proposed:
    """A service: why it is taken for one, whom it needs and why, what is watched, which rules differ."""

    name: str
    why: str = ""
    needs: dict[str, str] = field(default_factory=dict)
    guesses: list[Guess] = field(default_factory=list)
    rules: dict[str, tuple[Mapping[str, object], str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Guesses:
    """All of it."""

    services: Sequence[Proposed]
    families: Sequence[Family]
    left_out: Sequence[str]

    def count(self, kind: str) -> int:
        """Return how many signals of *kind* the file will have."""
        return sum(g.kind == kind and g.sure for service in self.services for g in service.guesses)


class _Book:
    """The services found so far, in the order in which they were."""

    def __init__(self) -> None:
        self.services: dict[str, Proposed] = {}

    def of(self, name: str, why: str = "") -> Proposed:
        found = self.services.setdefault(name, Proposed(name))
        found.why = found.why or why
        return found


def guess(seen: Seen, now: datetime) -> Guesses:
    """Return what *seen* lets one guess at *now*."""
    families = families_of(seen.streams)
    alike = {key for family in families for key in family.members}
    beating = [s for s in seen.streams if is_heartbeat_stream(s)]
    streams = [s for s in seen.streams if s.key not in alike and s not in beating]
    owners = Owners(streams, _names_told(seen, beating), seen.hosts)
    book = _Book()
    for stream in streams:
        _watch(book, stream, owners, now)
    _need(book, streams, owners)
    known = Known(book.services)
    left_out = _keys(book, known, seen, now)
    for stream in beating:
        name = _known_as(known, service_of_key(stream.key)) or SWITCHES
        book.of(name).guesses.append(Guess("heartbeat", {"stream": stream.key}, traffic(stream)))
    _machine(book, seen)
    return Guesses(list(_causes_first(book.services)), families, [*left_out, *_left_out(seen)])


def _causes_first(services: Mapping[str, Proposed]) -> Iterator[Proposed]:
    """Yield *services*, each after those that it needs."""
    order = TopologicalSorter({name: list(service.needs) for name, service in services.items()})
    yield from (services[name] for name in order.static_order())


def _names_told(seen: Seen, beating: Sequence[StreamSeen]) -> list[str]:
    """Return the names of services that keys, units and logs give away; heartbeats say it best."""
    keys = [key.key for key in seen.heartbeats] + [stream.key for stream in beating]
    names = [name for key in keys if (name := service_of_key(key))]
    known = Known(names)
    for more in (_of_units(seen).values(), _of_logs(seen).values()):
        names += [name for name in more if _known_as(known, name) == name]
        known = Known(names)
    return names


def _known_as(known: Known, name: str) -> str:
    """Return the service that *name* means, or the name itself."""
    return (known.begun(name) or known.ended(name) or name) if name else ""


def _of_units(seen: Seen) -> Mapping[str, str]:
    found = {unit: service_of_unit(unit) for unit in seen.units}
    short = without_common_beginning(sorted(set(found.values())))
    return {unit: short[name] for unit, name in found.items()}


def _of_logs(seen: Seen) -> Mapping[str, str]:
    found = {log.path: service_of_file(log.path) for log in seen.logs}
    short = without_common_beginning(sorted(set(found.values())))
    return {path: short[name] for path, name in found.items()}


# ---- streams -----------------------------------------------------------------------------------


def _watch(book: _Book, stream: StreamSeen, owners: Owners, now: datetime) -> None:
    """Note who writes *stream* and who reads it, and what is to be watched of that."""
    owner = owners.writers[stream.key]
    writer = book.of(owner.service, "" if owner.seen else f"named after a stream: {owner.why}")
    writer.guesses.append(_stream(stream, owner, now))
    results = Results(stream, owners)
    if (found := results.guess()) is not None:
        writer.guesses.append(Guess("executions", found, results.why))
    writer.notes += results.notes
    for group in stream.groups:
        reader = owners.readers[stream.key, group.name]
        keys = {"stream": stream.key, "group": group.name}
        book.of(reader.service, reader.why).guesses.append(Guess("consumes", keys, work(group)))


def _stream(stream: StreamSeen, owner: Owner, now: datetime) -> Guess:
    """
    Return how silence is told: declared where a week of regular life was seen, else learnt.

    What an hour shows says nothing of the night, and a declared silence pages (`StreamSilent`). A silence
    of now counts for nothing: it may be the outage itself.
    """
    gap, quiet = stream.longest_gap, silence(stream, now)
    why = traffic(stream)
    why += f"; silent for {said(quiet)} now" if quiet > max(gap, LEAST_SILENCE) else ""
    why += f"; {owner.why}" if owner.seen else ""
    keys: dict[str, object] = {"key": stream.key}
    if len(stream.entries) > FEWEST_GAPS and stream.span >= REGULAR and gap * LONGEST_PART <= stream.span:
        keys["expect_every"] = duration(nice_above(gap * ROOM))
    return Guess("stream", keys, why)


def _need(book: _Book, streams: Sequence[StreamSeen], owners: Owners) -> None:
    """Have who reads a stream need who writes it, the busiest streams first; a circle is left open."""
    graph: dict[str, list[str]] = {name: [] for name in book.services}
    for stream in sorted(streams, key=_pace, reverse=True):
        writer = owners.writers[stream.key].service
        for reader in owners.reading(stream.key):
            if reader == writer or writer in graph[reader]:
                continue
            graph[reader].append(writer)
            if find_cycle(graph) is None:
                book.services[reader].needs[writer] = stream.key
            else:
                graph[reader].remove(writer)
                book.services[reader].notes.append(
                    f"reads {stream.key} of {writer} as well, but a need of that would go round in a circle"
                )


def _pace(stream: StreamSeen) -> float:
    """Return the entries a second."""
    return len(stream.entries) / max(1.0, stream.span.total_seconds())


# ---- keys --------------------------------------------------------------------------------------


def _keys(book: _Book, known: Known, seen: Seen, now: datetime) -> list[str]:
    """Note heartbeats and flags; return what was left out."""
    left_out: list[str] = []
    for key in seen.heartbeats:
        beats = list(heartbeats_of(key, now))
        if not beats:
            left_out.append(
                f"{key.key}: its name is that of a heartbeat, but it holds no time and never expires"
            )
        for beat in beats:
            if not beat.service:
                left_out.append(f"{key.key}: a heartbeat of one process, whose name changes with every start")
                continue
            service = book.of(_known_as(known, beat.service), "named after its heartbeat")
            service.guesses.append(Guess("heartbeat", beat.keys, beat.why, beat.sure))
            if beat.sure and beat.lives is not None and beat.lives > timedelta(minutes=5):
                when = f"heartbeat.age > {duration(beat.lives)}"
                service.rules["HeartbeatStale"] = {"when": when}, f"it lives for {said(beat.lives)}"
    for key in seen.flags:
        why = flag_of(key)
        if why is None:
            left_out.append(f"{key.key}: its name is that of a switch, but what it holds is none")
        else:
            name = known.same(service_of_key(key.key)) or SWITCHES
            book.of(name, "flags that belong to no service").guesses.append(
                Guess("flag", {"key": key.key}, why)
            )
    return left_out


# ---- this machine ------------------------------------------------------------------------------


def _machine(book: _Book, seen: Seen) -> None:
    """Note units and logs, each under the service that its name means."""
    known = Known(book.services)
    for unit, name in _of_units(seen).items():
        service = book.of(_known_as(known, name), "named after its unit")
        service.guesses.append(Guess("unit", {"name": unit}, "systemd knows it"))
    known = Known(book.services)
    of = _of_logs(seen)
    for log in seen.logs:
        service = book.of(_known_as(known, of[log.path]), "named after its log")
        figures = f"{count_of(log.records, 'record')} at its end, {count_of(log.errors, 'error')}"
        why = f"{figures}, format {log.format}" if log.records else "empty"
        service.guesses.append(Guess("log", {"path": log.path}, why))


# ---- what is not there -------------------------------------------------------------------------

COSTS = {
    "INFO": "the version is not known",
    "TYPE": "heartbeats and flags could not be told from other keys",
    "GET": "heartbeats and flags could not be read",
    "PTTL": "how long a heartbeat lives is not known",
    "HSCAN": "heartbeats and flags in hashes could not be read",
    "XINFO STREAM": "streams could not be looked into",
    "XINFO GROUPS": "consumer groups are missing here",
    "XINFO CONSUMERS": "services are named by their groups alone",
    "XREVRANGE": "silences, results and who writes what could not be guessed",
}


def _left_out(seen: Seen) -> Iterator[str]:
    for command in sorted(seen.refused):
        yield f"Redis refused {command}: {COSTS.get(command, 'what needs it is missing here')}"
    if seen.cut_short:
        yield "time was up before all was seen (look at fewer keys: --match 'PREFIX:*')"
    if seen.more_streams:
        yield f"{count_of(seen.more_streams, 'more stream')}: too many to look into (see `discover`)"
    if seen.more_keys:
        yield f"{count_of(seen.more_keys, 'more key')} with names of heartbeats or flags"
    if seen.untellable:
        yield f"{count_of(seen.untellable, 'key')} with a name that no page could show (no text, or too long)"
    if seen.lists:
        names = ", ".join(seen.lists[:3]) + (", …" if len(seen.lists) > 3 else "")
        yield f"lists ({names}): no signal watches a list; a queue has to be a stream to be judged"
    if not seen.flags:
        yield "no switch was seen; one that is only there while it is set has to be named: flag: {key: …}"
    yield from seen.remarks
