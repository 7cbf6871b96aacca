"""
All that is looked at: the signals of the file and those that are discovered, and what they are read with.

What is discovered comes and goes while the sidecar runs. The rules are then bound anew; what stays keeps
its guards, and so its alerts, its windows and its rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from watchdog.config import OWN_SERVICES, Config, SignalSpec
from watchdog.errors import SourceDownError
from watchdog.model import Reading, SignalKey
from watchdog.reader import RedisReader, down
from watchdog.report import Figures, counters_of, figures_of
from watchdog.rules import Binding, Offer
from watchdog.scout import Ask, Discovered, Scout
from watchdog.signals.base import Command, Reply, Signal
from watchdog.signals.consumes import Consumes
from watchdog.signals.stream import Stream, share_out
from watchdog.sources import Source, Timed, Turn, local_sources, watch
from watchdog.wire import Batch, open_wire

EACH_CONSUMER = "redis_exporter"
"""The name under `compat` for whose sake every consumer is asked for at every tick."""
Memory = Mapping[str, Mapping[str, Any]]


class Fleet:
    """The signals, their sources and the rules on them, as they are at the moment."""

    def __init__(self, config: Config) -> None:
        """Watch what *config* names; what it has to discover is not known yet."""
        self.config = config
        self.readers = {
            name: RedisReader(open_wire(server.url.get_secret_value(), server.timeout.total_seconds()))
            for name, server in config.servers.items()
        }
        self.signals: dict[SignalKey, Signal[Any]] = {}
        self.specs: dict[SignalKey, SignalSpec] = {}
        self.scouts = [Scout(plan, config) for plan in config.discover]
        self._redis = {
            name: Source(server_named(name), [], r.look, down, r.rest) for name, r in self.readers.items()
        }
        self._add(config.signals)
        share_out([signal for signal in self.signals.values() if isinstance(signal, Stream)])
        local = local_sources(Timed(signal, self.specs[key].every) for key, signal in self.signals.items())
        for name, redis in self._redis.items():
            watch(redis, self._of_server(name))
        self._brought: list[Discovered] = []
        self.sources: list[Source] = [*self._redis.values(), *map(self._searching, self.scouts), *local]
        self.binding: Binding
        self.figures: Figures
        self.counters: frozenset[tuple[str, str]]
        self.services: Mapping[str, bool]
        self._bind()

    # ---- what is discovered ----------------------------------------------------------------------

    def take(self, found: Sequence[Discovered] | None = None) -> Discovered:
        """Take in what the scouts brought since the last time, or *found*; return what came and went."""
        brought = self._brought if found is None else found
        self._brought = []
        added = tuple(spec for one in brought for spec in one.added if spec.key not in self.signals)
        gone = tuple(key for one in brought for key in one.gone if key in self.signals)
        if added or gone:
            self._add(added)
            for key in gone:
                del self.signals[key], self.specs[key]
            for name in {spec.server for spec in added} | set(self._redis if gone else ()):
                watch(self._redis[name], self._of_server(name))
            self._bind()
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

    # ---- building --------------------------------------------------------------------------------

    def _add(self, specs: Sequence[SignalSpec]) -> None:
        for spec in specs:
            signal = spec.build(self.config.keep)
            if isinstance(signal, Consumes):
                signal.each_consumer = EACH_CONSUMER in self.config.compat
            self.signals[spec.key] = signal
            self.specs[spec.key] = spec

    def _of_server(self, name: str) -> list[Timed]:
        return [Timed(self.signals[k], spec.every) for k, spec in self.specs.items() if spec.server == name]

    def _bind(self) -> None:
        offers = (Offer(key, spec.config.offered()) for key, spec in self.specs.items())
        known = dict.fromkeys([*self.config.services, *(key.service for key in self.specs)])
        self.binding = self.config.binder.bind(offers, known)
        self.figures = figures_of(self.binding)
        self.counters = counters_of(self.figures, (rule.summary for rule in self.config.binder.effective()))
        watched = {key.service for key in self.specs}
        shown = {
            service: None
            for service in known
            if service not in OWN_SERVICES or service in self.config.services
        }
        self.services = {service: service in watched for service in shown}

    async def close(self) -> None:
        """Drop every connection."""
        for reader in self.readers.values():
            await reader.close()


def server_named(server: str) -> str:
    """Return how the *server* of this name is called where it is spoken of."""
    return f"redis {server}".rstrip()
