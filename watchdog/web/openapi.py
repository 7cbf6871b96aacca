"""The API's description (OpenAPI 3.1), from the same definitions that answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import TypeAdapter

from watchdog import __version__
from watchdog.web.answers import JSON
from watchdog.web.bodies import Query
from watchdog.web.calls import Operation

Schema = dict[str, Any]
REF = "#/components/schemas/{model}"
REFUSALS = {
    400: "The body is not JSON",
    401: "A token is needed, or this one is not known",
    403: "Nobody has a token, or the Host header is not this sidecar's",
    404: "There is no such thing",
    409: "The alert is not in a state for this",
    413: "The body is too long",
    415: "The body is not sent as JSON",
    422: "Something in it cannot be used; the error says what",
    503: "There was no look yet, or the state file cannot be used",
}
NAMED = {
    "id": {"description": "the silence's id", "schema": {"type": "string", "minLength": 1}},
    "fingerprint": {
        "description": "the alert's fingerprint",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    },
}
_NAME = re.compile(r"\{(\w+)\}")


def description(operations: Iterable[Operation]) -> Schema:
    """Return the description of *operations*."""
    operations = list(operations)
    types = {t.__name__: t for o in operations for t in (o.answer, o.body, o.query) if t is not None}
    inputs: Any = [(name, "validation", TypeAdapter(found)) for name, found in types.items()]
    _, defined = TypeAdapter.json_schemas(inputs, ref_template=REF)
    schemas = {name: found for name, found in defined["$defs"].items() if not name.endswith("Query")}
    paths: dict[str, Schema] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pipeline Watchdog",
            "version": __version__,
            "description": "What the sidecar knows, and what people may say to it.",
        },
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Error": ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string", "description": "what is wrong and what to do about it"}},
    "required": ["error"],
    "additionalProperties": False,
}


def _ref(name: str) -> Schema:
    return {JSON: {"schema": {"$ref": REF.format(model=name)}}}


def _operation(operation: Operation) -> Schema:
    body = operation.body
    described: Schema = {
        "operationId": operation.does.__name__,
        "summary": operation.summary,
        "parameters": [*_path_parameters(operation.path), *_query_parameters(operation.query)],
        "responses": {
            str(operation.status): {"description": "As asked", "content": _ref(operation.answer.__name__)},
            **{
                str(status): {"description": REFUSALS[status], "content": _ref("Error")}
                for status in _refusals(operation)
            },
        },
        # Reading needs none on the host itself.
        "security": [{"token": []}] if operation.method != "GET" else [{"token": []}, {}],
    }
    if body is not None:
        required = any(field.is_required() for field in body.model_fields.values())
        described["requestBody"] = {"required": required, "content": _ref(body.__name__)}
    return described


def _refusals(operation: Operation) -> list[int]:
    found = {401, 403, 422, 503, *operation.refuses}
    found |= {404} if _NAME.search(operation.path) else set()
    found |= {400, 413, 415} if operation.body else set()
    return sorted(found)


def _path_parameters(path: str) -> Iterator[Schema]:
    for name in _NAME.findall(path):
        yield {"name": name, "in": "path", "required": True, **NAMED[name]}


def _query_parameters(query: type[Query]) -> Iterator[Schema]:
    """Yield the parameters of *query*: one that is absent is not asked about, so null is no value of it."""
    defined = query.model_json_schema(ref_template=REF)
    needed = defined.get("required", ())
    for name, field in defined["properties"].items():
        options = [option for option in field.get("anyOf", ()) if option != {"type": "null"}]
        left_out = ("anyOf", "default", "description", "title") if options else ("description", "title")
        schema = {key: found for key, found in field.items() if key not in left_out}
        said = {"description": field["description"]} if "description" in field else {}
        said |= {"required": True} if name in needed else {}
        yield {"name": name, "in": "query", **said, "schema": schema | (options[0] if options else {})}
