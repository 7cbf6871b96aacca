"""
The JSON Schema of rules.yaml, for editors and CI.

Pydantic describes what a file comes to once it is read; people may write the same in shorter forms, and each
of those is described here beside it. What only the whole file can tell is left to `watchdog check`.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from watchdog.schema import DiscoveringFileModel
from watchdog.signals import SIGNALS

TITLE = "rules.yaml of Pipeline Watchdog"
DRAFT = "https://json-schema.org/draft/2020-12/schema"
FROM_FILE = {
    "type": "object",
    "properties": {"file": {"type": "string"}},
    "required": ["file"],
    "additionalProperties": False,
}
"""How a secret is kept out of the file."""
FROM_ENVIRONMENT = {"type": "string", "pattern": r"\$\{"}
"""What may stand for any single value: ``${VAR}``."""
DURATION = {"type": "string", "pattern": r"^\s*([0-9]|\$\{)", "examples": ["90s", "5m", "1h30m", "2d"]}
PLAIN = {"type": ["string", "number", "boolean"]}
OFF = {"enum": ["off", False]}


class Written(GenerateJsonSchema):
    """Describes the forms in which people write values, beside those in which they are kept."""

    def timedelta_schema(self, schema: Any) -> JsonSchemaValue:  # noqa: ARG002
        """Describe a duration: ``90s``, or 0 where none is a choice."""
        return {"anyOf": [DURATION, {"const": 0}]}

    def int_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe a whole number."""
        return {"anyOf": [super().int_schema(schema), FROM_ENVIRONMENT]}

    def float_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe a number."""
        return {"anyOf": [super().float_schema(schema), FROM_ENVIRONMENT]}

    def bool_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe true or false."""
        return {"anyOf": [super().bool_schema(schema), FROM_ENVIRONMENT]}

    def function_before_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe what is read into something else: by that, which shorter form there is."""
        inner, kind = self.generate_inner(schema["schema"]), _kind(schema["schema"])
        return {"anyOf": [inner, *_shorter(kind, inner)]} if kind in SHORTER else inner

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        """Leave defaults out where they are written as the program keeps them."""
        return self.generate_inner(schema["schema"])


SHORTER = frozenset({"tuple", "model", "dict", "nullable", "str", "secret", "call", "dataclass"})
"""The kinds of values for which people may write less."""
BESIDE: dict[str, list[JsonSchemaValue]] = {
    "model": [{"not": {"type": "object"}}],
    "nullable": [OFF],
    "secret": [PLAIN, FROM_FILE],
}
"""What that is for some of them; for others it depends, or is one plain value."""


def _kind(schema: Any) -> str:
    """Return what a value is kept as, whatever is checked of it on the way."""
    while schema["type"] not in SHORTER and "schema" in schema:
        schema = schema["schema"]
    if "SecretStr" in str(schema.get("cls", "")) or "Secret" in str(schema.get("metadata", "")):
        return "secret"
    found: str = schema["type"]
    return found


def _shorter(kind: str, inner: JsonSchemaValue) -> list[JsonSchemaValue]:
    if kind == "tuple":
        items = inner.get("items", inner.get("prefixItems"))
        return [items] if isinstance(items, dict) else [{"type": "string"}]  # host:port
    if kind == "dict":
        return [inner.get("additionalProperties") or next(iter(inner["patternProperties"].values()))]
    return BESIDE.get(kind, [PLAIN])


def schema_of() -> dict[str, Any]:
    """Return the schema of the whole file."""
    found: dict[str, Any] = DiscoveringFileModel.model_json_schema(schema_generator=Written)
    for name in ("services", "discover"):
        found["properties"][name].pop("default", None)
    found["anyOf"] = [{"required": ["services"]}, {"required": ["discover"]}]
    body = found["$defs"]["ServiceModel"]
    for kind in SIGNALS.keys() & body["properties"].keys():
        listed = body["properties"][kind]
        items = listed.pop("items")
        del listed["type"]
        listed["anyOf"] = [items, {"type": "array", "items": items}]
    services = found["properties"]["services"]
    services["additionalProperties"] = {"anyOf": [services["additionalProperties"], {"type": "null"}]}
    return {"$schema": DRAFT, **found, "title": TITLE}


def schema_file() -> str:
    """Return the schema as a file."""
    return json.dumps(schema_of(), indent=1, ensure_ascii=False) + "\n"
