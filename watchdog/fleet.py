"""
All that is looked at: the signals of the file and those that are discovered, and what they are read with.

What is discovered comes and goes while the sidecar runs, and so does what the file names, when it is read
anew. The rules are then bound anew; what stays keeps its guards, and so its alerts, its windows and its rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from watchdog.config import OWN_SERVICES, Config, ServerSpec, SignalSpec
from watchdog.errors import SourceDownError
from watchdog.model import Reading, SignalKey
from watchdog.reader import RedisReader, down
from watchdog.redisurl import same_place
from watchdog.report import Figures, counters_of, figures_of
from watchdog.rules import Binding, Offer
from watchdog.scout import Ask, Discovered, Scout
from watchdog.signals.base import Command, Reply, Signal
from watchdog.signals.consumes import Consumes
from watchdog.signals.stream import Stream, share_out
from watchdog.sources import Source, Timed, Turn, go_on, local_sources, watch
from watchdog.wire import Batch, open_wire

EACH_CONSUMER = "redis_exporter"
"""The name under `compat` for whose sake every consumer is asked for at every tick."""
Memory = Mapping[str, Mapping[str, Any]]
Counters = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Bound:
    """The rules on signals, and what is shown of those."""

    binding: Binding
    figures: Figures
    counters: Counters
    services: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Changed:
    """
    What another file made of the signals: those that came, went, and were built anew.

    Of the last, *recalling* are those whose next look tells their past once more. *left* are the readers
    that are asked no more, and *brought* what was seen before the change and not yet told.
    """

    added: tuple[SignalKey, ...]
    gone: tuple[SignalKey, ...]
    rebuilt: tuple[SignalKey, ...]
    recalling: tuple[SignalKey, ...]
    left: tuple[RedisReader, ...]
    brought: tuple[Reading, ...]


class Fleet:
    """The signals, their sources and the rules on them, as they are at the moment."""

    def __init__(self, config: Config) -> None:
        """Watch what *config* names; what it has to discover is not known yet."""
        self.config = config
        self.readers: dict[str, RedisReader] = {}
        self.signals: dict[SignalKey, Signal[Any]] = {}
        self.specs: dict[SignalKey, SignalSpec] = {}
        self.scouts: list[Scout] = []
        self.sources: list[Source] = []
        self._redis: dict[str, Source] = {}
        self._searches: dict[Scout, Source] = {}
        self._servers: Mapping[str, ServerSpec] = {}
        self._brought: list[Discovered] = []
        self.binding: Binding
        self.figures: Figures
        self.counters: Counters = frozenset()
        self.services: Mapping[str, bool]
        self.change(config)

    # ---- what is discovered ----------------------------------------------------------------------

    def take(self, found: Sequence[Discovered] | None = None) -> Discovered:
        """Take in what the scouts brought since the last time, or *found*; return what came and went."""
        brought = self._brought if found is None else found
        self._brought = []
        added = tuple(spec for one in brought for spec in one.added if spec.key not in self.signals)
        gone = tuple(key for one in brought for key in one.gone if key in self.signals)
        if added or gone:
            for spec in added:
                self.signals[spec.key], self.specs[spec.key] = _built(spec, self.config), spec
            for key in gone:
                del self.signals[key], self.specs[key]
            for name in {spec.server for spec in added} | set(self._redis if gone else ()):
                watch(self._redis[name], self._of_server(name))
            self._bind(_bound(self.config, self.specs))
        return Discovered(added, gone)

    def remember(self, memory: Memory) -> None:
        """Take back what was found by an earlier process."""
        self.take([scout.remember(memory.get(str(scout.key), {})) for scout in self.scouts])

    def memory(self) -> Memory:
        """Return what the next process should know of what was found."""
        return {str(scout.key): scout.memory() for scout in self.scouts}

    @property
    def version(self) -> Sequence[int]:
        """Return what changes whenever `memory` does."""
        return [scout.roster.version for scout in self.scouts]

    async def discover(self, now: datetime) -> None:
        """Find all there is at once, for a look that has no second one."""
        for scout in self.scouts:
            try:
                self._brought.append(await scout.whole_round(self._asking(scout), now))
            except SourceDownError:
                continue  # the look itself will say so
        self.take()

    def _searching(self, scout: Scout) -> Source:
        async def search(_: Sequence[Scout], now: datetime) -> list[Reading]:
            try:
                self._brought.append(await scout.step(self._asking(scout), now))
            except SourceDownError:
                return []  # its server's own signals say so
            told = scout.reading(now)
            return [] if told is None else [told]

        turn = Turn(self.config.every, (self.signals[scout.key],), scout)
        return Source(str(scout.key), [turn], search, down)

    def _asking(self, scout: Scout) -> Ask:
        wire = self.readers[scout.server].wire

        async def ask(commands: Sequence[Command]) -> Sequence[Reply]:
            return await wire.ask(Batch(commands))

        return ask

    # ---- what the file names ---------------------------------------------------------------------

    def change(self, config: Config) -> Changed:
        """
        Watch what *config* names from now on.

        What is as before goes on as it is, in the middle of its rest or its look. Whatever fails, fails
        before anything is changed.
        """
        readers = {name: self._reader(name, server) for name, server in config.servers.items()}
        scouts, found = self._scouted(config)
        specs = {spec.key: spec for spec in (*config.signals, *found)}
        bound = _bound(config, specs)
        reach = _reach(bound.binding)
        stay = {key for key, spec in specs.items() if self._stays(spec, config, bound.counters, reach)}
        signals = {
            key: self.signals[key] if key in stay else _built(spec, config) for key, spec in specs.items()
        }
        for signal in signals.values():
            if isinstance(signal, Consumes):
                signal.each_consumer = EACH_CONSUMER in config.compat
        share_out([signal for signal in signals.values() if isinstance(signal, Stream)])

        rebuilt = tuple(key for key in signals if key in self.signals and key not in stay)
        change = Changed(
            tuple(key for key in signals if key not in self.signals),
            tuple(key for key in self.signals if key not in signals),
            rebuilt,
            tuple(key for key in rebuilt if signals[key].RECALLS),
            tuple(reader for reader in self.readers.values() if reader not in readers.values()),
            tuple(r for source in self.sources for r in source.brought() if r.signal in stay),
        )
        if scouts is not self.scouts:
            self._brought = []  # it is in what the new ones were told
        for name in {self.specs[key].server for key in (*rebuilt, *change.gone)} & self._redis.keys():
            self._redis[name].break_off()
        self.config, self.signals, self.specs, self.scouts = config, signals, specs, scouts
        self._servers = config.servers
        self._arrange(readers)
        self._bind(bound)
        return change

    def _reader(self, name: str, server: ServerSpec) -> RedisReader:
        if self._servers.get(name) == server:
            return self.readers[name]
        return RedisReader(open_wire(server.url.get_secret_value(), server.timeout.total_seconds()))

    def _scouted(self, config: Config) -> tuple[list[Scout], list[SignalSpec]]:
        """Return the scouts for *config*, and what is watched by what they found or were told."""
        before = self.config
        alike = self.scouts and (
            config.discover == before.discover
            and config.every == before.every
            and [spec.key for spec in config.signals] == [spec.key for spec in before.signals]
            and self._same_places(config)
        )
        if alike:
            declared = {spec.key for spec in before.signals}
            return self.scouts, [spec for key, spec in self.specs.items() if key not in declared]
        scouts = [Scout(plan, config) for plan in config.discover]
        known: dict[str, dict[str, Any]] = {}  # by server: another pattern is another scout
        for scout in self.scouts:
            known.setdefault(scout.server, {}).update(scout.memory())
        told = [scout.remember(known.get(scout.server, {})) for scout in scouts]
        return scouts, [spec for one in told for spec in one.added]

    def _same_places(self, config: Config) -> bool:
        names = [*config.servers]
        return names == [*self._servers] and all(self._same_place(name, config) for name in names)

    def _same_place(self, name: str, config: Config) -> bool:
        """Say whether the server of that *name* is the same one, however it is spoken to."""
        was, now = self._servers.get(name), config.servers.get(name)
        if was == now:
            return True
        if was is None or now is None:
            return False
        return same_place(was.url.get_secret_value(), now.url.get_secret_value())

    def _stays(
        self, spec: SignalSpec, config: Config, counters: Counters, reach: Mapping[str, timedelta]
    ) -> bool:
        """Say whether a signal can go on as it is: it asks the same, and knows as much as rules ask of it."""
        signal, was = self.signals.get(spec.key), self.specs.get(spec.key)
        if signal is None or was is None or was.server != spec.server or not _alike(was, spec):
            return False
        if was.server and not self._same_place(was.server, config):
            return False
        kind = spec.key.kind
        new = any(counter not in self.counters for counter in counters if counter[0] == kind)
        return not (signal.RECALLS and (new or reach.get(kind, timedelta(0)) > signal.keep))

    def _arrange(self, readers: dict[str, RedisReader]) -> None:
        """Have *readers* and this machine looked at for the signals as they are now."""
        before, self.readers = self.readers, readers
        self._redis = {
            name: self._redis[name]
            if before.get(name) is r
            else Source(server_named(name), [], r.look, down, r.rest)
            for name, r in readers.items()
        }
        for name, redis in self._redis.items():
            watch(redis, self._of_server(name))
            redis.turns = [turn for turn in redis.turns if turn.signals]
        self._searches = {scout: self._searches.get(scout) or self._searching(scout) for scout in self.scouts}
        local = local_sources(Timed(signal, self.specs[key].every) for key, signal in self.signals.items())
        sources = [*self._redis.values(), *self._searches.values(), *go_on(self.sources, local)]
        kept = set(map(id, sources))
        for source in self.sources:
            if id(source) not in kept:
                source.cancel()
        self.sources[:] = sources

    def _of_server(self, name: str) -> list[Timed]:
        return [Timed(self.signals[k], spec.every) for k, spec in self.specs.items() if spec.server == name]

    def _bind(self, bound: Bound) -> None:
        self.binding, self.figures = bound.binding, bound.figures
        self.counters, self.services = bound.counters, bound.services

    async def close(self) -> None:
        """Drop every connection."""
        for reader in self.readers.values():
            await reader.close()


def server_named(server: str) -> str:
    """Return how the *server* of this name is called where it is spoken of."""
    return f"redis {server}".rstrip()


def _built(spec: SignalSpec, config: Config) -> Signal[Any]:
    signal = spec.build(config.keep)
    if isinstance(signal, Consumes):
        signal.each_consumer = EACH_CONSUMER in config.compat
    return signal


def _alike(one: SignalSpec, other: SignalSpec) -> bool:
    """Say whether two signals of one name ask the same, however often."""
    if one.type is not other.type:
        return False
    often = {"every": None}
    return one.config == other.config or (
        one.config.model_copy(update=often) == other.config.model_copy(update=often)
    )


def _bound(config: Config, specs: Mapping[SignalKey, SignalSpec]) -> Bound:
    """Put the rules of *config* on the signals of *specs*."""
    offers = (Offer(key, spec.config.offered()) for key, spec in specs.items())
    known = dict.fromkeys([*config.services, *(key.service for key in specs)])
    binding = config.binder.bind(offers, known)
    figures = figures_of(binding)
    watched = {key.service for key in specs}
    shown = [service for service in known if service not in OWN_SERVICES or service in config.services]
    return Bound(
        binding,
        figures,
        counters_of(figures, (rule.summary for rule in config.binder.effective())),
        {service: service in watched for service in shown},
    )


def _reach(binding: Binding) -> Mapping[str, timedelta]:
    """Return how far back the rules look at the counters of each kind of signal."""
    found: dict[str, timedelta] = {}
    for guards in {id(guards): guards for guards in binding.guards.values()}.values():
        for guard in guards:
            for option in (option for clause in guard.clauses for option in clause):
                kind = option.condition.term.signal
                if option.measure.windowed:
                    found[kind] = max(guard.rule.reach, found.get(kind, guard.rule.reach))
    return found
