"""Which signals of a rules file those are that were recorded, or drawn in a test: who plays which part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from watchdog.config import OWN_SERVICES, Config
from watchdog.discovery import GROUP, HEARTBEAT, STREAM, Plan
from watchdog.model import Labels, Measure, Reading, SignalKey
from watchdog.prospects import config_of
from watchdog.recording import Tick
from watchdog.report import counters_of, figures_of
from watchdog.roster import Twin
from watchdog.rules import Binding, Offer

NAMED_BY = {STREAM: "stream", GROUP: "stream", HEARTBEAT: "key"}
"""The label with the name of the key by which discovery finds each kind of signal."""


class Cast:
    """
    The signals of a rules file, those included that its `discover` covers, with the rules on them.

    What was recorded under another service plays the part of the signal of this file that looks at
    the same thing.
    """

    def __init__(self, config: Config) -> None:
        """Begin with what *config* names itself."""
        self.config = config
        self.binding: Binding
        self.asked: frozenset[tuple[str, str]]
        self.seen: set[SignalKey] = set()
        """The signals of this file of which something was recorded."""
        self._offered: dict[SignalKey, Mapping[str, Measure]] = dict(config.offered)
        self._twins: dict[Twin, list[SignalKey]] = {}
        for key in self._offered:
            self._twins.setdefault((key.kind, key.labels), []).append(key)
        self._parts: dict[SignalKey, Sequence[SignalKey]] = {}
        self._bind()

    def play(self, tick: Tick) -> tuple[Tick, bool]:
        """Return *tick* as it is for the signals of this file, and whether there are new ones among them."""
        before = len(self._offered)
        readings: list[Reading] = []
        for reading in tick.readings:
            for part in self._parts_of(reading.signal):
                same = part is reading.signal or part == reading.signal
                readings.append(reading if same else replace(reading, signal=part))
        for key in tick.found:
            self._parts_of(key)
        gone = [part for key in tick.gone for part in self._parts_of(key)]
        if len(self._offered) != before:
            self._bind()
        return replace(tick, readings=tuple(readings), gone=tuple(gone)), len(self._offered) != before

    def unseen(self) -> list[SignalKey]:
        """Return the signals that the file names itself and of which nothing was recorded."""
        return [key for key in self.config.offered if key not in self.seen and not is_own(key)]

    def idle(self) -> list[str]:
        """Return the rules of which no signal was recorded, so that they could not fire."""
        asked: dict[str, bool] = {}
        for lead, guards in self.binding.guards.items():
            for guard in guards:
                if not is_own(lead):
                    asked[guard.rule.alert] = asked.get(guard.rule.alert, False) or lead in self.seen
        return sorted(name for name, able in asked.items() if not able)

    def find(self, service: str | None, kind: str, labels: Mapping[str, str]) -> list[SignalKey]:
        """Return the signals of *kind* that have these *labels*, of a *service* or of any."""
        found = [
            key
            for key in self._offered
            if key.kind == kind
            and service in (None, key.service)
            and all(key.labels.get(name) == text for name, text in labels.items())
        ]
        if not found and (part := self._discovered(SignalKey(service or "", kind, Labels(labels)))):
            found = [part] if service in (None, part.service) else []
            if found:
                self._bind()
        return found

    def offered(self, key: SignalKey) -> Mapping[str, Measure]:
        """Return what a signal of this file offers."""
        return self._offered[key]

    def _parts_of(self, key: SignalKey) -> Sequence[SignalKey]:
        parts = self._parts.get(key)
        if parts is None:
            if key in self._offered:
                parts = (key,)
            else:
                part = None if (key.kind, key.labels) in self._twins else self._discovered(key)
                parts = self._twins.get((key.kind, key.labels), () if part is None else (part,))
            self._parts[key] = parts
            self.seen.update(parts)
        return parts

    def _discovered(self, key: SignalKey) -> SignalKey | None:
        """Return *key* as the file's `discover` would find it, None if it would not."""
        name = key.labels.get(NAMED_BY.get(key.kind, ""))
        if name is None:
            return None
        kind = HEARTBEAT if key.kind == HEARTBEAT else STREAM
        plan = next((plan for plan in self.config.discover if _covers(plan, kind, name)), None)
        if plan is None:
            return None
        part = SignalKey(plan.service_of(kind, name.encode()), key.kind, key.labels)
        self._offered[part] = config_of(key.kind, key.labels).offered()
        return part

    def _bind(self) -> None:
        offers = (Offer(key, measures) for key, measures in self._offered.items())
        known = dict.fromkeys([*self.config.services, *(key.service for key in self._offered)])
        self.binding = self.config.binder.bind(offers, known)
        summaries = (rule.summary for rule in self.config.binder.effective())
        self.asked = counters_of(figures_of(self.binding), summaries)


def _covers(plan: Plan, kind: str, name: str) -> bool:
    return bool(plan.patterns(kind)) and plan.covers(kind, name.encode())


def is_own(key: SignalKey) -> bool:
    """Say whether *key* is a signal of the sidecar's own."""
    return key.service in OWN_SERVICES and key.kind != "redis"
