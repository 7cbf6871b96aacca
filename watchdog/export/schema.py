"""
The JSON Schema of rules.yaml, for editors and CI.

Pydantic describes what a file comes to once it is read; people may write the same in shorter forms, and each
of those is described here beside it. What only the whole file can tell is left to `watchdog check`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from watchdog.export.grammar import CEILING, DURATION, SIZE, WAIT, condition
from watchdog.filekeys import example_of
from watchdog.reference import receiver_pages, rule_pages, signal_pages
from watchdog.rulebook import CATALOGUE
from watchdog.shape import whole_shape
from watchdog.units import write_duration

TITLE = "rules.yaml of Pipeline Watchdog"
DRAFT = "https://json-schema.org/draft/2020-12/schema"
FROM_FILE = {
    "type": "object",
    "properties": {
        "file": {
            "type": "string",
            "title": "file",
            "description": "the file that holds it, and nothing else",
            "examples": ["/run/secrets/slack"],
        }
    },
    "required": ["file"],
    "additionalProperties": False,
}
"""How a secret is kept out of the file."""
FROM_ENVIRONMENT = {"type": "string", "pattern": r"\$\{"}
"""What may stand for any single value: ``${VAR}``."""
TEXT = {"type": "string"}
HOST_AND_PORT = {"type": "string", "pattern": r"^.+:[0-9]{1,5}$"}
SERVER = "^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
PLAIN = {"type": ["string", "number", "boolean"]}
OFF = {"enum": ["off", False]}
DEFINED: Mapping[str, JsonSchemaValue] = {
    "Duration": {
        "title": "duration",
        "description": "a time as people write it: a number and ms, s, m, h, d or w, or several of them",
        "anyOf": [{"type": "string", "pattern": DURATION}, FROM_ENVIRONMENT],
        "examples": ["90s", "5m", "1h30m", "2d"],
    },
    "Wait": {
        "title": "duration or 0",
        "description": "a time as people write it, or 0",
        "anyOf": [{"type": "string", "pattern": WAIT}, {"const": 0}, FROM_ENVIRONMENT],
        "examples": ["2m", 0],
    },
    "Size": {
        "title": "size",
        "description": "so many bytes as people write them, at least 1MiB",
        "anyOf": [{"type": "string", "pattern": SIZE}, {"type": "number"}, FROM_ENVIRONMENT],
        "examples": ["64MiB", "1GB"],
    },
    "Secret": {
        "title": "secret",
        "description": "a text that is never shown; best from the environment or a file of its own",
        "anyOf": [{"type": "string", "minLength": 1}, FROM_FILE],
        "examples": ["${SECRET}", {"file": "/run/secrets/name"}],
    },
    "WebUrl": {
        "title": "secret URL",
        "description": "an http(s) address that is never shown, since it may carry its own key",
        "anyOf": [
            {"type": "string", "pattern": r"^\s*[hH][tT][tT][pP][sS]?://"},
            FROM_FILE,
            FROM_ENVIRONMENT,
        ],
        "examples": ["${SLACK_WEBHOOK_URL}", {"file": "/run/secrets/slack"}],
    },
    "RedisUrl": {
        "title": "URL of Redis",
        "description": "where the server is; never shown, since it may carry a password",
        "anyOf": [
            {"type": "string", "pattern": r"^\s*(rediss?|unix|rediss?\+(sentinel|cluster))://"},
            FROM_FILE,
            FROM_ENVIRONMENT,
        ],
        "examples": ["redis://127.0.0.1:6379/0", "${REDIS_URL}", {"file": "/run/secrets/redis_url"}],
    },
}
"""Kinds of values that many keys have."""
READ_FROM: Mapping[str, JsonSchemaValue] = {
    "parse_ceiling": {
        "anyOf": [{"type": "string", "pattern": CEILING}, FROM_ENVIRONMENT],
        "description": "so many in so long a time, such as 30/1h",
    },
}
"""What is written where something else is kept, by the function that reads it."""
SECRETS: Mapping[str, str] = {"_need_url": "WebUrl", "_need_redis": "RedisUrl"}
"""The kinds of secrets that are more than a text."""
FILLED = frozenset({"_some", "listed"})
"""The functions that read a list and want something in it."""
SHORTER: Mapping[str, list[JsonSchemaValue]] = {
    "_input": [TEXT],
    "_decision": [TEXT],
    "_ban": [TEXT],
    "_requirement": [PLAIN],
    "_agreement": [{"type": "array", "items": TEXT, "minItems": 2}],
    "_spelt": [PLAIN],
}
"""What may stand for less, by the function that reads it."""
BY_KIND: Mapping[str, list[JsonSchemaValue]] = {"model": [{"not": {"type": "object"}}], "nullable": [OFF]}
"""The same where the function is not known, by what is kept; of others it depends, or is one plain value."""
LESS = frozenset({"tuple", "model", "dict", "nullable", "str", "secret", "call", "dataclass"})
"""The kinds of values for which people may write less."""


STANDS_FOR = "standsFor"
"""Holds the name of one of them until all is described: pydantic refers only to what it knows itself."""


def ref(name: str) -> JsonSchemaValue:
    """Return what refers to one of the kinds in `DEFINED`."""
    return {"$ref": f"#/$defs/{name}"}


def _like(name: str) -> JsonSchemaValue:
    """Return what will be such a reference."""
    return {STANDS_FOR: name}


class Written(GenerateJsonSchema):
    """Describes the forms in which people write values, beside those in which they are kept."""

    def get_title_from_name(self, name: str) -> str:
        """Return a key as it is written; an editor shows it above what it means."""
        return name.rstrip("_")

    def timedelta_schema(self, schema: Any) -> JsonSchemaValue:  # noqa: ARG002
        """Describe a duration: ``90s``, or 0 where none is a choice; `finished` tells which."""
        return _like("Wait")

    def int_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe a whole number."""
        return {"anyOf": [super().int_schema(schema), FROM_ENVIRONMENT]}

    def float_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe a number."""
        return {"anyOf": [super().float_schema(schema), FROM_ENVIRONMENT]}

    def bool_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe true or false."""
        return {"anyOf": [super().bool_schema(schema), FROM_ENVIRONMENT]}

    def str_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe a text; one that must look somehow may come from the environment."""
        text = super().str_schema(schema)
        return {"anyOf": [text, FROM_ENVIRONMENT]} if "pattern" in text else text

    def literal_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe one of some words."""
        return {"anyOf": [super().literal_schema(schema), FROM_ENVIRONMENT]}

    def enum_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe one of some words; what the enumeration is for says the key."""
        words = super().enum_schema(schema)
        return {"anyOf": [{"enum": words["enum"]}, FROM_ENVIRONMENT]}

    def function_before_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe what is read into something else: by that, which shorter form there is."""
        kind, reader = _kind(schema["schema"]), _name(schema)
        if kind == "secret" and reader in SECRETS:
            return _like(SECRETS[reader])
        if kind == "secret":
            return {"anyOf": [_like("Secret"), *SHORTER["_spelt"]]} if reader == "_spelt" else _like("Secret")
        if reader in READ_FROM:
            return dict(READ_FROM[reader])
        inner = self.generate_inner(schema["schema"])
        if reader in SHORTER:
            return {"anyOf": [inner, *SHORTER[reader]]}
        if reader in FILLED:
            inner = {**inner, "minItems": 1}
        return {"anyOf": [inner, *_shorter(kind, inner)]} if kind in LESS else inner

    def function_after_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe what is checked once it is read; a size has a form of its own."""
        return _like("Size") if _name(schema) == "_size" else super().function_after_schema(schema)

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe a value with its default, as somebody would write that."""
        inner = self.generate_inner(schema["schema"])
        default = _written(self.get_default_value(schema))
        return inner if default is None else {**inner, "default": default}


def _name(schema: Any) -> str:
    """Return the name of the function of *schema* that reads or checks a value."""
    return str(getattr(schema["function"]["function"], "__name__", ""))


def _kind(schema: Any) -> str:
    """Return what a value is kept as, whatever is checked of it on the way."""
    while schema["type"] not in LESS and "schema" in schema:
        schema = schema["schema"]
    if "SecretStr" in str(schema.get("cls", "")) or "Secret" in str(schema.get("metadata", "")):
        return "secret"
    found: str = schema["type"]
    return found


def _shorter(kind: str, inner: JsonSchemaValue) -> list[JsonSchemaValue]:
    if kind == "tuple":
        items = inner.get("items", inner.get("prefixItems"))
        return [items] if isinstance(items, dict) else [HOST_AND_PORT, FROM_ENVIRONMENT]
    if kind == "dict":
        return [inner.get("additionalProperties") or next(iter(inner["patternProperties"].values()))]
    return BY_KIND.get(kind, [PLAIN])


def _written(default: object) -> str | int | float | bool | None:
    """Return a *default* as it would be written; None if there is nothing to write."""
    if isinstance(default, timedelta):
        return write_duration(default)
    if isinstance(default, Enum):
        default = default.value
    return default if default != "" and isinstance(default, str | int | float) else None


# ---- the whole file ----------------------------------------------------------------------------


def schema_of() -> dict[str, Any]:
    """Return the schema of the whole file, with the signals and receivers that are installed."""
    found: dict[str, Any] = whole_shape().model_json_schema(schema_generator=Written)
    _finish(found)
    kinds, properties = found["$defs"], found["properties"]
    for name, kind in kinds.items():
        kind["title"] = name.removesuffix("Model").removesuffix("Config").lower()
    for mapping in (found, *kinds.values()):
        for name, key in mapping.get("properties", {}).items():
            key.setdefault("title", name)
    kinds |= {**DEFINED, "Condition": _condition()}
    for name in ("services", "discover"):
        properties[name].pop("default", None)
    named = {"required": ["services"], "properties": {"services": {"minProperties": 1}}}
    found["anyOf"] = [named, {"required": ["discover"]}]
    _describe_signals(kinds)
    _describe_rules(kinds)
    server = [ref("RedisUrl"), ref("RedisModel")]
    several = {"type": "object", "patternProperties": {SERVER: {"anyOf": server}}, "minProperties": 1}
    properties["redis"]["anyOf"] = [*server, {**several, "additionalProperties": False}]
    services = properties["services"]
    services["additionalProperties"] = {"anyOf": [services["additionalProperties"], {"type": "null"}]}
    services["examples"] = [{"orders": {"heartbeat": {"key": "svc:orders:heartbeat"}}}]
    properties["receivers"]["examples"] = [{"ops": {"slack": {"url": "${SLACK_WEBHOOK_URL}"}}}]
    kinds["ReceiverModel"] |= {"minProperties": 1, "maxProperties": 1}
    for receiver in receiver_pages():
        kinds["ReceiverModel"]["properties"][receiver.name]["examples"] = [example_of(receiver.keys)]
    return {"$schema": DRAFT, **found, "title": TITLE}


def schema_file() -> str:
    """Return the schema as a file."""
    return json.dumps(schema_of(), indent=1, ensure_ascii=False) + "\n"


def _finish(node: Any) -> None:
    """Refer to what is defined once, and make one choice of choices within choices, everywhere in *node*."""
    if isinstance(node, list):
        for part in node:
            _finish(part)
    if isinstance(node, dict):
        above, _ = node.pop("gt", None), node.pop("ge", None)
        if STANDS_FOR in node:
            name = node.pop(STANDS_FOR)
            node |= ref("Duration" if above and name == "Wait" else name)
        for part in node.values():
            _finish(part)
        if isinstance(node.get("anyOf"), list):
            node["anyOf"] = _flat(node["anyOf"])


def _flat(options: list[JsonSchemaValue]) -> list[JsonSchemaValue]:
    """Return *options* without those that stand in another one, or twice."""
    found: list[JsonSchemaValue] = []
    for option in options:
        for one in option["anyOf"] if set(option) == {"anyOf"} else [option]:
            if one not in found:
                found.append(one)
    return found


def _describe_signals(kinds: dict[str, Any]) -> None:
    """Let every signal be one mapping or a list, and say what it measures."""
    listed = kinds["ServiceModel"]["properties"]
    for page in signal_pages():
        if page.name in listed:
            one = listed[page.name]["items"]
            kind = kinds[one["$ref"].rpartition("/")[2]]
            measures = ", ".join(measure.name for measure in page.measures)
            kind["title"], kind["description"] = page.name, page.meaning
            listed[page.name] = {
                "title": page.name,
                "description": f"{page.meaning} It measures {measures}.",
                "anyOf": [one, {"type": "array", "items": one}],
                "examples": [
                    {key.name: key.examples[0] for key in page.keys if key.required and key.examples}
                ],
            }


def _condition() -> JsonSchemaValue:
    """Describe one item of `when`, with the measures of all signals there are."""
    return {
        "title": "condition",
        "description": "signal.measure[window] op value; `or` joins several. Counters need a window, ratios"
        " take 10m if none is written; numbers compare with > >= < <= == !=, words with == != and in [a, b]",
        "anyOf": [{"type": "string", "pattern": condition(CATALOGUE)}, FROM_ENVIRONMENT],
        "examples": [
            "heartbeat.age > 5m",
            "log.error_ratio[10m] > 10%",
            "consumes.verdict in [stalled, stuck]",
        ],
    }


def _describe_rules(kinds: dict[str, Any]) -> None:
    """Say what a condition is, and which rules a service may change."""
    for name in ("RuleModel", "OverrideModel"):
        when = kinds[name]["properties"]["when"]
        several = {"type": "array", "items": ref("Condition"), "minItems": 1}
        kinds[name]["properties"]["when"] = {
            **{key: found for key, found in when.items() if key not in ("anyOf", "minLength", "minItems")},
            "anyOf": [ref("Condition"), several, *([{"type": "null"}] if name == "OverrideModel" else [])],
        }
    rules = kinds["ServiceModel"]["properties"]["rules"]
    changed = rules["additionalProperties"]
    rules["properties"] = {
        page.name: {**changed, "description": f"{page.meaning} ({' and '.join(page.when)})"}
        for page in rule_pages()
    }
