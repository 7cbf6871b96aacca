"""
The shape of a rules file with the signals and receivers it names: of all others nobody need know anything.

What a file does not name is still a key of it, so that a misspelt one is told what it was meant to be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from functools import cache, lru_cache
from types import GenericAlias
from typing import Any

from pydantic import BaseModel, Field, create_model

from watchdog.errors import PluginError
from watchdog.notifiers import NOTIFIERS
from watchdog.problems import Findings
from watchdog.schema import IMPLICIT, FileBase, ReceiverBase, ServiceBase
from watchdog.signals import SIGNALS
from watchdog.signals.base import RedisSignal
from watchdog.yamlfile import Path

SHAPES = 32
"""So many are kept: a process sees few files, and a file that is read again mostly names the same."""
UNNAMED: Any = (Any, Field(()))


def shape_of(raw: Mapping[str, Any]) -> type[BaseModel]:
    """Return the shape of the file *raw*."""
    return _shape(
        frozenset(_named(raw.get("services"), SIGNALS)),
        frozenset(_named(raw.get("receivers"), NOTIFIERS)),
        discovering="discover" in raw,
    )


def whole_shape() -> type[BaseModel]:
    """Return the shape of a file that names everything there is to name."""
    return _shape(frozenset(SIGNALS), frozenset(NOTIFIERS), discovering=True)


def adopt(raw: dict[str, Any], findings: Findings) -> tuple[dict[str, Any], frozenset[Path]]:
    """
    Take from other packages what *raw* names and is none of ours; of what is of no use there are findings.

    Return the rest of the file, and the places that are left out. Nobody looks for packages while every
    name is known.
    """
    refused: set[Path] = set()
    for top, kinds, own in (("services", SIGNALS, ServiceBase), ("receivers", NOTIFIERS, ReceiverBase)):
        places = _places(raw.get(top))
        if all(name in kinds or name in own.model_fields for name in places):
            continue
        for name in kinds.offered().keys() & places.keys():
            try:
                kinds.adopt(name)
            except PluginError as exc:
                findings.add((top, places[name][0], name), exc.what, exc.cure, key=True)
                refused |= {(top, body, name) for body in places[name]}
    return {key: _without(refused, key, found) for key, found in raw.items()}, frozenset(refused)


def _without(refused: Set[Path], top: str, bodies: Any) -> Any:
    """Return *bodies* without what is *refused* in them; a receiver that is nothing else goes as a whole."""
    left = {body for place, body, _ in refused if place == top}
    if not left:
        return bodies
    rest = {
        body: {key: value for key, value in found.items() if (top, body, key) not in refused}
        if body in left
        else found
        for body, found in bodies.items()
    }
    return {body: found for body, found in rest.items() if found or body not in left or top == "services"}


def _places(bodies: object) -> dict[str, list[str]]:
    """Return the keys that stand in *bodies*, those of services or receivers, and in which they do."""
    found: dict[str, list[str]] = {}
    for name, body in bodies.items() if isinstance(bodies, Mapping) else ():
        for key in body if isinstance(body, Mapping) else ():
            found.setdefault(str(key), []).append(name)
    return found


def _named(bodies: object, known: Mapping[str, Any]) -> Iterable[str]:
    return (key for key in _places(bodies) if key in known and key not in IMPLICIT)


@lru_cache(SHAPES)
def _shape(kinds: frozenset[str], receivers: frozenset[str], *, discovering: bool) -> type[BaseModel]:
    services: dict[str, Any] = {kind: UNNAMED for kind in SIGNALS if kind not in IMPLICIT}
    services |= {kind: signal_field(kind) for kind in SIGNALS if kind in kinds - IMPLICIT.keys()}
    told: dict[str, Any] = dict.fromkeys(NOTIFIERS, UNNAMED)
    told |= {name: notifier_field(name) for name in NOTIFIERS if name in receivers}
    service: Any = create_model("ServiceModel", __base__=ServiceBase, **services)
    receiver: Any = create_model("ReceiverModel", __base__=ReceiverBase, **told)
    there: Any = (
        Field(default_factory=dict, description="what exists besides")
        if discovering
        else Field(min_length=1, description="what exists")
    )
    return create_model(
        "FileModel",
        __base__=FileBase,
        services=(dict[str, service], there),
        receivers=(dict[str, receiver], Field(default_factory=dict, description="who hears of it")),
    )


@cache
def signal_field(kind: str) -> Any:
    """Return what a service may say of the signal *kind*; where one is read from Redis, from which."""
    signal = SIGNALS[kind]
    keys: Any = signal.Config
    if issubclass(signal, RedisSignal):
        which = Field(
            None,
            min_length=1,
            description="which server of `redis:`, if several (default: the first)",
            examples=["cache"],
        )
        keys = create_model(keys.__name__, __base__=keys, __doc__=keys.__doc__, redis=(str | None, which))
    keys.model_rebuild()
    return GenericAlias(tuple, (keys, ...)), Field((), description=(signal.__doc__ or "").strip())


@cache
def notifier_field(name: str) -> Any:
    """Return what a receiver may say of the notifier *name*."""
    notifier = NOTIFIERS[name]
    notifier.model_rebuild()
    return notifier | None, Field(None, description=(notifier.__doc__ or "").strip())
