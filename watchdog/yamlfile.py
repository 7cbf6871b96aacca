"""YAML with positions: plain values, and for every place in them the line and column it came from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from watchdog.errors import Problem

Path = tuple[str | int, ...]
MAX_DEPTH = 40
SCHEMA_FILE = "rules.schema.json"
FOR_EDITORS = f"# yaml-language-server: $schema={SCHEMA_FILE}"
"""The first line of a rules file: editors help by the schema beside it (`watchdog export schema --out .`)."""
_VARIABLE = re.compile(r"\$(\$)?\{([A-Za-z_]\w*)(?::-([^}]*))?\}")


@dataclass(slots=True)
class Document:
    """
    What a file holds.

    *marks* knows the position of every value, *key_marks* that of every mapping key; *from_outside*
    are the places whose value came from the environment and may be a secret, *unset* those whose
    variable is missing.
    """

    value: Any = None
    marks: dict[Path, tuple[int, int]] = field(default_factory=dict)
    key_marks: dict[Path, tuple[int, int]] = field(default_factory=dict)
    from_outside: set[Path] = field(default_factory=set)
    unset: set[Path] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def where(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """Return line and column of *path*, or of the nearest place around it."""
        if key and path in self.key_marks:
            return self.key_marks[path]
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path, (1, 1))


class _Plain(yaml.SafeLoader):
    """YAML 1.2's booleans: only true and false, so that `off: "reason"` has a key called off."""


_Plain.yaml_implicit_resolvers = {
    first: [
        (tag, pattern) for tag, pattern in rules if tag.rsplit(":", 1)[1] not in ("bool", "int", "timestamp")
    ]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Plain.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Plain.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?\d+$"), list("-+0123456789"))


class _Quick(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same in C where it is installed, ten times as quick; what is wrong `_Plain` says better."""

    yaml_implicit_resolvers = _Plain.yaml_implicit_resolvers


# In a flow sequence YAML would take the bracket of `offered[1h]` or of `in [a, b]` for a sequence of its
# own. Stand-ins of the same width carry such brackets and commas through the parser, columns unharmed.
_WINDOW = re.compile(r"(?<=\w)\[(\s*\d[\w.]*\s*)\]")
_WORDS = re.compile(r"(?<=\bin)(\s*)\[([\w\s,/.-]*)\]")
_STAND_INS = str.maketrans("[],", "\ue000\ue001\ue002")
_MEANT = str.maketrans("\ue000\ue001\ue002", "[],")


def _carry(match: re.Match[str]) -> str:
    return match[0].translate(_STAND_INS)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A plain value, or a key, where it is written: from sign *start* of the text up to *end*."""

    path: Path
    value: str
    start: int
    end: int
    is_key: bool
    block: bool


def scalars(text: str) -> list[Scalar] | None:
    """Return every value and every key as it is written, variables and all; None if *text* is no YAML."""
    try:
        loader = _Plain(_WORDS.sub(_carry, _WINDOW.sub(_carry, text)))
    except yaml.YAMLError:
        return None
    try:
        node = loader.get_single_node()
        return [] if node is None else list(_scalars(node, (), 0))
    except (yaml.YAMLError, RecursionError):
        return None
    finally:
        loader.dispose()


def _scalars(node: yaml.Node, path: Path, depth: int, *, is_key: bool = False) -> Iterator[Scalar]:
    if depth > MAX_DEPTH:
        raise RecursionError
    if isinstance(node, yaml.ScalarNode):
        start, end, block = node.start_mark.index, node.end_mark.index, node.style in ("|", ">")
        yield Scalar(path, node.value.translate(_MEANT), start, end, is_key, block)
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            yield from _scalars(item, (*path, i), depth + 1)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(key, path, depth + 1, is_key=True)
            named = str(key.value).translate(_MEANT) if isinstance(key, yaml.ScalarNode) else ""
            yield from _scalars(value, (*path, named), depth + 1)


def read_yaml(text: str, environment: Mapping[str, str]) -> Document:
    """
    Read one YAML document and fill in ``${VAR}`` and ``${VAR:-default}`` from *environment*.

    ``$${`` is a literal ``${``. Problems are collected, never raised.
    """
    carried = _WORDS.sub(_carry, _WINDOW.sub(_carry, text))
    try:
        return _read(_Quick, carried, environment)
    except (yaml.YAMLError, RecursionError):
        return _explained(carried, environment)


def _read(kind: type[yaml.SafeLoader], text: str, environment: Mapping[str, str]) -> Document:
    """Return what *text* holds as *kind* reads it."""
    document = Document()
    loader = kind(text)
    try:
        node = loader.get_single_node()
        if node is not None:
            document.value = _Builder(loader, document, environment).build(node, (), 0)
    finally:
        loader.dispose()
    return document


def _explained(text: str, environment: Mapping[str, str]) -> Document:
    """Return what *text* holds if `_Plain` can read it, and else why it is no YAML."""
    document = Document()
    try:
        return _read(_Plain, text, environment)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = " ".join(part for part in (exc.context, exc.problem) if part)
        document.problems.append(
            Problem(line, column, "", f"not YAML: {what}", "check the indentation and quotes")
        )
    except yaml.YAMLError as exc:
        cure = "save it as UTF-8" if isinstance(exc, yaml.reader.ReaderError) else ""
        document.problems.append(Problem(1, 1, "", f"not YAML: {str(exc).splitlines()[0]}", cure))
    except RecursionError:
        document.problems.append(Problem(1, 1, "", "nested too deeply"))
    return document


class _Builder:
    def __init__(self, loader: yaml.SafeLoader, document: Document, environment: Mapping[str, str]) -> None:
        self.loader = loader
        self.document = document
        self.environment = environment

    def build(self, node: yaml.Node, path: Path, depth: int) -> Any:
        """Return the plain value of *node*, noting positions and problems on the way."""
        self.document.marks[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if depth > MAX_DEPTH:
            self._problem(node, "nested too deeply", "no rules file needs this")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, i), depth + 1) for i, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Any]:
        self.loader.flatten_mapping(node)
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(key_node, "a key must be a plain word", "")
                continue
            key = str(key_node.value).translate(_MEANT)
            inner = (*path, key)
            if key in found:
                first = self.document.key_marks[inner][0]
                self._problem(
                    key_node, f'key "{key}" stands twice (first in line {first})', "remove one of them"
                )
                continue
            found[key] = self.build(value_node, inner, depth + 1)
            self.document.key_marks[inner] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
        return found

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        assert isinstance(node, yaml.ScalarNode)
        node.value = node.value.translate(_MEANT)
        if "${" in node.value:
            return self._expand(node, path)
        try:
            return self.loader.construct_object(node)
        except (yaml.YAMLError, ValueError):
            return str(node.value)

    def _expand(self, node: yaml.ScalarNode, path: Path) -> str:
        def fill(match: re.Match[str]) -> str:
            escaped, name, default = match.groups()
            if escaped:
                return match[0][1:]
            self.document.from_outside.add(path)
            found = self.environment.get(name)
            if found or (found is not None and default is None):
                return found
            if default is None:
                cure = f"set it, or write ${{{name}:-default}}"
                self._problem(node, f"the environment variable {name} is not set", cure)
                self.document.unset.add(path)
                return ""
            return default

        return _VARIABLE.sub(fill, node.value)

    def _problem(self, node: yaml.Node, what: str, cure: str) -> None:
        mark = node.start_mark
        self.document.problems.append(Problem(mark.line + 1, mark.column + 1, "", what, cure))
