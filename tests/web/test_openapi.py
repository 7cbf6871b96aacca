"""The API against its own description: whatever is sent, it answers as described."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.process.conftest import Running, until
from tests.web.conftest import RULES, TOKEN
from watchdog.web.api import OPERATIONS
from watchdog.web.openapi import description

AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
MATCHER = {"name": "a", "value": "b"}
described = schemathesis.openapi.from_dict(description(OPERATIONS))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A sidecar with alerts that fire; in the end it has logged no error of its own."""
    directory = tmp_path_factory.mktemp("api")
    for name in ("worker", "shop"):
        (directory / f"{name}.log").touch()
    rules = directory / "rules.yaml"
    rules.write_text(RULES.format(directory=directory, token=TOKEN))
    started = Running(rules)
    try:
        until(started.ready)
        yield started
        _, log = started.stop()
    finally:
        started.process.kill()
    assert [line for line in log if line.get("level") in ("error", "critical")] == []


@pytest.fixture(scope="module")
def known(running: Running) -> dict[str, str]:
    """Names of an alert and of a silence that are there."""
    alerts = until(lambda: running.get("/api/v1/alerts?state=firing").json()["alerts"])
    silence = httpx.post(
        f"{running.url}/api/v1/silences",
        json={"matchers": [MATCHER], "duration": "1h", "comment": "x"},
        headers=AUTHORIZED,
    )
    return {"fingerprint": alerts[0]["fingerprint"], "id": silence.json()["id"]}


@pytest.fixture(scope="module")
def answered() -> Iterator[Counter[tuple[str, int]]]:
    """How often each operation gave each answer: right and wrong questions must be among those asked."""
    counted: Counter[tuple[str, int]] = Counter()
    yield counted
    for operation in OPERATIONS:
        label = f"{operation.method} {operation.path}"
        given = {status for name, status in counted if name == label}
        if given:
            wrong = {401, 422} if operation.body else set()
            assert wrong | {operation.status} <= given, label


def make_sensible(case: Any, known: dict[str, str]) -> None:
    """Turn a right question into one that also has an answer: about things that are there, and ends that lie ahead."""
    for name in case.path_parameters or {}:
        case.path_parameters[name] = known[name]
    if case.operation.label == "POST /api/v1/silences":
        left = {name: found for name, found in case.body.items() if name not in ("endsAt", "startsAt")}
        case.body = {**left, "id": known["id"], "duration": "1h", "matchers": [MATCHER, *left["matchers"]]}


@described.parametrize()
@settings(max_examples=30, deadline=None, derandomize=True)
def test_every_answer_is_as_described(
    case: Any, running: Running, known: dict[str, str], answered: Counter[tuple[str, int]]
) -> None:
    """Right and wrong questions of all kinds, of names that exist and of others: no answer that is not described."""
    label = case.operation.label
    if case.meta.generation.mode.is_positive and answered[label, 0] % 2:
        make_sensible(case, known)
    answered[label, 0] += 1
    answer = case.call(base_url=running.url, headers=AUTHORIZED)
    answered[label, answer.status_code] += 1
    # Not all that makes a silence sensible can be described: ends must lie ahead, not all may match.
    left_out = [positive_data_acceptance] if label == "POST /api/v1/silences" else []
    case.validate_response(answer, headers=AUTHORIZED, excluded_checks=left_out)


def test_every_operation_is_described_and_every_description_leads_somewhere(running: Running) -> None:
    """What is served is what the table has, and it is an OpenAPI document."""
    served = running.get("/api/v1/openapi.json").json()
    assert served == description(OPERATIONS)
    assert (served["openapi"], served["info"]["title"]) == ("3.1.0", "Pipeline Watchdog")
    listed = {(path, method.upper()) for path, by in served["paths"].items() for method in by}
    assert listed == {(operation.path, operation.method) for operation in OPERATIONS}
    references = set(_references(served))
    assert references == {f"#/components/schemas/{name}" for name in served["components"]["schemas"]}


def test_every_operation_is_in_the_manual() -> None:
    """By method and path."""
    manual = (Path(__file__).parents[2] / "docs" / "reference" / "api.md").read_text()
    table = manual.partition("| --- | --- |")[2].partition("\n\n")[0]
    for operation in OPERATIONS:
        (row,) = [
            line for line in table.splitlines() if f"{operation.path}`" in line and operation.method in line
        ]
        assert row.count("|") == 3


def _references(found: Any) -> Iterator[str]:
    if isinstance(found, dict):
        if isinstance(found.get("$ref"), str):
            yield found["$ref"]
        for inner in found.values():
            yield from _references(inner)
    elif isinstance(found, list):
        for inner in found:
            yield from _references(inner)


def test_what_changes_something_needs_a_token_and_says_so() -> None:
    """Reading may need one; the description tells the two apart."""
    paths = description(OPERATIONS)["paths"]
    for operation in OPERATIONS:
        security = paths[operation.path][operation.method.lower()]["security"]
        assert security == ([{"token": []}, {}] if operation.method == "GET" else [{"token": []}])


def test_the_description_of_a_silence_is_what_people_read() -> None:
    """Compared whole where it is most read."""
    schema = description(OPERATIONS)["components"]["schemas"]["SilenceIn"]
    assert sorted(schema["properties"]) == [
        "comment",
        "createdBy",
        "duration",
        "endsAt",
        "id",
        "matchers",
        "startsAt",
        "status",
        "untilResolved",
    ]
    assert (schema["required"], schema["additionalProperties"]) == (["matchers", "comment"], False)
    assert schema["properties"]["comment"] == {
        "description": "why",
        "maxLength": 1000,
        "minLength": 1,
        "pattern": r"\S",
        "title": "Comment",
        "type": "string",
    }
