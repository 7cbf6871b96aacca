"""
The keys of rules.yaml as values: what each holds, whether it must be there, and what it may look like.

All of it is read from the models that read the file.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from types import NoneType
from typing import Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, SecretStr
from pydantic.fields import FieldInfo

from watchdog.shape import whole_shape
from watchdog.signals import SIGNALS
from watchdog.units import write_duration

PLAIN_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (Enum, "word"),
    (timedelta, "duration"),
    (SecretStr, "secret"),
    (int, "whole number"),
    (float, "number"),
    (str, "text"),
    (date, "date"),
    (re.Pattern, "regular expression"),
    (BaseModel, "mapping"),
)
PAIRS: Mapping[tuple[Any, ...], str] = {(str, int): "host:port", (float, float): "[least, greatest]"}
"""What lists of two are."""
ANY_NAME = "*"
"""Stands in the path of a key for a name that the file's author gives."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of rules.yaml: its path, what it holds, and the keys below it."""

    path: str
    meaning: str
    holds: str
    required: bool
    default: str
    words: tuple[str, ...]
    examples: tuple[Any, ...]
    below: tuple[Key, ...] = ()

    @property
    def name(self) -> str:
        """Return the key itself: the last of its path."""
        return self.path.rpartition(".")[2]

    def all(self) -> Iterator[Key]:
        """Yield it and all keys below it."""
        yield self
        for key in self.below:
            yield from key.all()


def file_keys() -> tuple[Key, ...]:
    """Return all keys of rules.yaml, each with those below it."""
    return keys_of(whole_shape(), "")


def all_keys() -> tuple[Key, ...]:
    """Return all keys of rules.yaml in one row."""
    return tuple(each for top in file_keys() for each in top.all())


def find_keys(name: str) -> tuple[Key, ...]:
    """
    Return the keys that *name* may mean: that of its whole path, or all whose path ends so.

    Whatever stands in the place of a name that the file's author gives is such a name, but a path that
    ends so to the letter is nearer.
    """
    wanted = name.split(".")
    found: dict[int, list[Key]] = {}
    for key in all_keys():
        path = key.path.split(".")
        ends = list(zip(reversed(wanted), reversed(path), strict=False))
        if len(wanted) <= len(path) and all(mine in (part, ANY_NAME) for part, mine in ends):
            if len(wanted) == len(path):
                return (key,)
            found.setdefault(sum(part != mine for part, mine in ends), []).append(key)
    return tuple(found[min(found)]) if found else ()


def example_of(keys: Sequence[Key]) -> dict[str, Any]:
    """Return a mapping with the least that one of *keys* must hold; where any will do, with the first."""
    shown = [key for key in keys if key.examples]
    needed = [key for key in shown if key.required] or shown[:1]
    return {key.name: key.examples[0] for key in needed}


def as_yaml(value: Any) -> str:
    """Return *value* in one line as rules.yaml would have it."""
    text: str = yaml.safe_dump(
        value, default_flow_style=True, width=10_000, sort_keys=False, allow_unicode=True
    )
    return text.removesuffix("...\n").strip()


def keys_of(model: type[BaseModel], path: str) -> tuple[Key, ...]:
    """Return the keys of *model*, which is at *path*."""
    return tuple(_key(name, field, path) for name, field in model.model_fields.items())


def _key(name: str, field: FieldInfo, above: str) -> Key:
    path = f"{above}.{field.alias or name}".removeprefix(".")
    inside = f"{path}.{ANY_NAME}" if typing.get_origin(field.annotation) is dict else path
    model = next(_models(field.annotation), None)
    is_signal = above == f"services.{ANY_NAME}" and name in SIGNALS
    return Key(
        path,
        " ".join((field.description or "").partition("\n\n")[0].split()),
        "mapping or a list" if is_signal else _held(field.annotation, field.metadata),
        field.is_required(),
        "" if field.is_required() else _written(field.get_default()),
        tuple(_words(field.annotation)),
        tuple(field.examples or ()),
        keys_of(model, inside) if model else (),
    )


def _held(annotation: Any, how: Sequence[object] = ()) -> str:
    """Return in words what values of a type are; *how* they are read tells if one may stand for a list."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _held(inner[0], inner[1:])
    if origin is Literal:
        return "word" if any(isinstance(one, str) for one in inner) else "true or false"
    if origin is tuple:
        each = _held(inner[0])
        if inner[-1] is not ...:
            return PAIRS.get(inner, "list")
        return f"{each} or a list" if any(isinstance(one, BeforeValidator) for one in how) else _listed(each)
    if origin is dict:
        return f"mapping of names to {_several(_held(inner[1]))}"
    if inner:
        parts = dict.fromkeys(_held(part, how) for part in inner if part is not NoneType)
        return "text or number" if {"text", "number"} <= set(parts) else " or ".join(parts)
    if isinstance(annotation, type):
        return next((name for kind, name in PLAIN_TYPES if issubclass(annotation, kind)), "text")
    return "value"


def _listed(each: str) -> str:
    return f"list of {_several(each)}"


def _several(held: str) -> str:
    """Return the plural of what is held."""
    return f"{held}s" if held in ("text", "mapping", "secret", "word") else "values"


def _words(annotation: Any) -> Iterator[str]:
    """Yield the words a type may be, if it is one of some."""
    if typing.get_origin(annotation) is Literal:
        yield from (one for one in typing.get_args(annotation) if isinstance(one, str))
    elif isinstance(annotation, type) and issubclass(annotation, Enum):
        yield from (str(one.value) for one in annotation)
    else:
        for part in typing.get_args(annotation):
            yield from _words(part)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models(part)


def _written(default: object) -> str:
    """Return a default as it would be written; nothing where there is none to write."""
    match default:
        case SecretStr():
            return default.get_secret_value()
        case timedelta():
            return write_duration(default)
        case Enum():
            return str(default.value)
        case bool():
            return str(default).lower()
        case str() | int() | float():
            return str(default)
    return ""
