"""Problems of a rules file in its author's words: where, what, and what to do about it."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from watchdog.conditions import suggest
from watchdog.errors import Problem
from watchdog.yamlfile import Document, Path

EXPECTED = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "a text",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "tuple_type": "a list",
    "list_type": "a list",
    "time_delta_type": "a duration",
    "time_delta_parsing": "a duration",
    "is_instance_of": "something else",
}


class Findings:
    """The problems found so far in one document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = list(document.problems)

    def add(self, path: Path, what: str, cure: str = "", *, key: bool = False) -> None:
        """Note a problem at *path*; with *key* at the mapping's key rather than at its value."""
        line, column = self.document.where(self._written(path), key=key)
        self._note(Problem(line, column, place(path, self.document.value), what, cure))

    def _note(self, problem: Problem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def add_validation(self, error: ValidationError, model: type[BaseModel]) -> None:
        """Note everything pydantic objects to, in our words."""
        for detail in error.errors(include_url=False):
            path = place_of(detail)
            written = self._written(path)
            if any(unset[: len(written)] == written for unset in self.document.unset):
                continue  # that the variable is not set has been said already
            what, cure = self._words(detail, path, model)
            line, column = self.document.where(self._written(path), key=detail["type"] == "extra_forbidden")
            around = path[:-1] if detail["type"] in ("extra_forbidden", "missing") else path
            self._note(Problem(line, column, place(around, self.document.value), what, cure))

    def _written(self, path: Path) -> Path:
        """Return *path* without the index of a list of one that the file wrote as a mapping."""
        if path in self.document.marks or path in self.document.key_marks:
            return path
        for i, part in enumerate(path):
            shorter = path[:i] + path[i + 1 :]
            if part == 0 and path[: i + 1] not in self.document.marks:
                return self._written(shorter)
        return path

    def _words(self, detail: ErrorDetails, path: Path, model: type[BaseModel]) -> tuple[str, str]:
        kind = detail["type"]
        context: Mapping[str, Any] = detail.get("ctx") or {}
        if kind == "extra_forbidden":
            return f'unknown key "{path[-1]}"', suggest(str(path[-1]), keys_at(model, path[:-1]))
        if kind == "missing":
            return f'"{path[-1]}" is missing', f"add {path[-1]}: …"
        if kind == "value_error":
            text, _, cure = str(context["error"]).partition(" (")
            return self._shown(path, text), cure.rstrip(")")
        if kind in ("literal_error", "enum"):
            allowed = str(context["expected"]).replace("'", "")
            return self._shown(path, f'"{detail["input"]}" is not one of {allowed}'), ""
        if kind in ("too_short", "string_too_short"):
            return "is empty", "fill it in or remove it"
        if kind == "greater_than":
            return f"must be more than {_plain(context['gt'])}", ""
        if kind == "greater_than_equal":
            return f"must be at least {_plain(context['ge'])}", ""
        if kind == "less_than_equal":
            return f"must be at most {_plain(context['le'])}", ""
        if kind == "string_pattern_mismatch":
            return f'"{detail["input"]}" does not fit', "use letters, digits and _"
        if kind in EXPECTED:
            return f"expected {EXPECTED[kind]}, found {_found(detail['input'])}", ""
        return detail["msg"].lower(), ""

    def _shown(self, path: Path, text: str) -> str:
        """Return *text*, unless it could repeat a value that came from the environment."""
        if path in self.document.from_outside or self._written(path) in self.document.from_outside:
            return text.partition('"')[2].partition('" ')[2] or text
        return text


def place_of(detail: ErrorDetails) -> Path:
    """Return the keys and indices of pydantic's location, without types it tried and empty server names."""
    types = ("timedelta", "float", "str", "bool", "int")
    return tuple(
        part
        for part in detail["loc"]
        if isinstance(part, int)
        or not ("[" in part or part in types or (not part and len(detail["loc"]) > 1))
    )


def _plain(limit: object) -> str:
    return "0s" if "timedelta" in str(limit) else str(limit)


def _found(value: object) -> str:
    names: Sequence[tuple[type, str]] = (
        (bool, "true or false"),
        (dict, "a mapping"),
        (list, "a list"),
        (str, "a text"),
        (int, "a number"),
        (float, "a number"),
    )
    return next((name for type_, name in names if isinstance(value, type_)), "nothing")


def place(path: Path, root: Any) -> str:
    """Return *path* in words: ``service "execution": executions``, ``rule "LagHigh"``, ``route 2``."""
    match path:
        case ("services", str(name), *rest):
            return ": ".join([f'service "{name}"', *_inner(rest)])
        case ("receivers", str(name), *rest):
            return ": ".join([f'receiver "{name}"', *_inner(rest)])
        case ("rules", int(i), *rest):
            try:
                title = f'rule {i + 1} "{root["rules"][i]["alert"]}"'
            except (KeyError, TypeError, IndexError):
                title = f"rule {i + 1}"
            return ": ".join([title, *_inner(rest)])
        case ("routes", int(i), *_):
            return f"route {i + 1}"
        case ("discover", *rest):
            return ": ".join(["discover", *_inner(rest)]) if rest[1:] else "discover"
        case ("maintenance", int(i), *rest):
            return ": ".join([f"maintenance window {i + 1}", *_inner(rest)])
        case ("tests", int(i), str(part), int(j), *rest):
            return ": ".join([f"test {i + 1}", f"{part} {j + 1}", *_inner(rest)])
        case ("tests", int(i), *rest):
            return ": ".join([f"test {i + 1}", *_inner(rest)])
        case ("reports", int(i), *rest):
            return ": ".join([f"report {i + 1}", *_inner(rest)])
    return ".".join(str(part) for part in path)


def _inner(rest: Sequence[str | int]) -> list[str]:
    return [".".join(str(part) for part in rest if not isinstance(part, int))] if rest else []


def keys_at(model: type[BaseModel], path: Path) -> set[str]:
    """Return the keys a mapping at *path* below *model* may have."""
    here: Any = model
    for part in path:
        models = _models(here)
        fields = {
            field.alias or name: field.annotation
            for found in models
            for name, field in found.model_fields.items()
        }
        here = fields.get(str(part), here)
    return {field.alias or name for found in _models(here) for name, field in found.model_fields.items()}


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the models named anywhere in a type such as ``dict[str, Model] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in typing.get_args(annotation) for found in _models(part)]
