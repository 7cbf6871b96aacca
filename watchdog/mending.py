"""
A rules file with the broken places taken out, so that the rest of it can be checked in the same run.

The mended file is never used for anything but finding more problems.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from watchdog.problems import place_of
from watchdog.yamlfile import Path

HARMLESS = "redis.up == 0"
ROUNDS = 5


def mend(raw: Mapping[str, Any], model: type[BaseModel]) -> tuple[BaseModel | None, frozenset[Path]]:
    """
    Return what is left of *raw* as *model*, and the places that were broken; None if nothing is.

    Rules and routes keep their index: a broken one is replaced by one that does no harm.
    """
    left: dict[str, Any] = dict(raw)
    broken: set[Path] = set()
    for _ in range(ROUNDS):
        try:
            return model.model_validate(left), frozenset(broken)
        except ValidationError as exc:
            paths = [(place_of(detail), detail["type"] == "extra_forbidden") for detail in exc.errors()]
        for path, unknown_key in paths:
            gone = path if unknown_key else _whole(path)
            broken.add(gone)
            left = _without(left, gone)
    return None, frozenset(broken)


def _whole(path: Path) -> Path:
    """Return the smallest thing around *path* that can be left out."""
    match path:
        case ("services", name, kind, *rest):
            return ("services", name, kind, *rest[:1])
        case ("rules", which, key, *_) if key not in ("alert", "when"):
            return ("rules", which, key)
        case (("rules" | "routes" | "receivers" | "services") as top, which, *_):
            return (top, which)
    return path[:1]


def _without(root: Any, path: Path) -> Any:
    """Return *root* without what is at *path*; a rule or route is replaced."""
    if not path:
        return root
    first, *rest = path
    if isinstance(root, dict) and first in root:
        if not rest:
            return {key: value for key, value in root.items() if key != first}
        if rest and len(rest) == 1 and first in ("rules", "routes") and isinstance(rest[0], int):
            return {**root, first: _replaced(root, str(first), rest[0])}
        return {**root, first: _without(root[first], tuple(rest))}
    if isinstance(root, list) and isinstance(first, int) and first < len(root):
        if not rest:
            return root[:first] + root[first + 1 :]
        return [*root[:first], _without(root[first], tuple(rest)), *root[first + 1 :]]
    return root


def _replaced(root: Mapping[str, Any], key: str, index: int) -> Any:
    found = root[key]
    if not isinstance(found, list) or index >= len(found):
        return []
    alert = found[index].get("alert") if isinstance(found[index], dict) else None
    harmless: dict[str, Any] = {
        "rules": {"alert": alert if str(alert).isidentifier() else f"Broken{index}", "when": HARMLESS},
        "routes": {"to": list(root.get("receivers") or ["-"])[:1], "continue": True},
    }
    return [*found[:index], harmless[key], *found[index + 1 :]]
