"""
One shard's part of what rules.yaml says, and what becomes of what it kept of services that moved away.

The file is read and checked whole; only then everything is left out that other shards watch. What the file
says of all of Redis at once (a lease, the sidecar's own heartbeat) each shard has under a name of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from watchdog.alerts import Alert
from watchdog.config import OWN_SERVICES, Config, SignalSpec
from watchdog.discovery import divided_by
from watchdog.model import Labels, SignalKey
from watchdog.rules import Binder, Offer, Rule
from watchdog.schema import IMPLICIT
from watchdog.shards import Shard
from watchdog.signals import SIGNALS
from watchdog.signals.base import LocalSignal
from watchdog.telling import Receipts
from watchdog.units import first_of

SERVER = IMPLICIT["redis"]
BY_NAME = frozenset(IMPLICIT) - {"redis"}
"""Signals about the sidecar itself: of these each shard has its own. Redis is the same for all."""
LATER = timedelta(minutes=2)
"""So much later than the shard that has `redis` the others say that it is away."""
ELSEWHERE = ("health",)
"""Local signals that can be looked at from anywhere."""
NAMED = 5


def share(config: Config, shard: Shard) -> Config:
    """Return what *shard* has of a whole *config*."""
    mine: list[SignalSpec] = []
    others: list[SignalSpec] = []
    for spec in config.signals:
        (mine if owner_of(spec.key, shard) == shard.number else others).append(spec)
    elsewhere = {
        service: number
        for service in config.services
        if (number := owner_of(SignalKey(service, "", Labels()), shard)) != shard.number
    }
    divided = replace(
        config,
        shard=shard,
        elsewhere=elsewhere,
        services=tuple(service for service in config.services if service not in elsewhere),
        others=tuple(others) if config.discover else (),
        discover=tuple(replace(plan, shard=shard) for plan in config.discover),
        binder=_told_once(config.binder, shard),
        heartbeat=config.heartbeat and config.heartbeat.model_copy(update=_key(config.heartbeat.key, shard)),
        pair=config.pair and config.pair.model_copy(update={"lease": shard.named(config.pair.lease)}),
        warnings=(*config.warnings, *_bound_to_a_machine(mine, shard)),
    )
    signals = (*(_renamed(spec, divided) for spec in mine), *_neighbour(config, shard))
    offers = [Offer(spec.key, spec.config.offered()) for spec in signals]
    binding = divided.binder.bind(offers, (*divided.services, *OWN_SERVICES))
    return replace(divided, signals=signals, binding=binding)


def owner_of(key: SignalKey, shard: Shard) -> int:
    """Return which of the shards watches the signal of *key*; what is everybody's is *shard*'s as well."""
    if key.service in OWN_SERVICES:
        return shard.number
    name = key.labels.get("stream") or key.labels.get("key") or key.service
    return shard.owner(divided_by(key.service, name))


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What stays of alerts and receipts, and how many alerts moved to which shard."""

    alerts: Mapping[Labels, Alert]
    receipts: Receipts
    moved: Mapping[int, int]


def hand_over(alerts: Mapping[Labels, Alert], receipts: Receipts, shard: Shard | None) -> HandedOver:
    """
    Forget the alerts of services that another shard watches by now, without a word.

    To end them would be a lie, for nobody has seen them end. Their new shard sees what is still wrong and
    tells it under the same labels; whoever knows of the alert already is an Alertmanager, and says nothing.
    """
    if shard is None:
        return HandedOver(alerts, receipts, {})
    owners = {labels: owner_of(alert.signal, shard) for labels, alert in alerts.items()}
    gone = {labels.fingerprint for labels, number in owners.items() if number != shard.number}
    moved = [number for number in owners.values() if number != shard.number]
    return HandedOver(
        {labels: alert for labels, alert in alerts.items() if labels.fingerprint not in gone},
        {ticket: receipt for ticket, receipt in receipts.items() if ticket[1] not in gone},
        {number: moved.count(number) for number in sorted(set(moved))},
    )


# ---- parts of it -------------------------------------------------------------------------------


def _key(key: str, shard: Shard) -> dict[str, str]:
    return {"key": shard.named(key)}


def _renamed(spec: SignalSpec, config: Config) -> SignalSpec:
    """Return *spec* under the name it has at this shard."""
    if spec.key.kind not in BY_NAME or spec.key.service not in OWN_SERVICES:
        return spec
    return replace(spec, key=config.own(spec.key.kind, **spec.key.labels))


def _neighbour(config: Config, shard: Shard) -> Iterator[SignalSpec]:
    """Yield the heartbeat of the next shard: each watches one other, so that none is missed."""
    if config.heartbeat is None or shard.of == 1:
        return
    kind = SIGNALS["heartbeat"]
    settings = kind.Config.model_validate({"key": shard.next.named(config.heartbeat.key)})
    key = SignalKey(IMPLICIT["watchdog"], "heartbeat", settings.labels())
    yield SignalSpec(key, kind, settings, config.every, next(iter(config.servers)))


def _told_once(binder: Binder, shard: Shard) -> Binder:
    """
    Return *binder* with what is told of a server by the shard that has `redis` left to that one.

    Whether Redis answers each sees for itself, and a shard that sees nothing must not keep quiet: the one
    that should tell it may be gone together with the server. So the others tell that as well, but later.
    """
    if shard.has(SERVER):
        return binder
    rules = (binder.overrides.get((SERVER, rule.alert), rule) for rule in binder.rules)
    others = {(SERVER, rule.alert): _left_to_one(rule, shard) for rule in rules if rule.lead == SERVER}
    return Binder(binder.rules, {**binder.overrides, **others})


def _left_to_one(rule: Rule, shard: Shard) -> Rule:
    if any(condition.term.measure == "up" for condition in rule.conditions):
        return replace(rule, for_=rule.for_ + LATER)
    return replace(rule, off=rule.off or f"told by shard {shard.owner(SERVER)}")


def _bound_to_a_machine(specs: Iterable[SignalSpec], shard: Shard) -> Iterator[str]:
    """Yield a warning if signals of this shard can only be looked at on one machine."""
    bound = (s.key for s in specs if issubclass(s.type, LocalSignal) and s.key.kind not in IMPLICIT)
    services = dict.fromkeys(key.service for key in bound if key.kind not in ELSEWHERE)
    if services:
        yield (
            f"{shard} has to run where these services' files, units and commands are:"
            f" {first_of(list(services), NAMED)} (or watch them with a sidecar of that machine)"
        )
