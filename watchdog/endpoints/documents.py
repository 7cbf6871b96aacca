"""JSON documents that services answer with: what stands where, what has to stand there, which numbers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watchdog.entries import FieldTest, parse_tests
from watchdog.excerpts import excerpt

MISSING = object()
ANY = "*"
"""The part of a path that stands for every item of a list or object."""
MOST_VALUES = 50
DEEPEST = 8
"""How many objects may lie in one another for their numbers to be measures."""
LONGEST_SHOWN = 80
_NAME = re.compile(r"[A-Za-z_][\w.-]*")


# ---- paths -------------------------------------------------------------------------------------


def find(document: object, path: str) -> object:
    """Return what stands at the dotted *path*, or `MISSING`; a name may itself hold dots."""
    return next((found for _, found in find_all(document, path)), MISSING)


def find_all(document: object, path: str) -> list[tuple[str, object]]:
    """Return everything at *path* by its own path; ``*`` in it stands for every item."""
    if isinstance(document, Mapping) and path in document:
        return [(path, document[path])]
    part, dot, rest = path.partition(".")
    found: list[tuple[str, object]] = []
    for name, inner in _inside(document, part):
        deeper = find_all(inner, rest) if dot else [("", inner)]
        found += [(f"{name}.{more}" if more else name, value) for more, value in deeper]
    return found


def _inside(document: object, part: str) -> list[tuple[str, Any]]:
    """Return the items of *document* that *part* means, with their names."""
    if isinstance(document, Mapping):
        names = list(document) if part == ANY else [part]
        return [(name, document[name]) for name in names if name in document]
    if isinstance(document, list):
        if part == ANY:
            return [(str(i), item) for i, item in enumerate(document)]
        if part.isascii() and part.isdecimal() and len(part) < 10 and int(part) < len(document):
            return [(part, document[int(part)])]
    return []


# ---- expectations ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Expectation:
    """What has to stand at one path, and how the file spells that."""

    path: str
    test: FieldTest
    wanted: str

    def complaints(self, document: object) -> Iterator[str]:
        """Yield a sentence for everything at the path that is not as expected."""
        found = find_all(document, self.path)
        if not found and not self.test.admits(None):
            yield f"{self.path} is missing, expected {self.wanted}"
        for path, value in found:
            if not self.test.admits(as_text(value)):
                yield f"{path} is {shown(path, value)}, expected {self.wanted}"


def parse_expectations(wanted: Mapping[str, Any]) -> tuple[Expectation, ...]:
    """
    Read ``{status: ok, lag: "< 5", mode: [live, test], error: null, db: {up: true}}``.

    The tests are those of `watchdog.entries.parse_tests`. Raise ValueError for what cannot be compared.
    """
    flat = dict(_flat(wanted, ""))
    tests = parse_tests(flat)
    return tuple(Expectation(t.name, t, _spelt(flat[t.name])) for t in tests)


def _flat(wanted: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in wanted.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            if not value:
                raise ValueError(f"{path} expects nothing (write a value, or remove it)")
            yield from _flat(value, f"{path}.")
            continue
        items = value if isinstance(value, list | tuple) else [value]
        if not items or not all(item is None or isinstance(item, str | bool | int | float) for item in items):
            raise ValueError(f'{path} is compared with nothing (write a value, "< 5", or a list of values)')
        yield path, value


def _spelt(wanted: Any) -> str:
    if isinstance(wanted, list | tuple):
        return f"one of {', '.join(map(_spelt, wanted))}"
    is_comparison = isinstance(wanted, str) and parse_tests({"": wanted})[0].op
    return str(wanted) if is_comparison else json.dumps(wanted, ensure_ascii=False, default=str)


def complaints(document: object, expectations: Sequence[Expectation]) -> Iterator[str]:
    """Yield a sentence for everything in *document* that is not as expected."""
    for expectation in expectations:
        yield from expectation.complaints(document)


def as_text(found: object) -> str | None:
    """Return *found* as a text to be compared; null is as good as missing."""
    return found if isinstance(found, str) or found is None else json.dumps(found)


def shown(path: str, found: object) -> str:
    """Return what stands at *path* for reading, cut short; what seems to be a secret is masked."""
    name = path.rpartition(".")[2]
    text = excerpt(f"{name}: {json.dumps(found, ensure_ascii=False)}", len(name) + 2 + LONGEST_SHOWN)
    return text.partition(": ")[2]


# ---- numbers -----------------------------------------------------------------------------------


def number_of(found: object) -> float | None:
    """Return *found* as a number if it is one; true is 1, false is 0, what no float can hold is none."""
    if not isinstance(found, bool | int | float):
        return None
    number = float(found) if isinstance(found, bool) or abs(found) < 1e300 else math.nan
    return number if math.isfinite(number) else None


def numbers(document: object) -> dict[str, float]:
    """Return the first `MOST_VALUES` numbers of the JSON objects in *document*, by dotted path."""
    found: dict[str, float] = {}
    for path, number in _numbers(document, "", DEEPEST):
        if len(found) == MOST_VALUES:
            break
        if _NAME.fullmatch(path):
            found.setdefault(path, number)
    return found


def _numbers(document: object, prefix: str, depth: int) -> Iterator[tuple[str, float]]:
    if not isinstance(document, Mapping) or not depth:
        return
    for name, inner in document.items():
        if (number := number_of(inner)) is not None:
            yield prefix + name, number
        yield from _numbers(inner, f"{prefix}{name}.", depth - 1)
