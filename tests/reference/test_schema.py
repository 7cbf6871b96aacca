"""The JSON Schema: it describes every key, accepts what `check` accepts, and refuses wrong shapes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from tests.config.test_config import CONTRACT, HEARD, WRONG
from tests.drawn import rows
from watchdog.builtin import BUILTIN
from watchdog.conditions import parse_condition
from watchdog.config import parse
from watchdog.errors import ConditionError
from watchdog.export.grammar import DURATION, SIZE, WAIT, condition
from watchdog.export.schema import schema_file, schema_of
from watchdog.filekeys import example_of
from watchdog.reference import SignalPage, signal_pages
from watchdog.rulebook import CATALOGUE, OR
from watchdog.units import Unit, parse_duration, parse_number
from watchdog.yamlfile import FOR_EDITORS, SCHEMA_FILE, read_yaml

ROOT = Path(__file__).parents[2]
SCHEMA = schema_of()
VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA)
GENERAL = {f"#/$defs/{name}" for name in ("Duration", "Wait", "Size", "Secret", "WebUrl", "RedisUrl")}
"""The kinds of values whose examples are said once."""


class AsWritten(dict[str, str]):
    """An environment that leaves every variable as an editor sees it."""

    def __contains__(self, name: object) -> bool:
        return True

    def get(self, name: str, default: Any = None) -> Any:
        return f"${{{name}}}"

    def __getitem__(self, name: str) -> str:
        return f"${{{name}}}"


def seen(text: str) -> Any:
    """Return a file as an editor sees it: variables are texts, dates too."""
    return json.loads(json.dumps(read_yaml(text, AsWritten()).value, default=str))


# ---- it describes all --------------------------------------------------------------------------


def properties(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every key that the schema describes, with what it says of it."""
    if isinstance(node, dict):
        for name, found in node.get("properties", {}).items():
            if "required" not in found or "type" in found or "title" in found:
                yield f"{path}.{name}", found
        for name, part in node.items():
            yield from properties(part, f"{path}/{name}")
    elif isinstance(node, list):
        for part in node:
            yield from properties(part, path)


def is_shown(found: dict[str, Any]) -> bool:
    """Say whether one sees how to write it: by an example, its words, its default, or because it is yes or no."""
    kinds = {f"#/$defs/{name}": kind for name, kind in SCHEMA["$defs"].items()}
    options = [kinds.get(one.get("$ref"), one) | one for one in [found, *found.get("anyOf", [])]]
    plain = any(
        '"enum"' in json.dumps(one) or one.get("type") == "boolean" or one.get("$ref") in GENERAL
        for one in options
    )
    return plain or "examples" in found or "default" in found


DESCRIBED = {
    path: found
    for path, found in properties(SCHEMA)
    if "properties/rules." not in path and path != "/anyOf.services"
}


def test_the_schema_is_one_of_its_draft() -> None:
    """2020-12, by its own schema."""
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(SCHEMA)


def test_every_key_has_a_title_a_description_and_shows_how_to_write_it() -> None:
    """Also those of signals and receivers, as deep as they go."""
    lacking = [
        path
        for path, found in DESCRIBED.items()
        if not (found.get("title") and found.get("description") and is_shown(found))
    ]
    assert (lacking, len(DESCRIBED) > 200) == ([], True)


def test_nothing_may_stand_in_a_mapping_that_the_schema_does_not_know() -> None:
    """Else a misspelt key would pass."""
    kinds = SCHEMA["$defs"].items()
    open_ = [
        name for name, kind in kinds if "properties" in kind and kind.get("additionalProperties") is not False
    ]
    assert open_ == []
    assert SCHEMA["additionalProperties"] is False


def test_every_example_of_a_key_is_right() -> None:
    """By the very schema of that key, and of all that it refers to."""
    shown = {path: found["examples"] for path, found in DESCRIBED.items() if "examples" in found}
    each = {path: {"type": "array", "items": DESCRIBED[path]} for path in shown}
    of_all = jsonschema_rs.Draft202012Validator({"$defs": SCHEMA["$defs"], "properties": each})
    assert ([str(error) for error in of_all.iter_errors(shown)], len(shown) > 100) == ([], True)


SIGNALS = [page for page in signal_pages() if page.keys]


@pytest.mark.parametrize("page", SIGNALS, ids=lambda page: page.name)
def test_a_signals_own_examples_make_a_right_file(page: SignalPage) -> None:
    """What a signal needs, written with the first example of each key, is a file that `check` takes."""
    text = yaml.safe_dump({"services": {"a": {page.name: example_of(page.keys)}}}, sort_keys=False)
    assert parse(text).services == ("a",)


@pytest.mark.parametrize("alert", BUILTIN)
def test_an_editor_completes_the_rules_a_service_may_change(alert: str) -> None:
    """Each with what it means."""
    known = SCHEMA["$defs"]["ServiceModel"]["properties"]["rules"]["properties"]
    assert BUILTIN[alert]["when"][0] in known[alert]["description"]


# ---- it agrees with `check` --------------------------------------------------------------------

DOCUMENTS = """
  accepted | document
  yes      | {services: {a: {heartbeat: {key: k}}}}
  yes      | {services: {a: {heartbeat: [{key: k}, {key: l}]}}, redis: "redis://h"}
  yes      | {services: {a: {heartbeat: {key: k}}}, redis: {m: {url: {file: /x}, timeout: 1s}}}
  yes      | {services: {a: {heartbeat: {key: k}}}, redis: {main: "redis://h", cache: "rediss://h"}}
  yes      | {services: {a: }, discover: {streams: x}, notifications: {flapping: off, group_wait: 0}}
  yes      | {discover: {streams: x, limit: "${LIMIT}"}}
  yes      | {services: {a: {heartbeat: {key: k}}}, receivers: {r: {slack: {url: {file: /x}}}}}
  yes      | {services: {a: {executions: {stream: s, success: {ok: true}, at_most: 30/1h, input: i}}}}
  yes      | {services: {a: {heartbeat: {key: k, every: 1h30m}}}, builtin_rules: off, state: }
  no       | {}
  no       | {services: {}}
  no       | {services: {a: {hartbeat: {key: k}}}}
  no       | {services: {a: {heartbeat: {kei: k}}}}
  no       | {services: {a: {heartbeat: {key: k}}}, evry: 5s}
  no       | {services: {a: {heartbeat: {key: k}}}, every: soon}
  no       | {services: {a: {heartbeat: {key: k}}}, every: 0}
  no       | {services: {a: {heartbeat: {key: k}}}, redis: "http://h"}
  no       | {services: {a: {heartbeat: {key: k}}}, listen: nowhere}
  no       | {services: {a: {heartbeat: {key: k}}}, rules: [{alert: A, when: x.y > 1, fro: 5m}]}
  no       | {services: {a: {heartbeat: {key: k}}}, receivers: {r: {slack: {url: {flie: /x}}}}}
  no       | {services: {a: {heartbeat: {key: k}}}, receivers: {r: {slack: {url: ftp://x}}}}
  no       | {services: {a: {heartbeat: {key: k}}}, receivers: {r: {slack: {url: http://x}, webhook: {url: http://x}}}}
  no       | {services: {a: {executions: {stream: s, success: {ok: true}, at_most: 30}}}}
  no       | {services: {a: {executions: {stream: s, success: {ok: true}, at_most: {most: 30, window: 1h}}}}}
  no       | {discover: {streams: []}}
"""
TABLE = rows(DOCUMENTS)


@pytest.mark.parametrize(("accepted", "document"), TABLE, ids=[document for _, document in TABLE])
def test_the_schema_knows_right_from_wrong(accepted: str, document: str) -> None:
    """Short forms are right, typos are not."""
    assert VALIDATOR.is_valid(yaml.safe_load(document)) == (accepted == "yes")


FILES = {
    "the repository's": (ROOT / "rules.yaml").read_text(encoding="utf-8"),
    "the demo's": (ROOT / "watchdog/demo/rules.yaml").read_text(encoding="utf-8"),
    "the contract's": CONTRACT,
    "one with receivers": HEARD,
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_right_fits(name: str) -> None:
    """Whatever the files show is described, variables as they stand."""
    assert [str(error) for error in VALIDATOR.iter_errors(seen(FILES[name]))] == []


SHAPE = (
    "unknown key",
    "is missing",
    "expected a",
    "is not a duration",
    "is not one of",
    "is empty (",
    "must be",
    "has no measure",
    "is not a Redis URL",
    "the URL is empty",
    "this secret is empty",
    "is not host:port",
)
"""How problems begin that a schema can see; for others one has to know the whole file."""
BEYOND = ("summary",)
"""Places whose texts the schema does not read."""


@pytest.mark.parametrize(("text", "said"), WRONG, ids=[said[:70] for _, said in WRONG])
def test_what_check_refuses_by_shape_the_schema_refuses(text: str, said: str) -> None:
    """And nothing else: what only the whole file can tell is left to `check`."""
    document = read_yaml(text, AsWritten())
    if document.problems or not isinstance(document.value, dict):
        return
    by_shape = any(word in said for word in SHAPE) and not any(f" {place}: " in said for place in BEYOND)
    assert VALIDATOR.is_valid(seen(text)) == (not by_shape)


# ---- its grammar is the readers' ---------------------------------------------------------------

CONDITIONS = """
  condition
  heartbeat.age > 5m
  heartbeat.age >= -1.5h
  heartbeat.age > 1e3
  heartbeat.age > 10%
  heartbeat.agee > 5m
  heartbeat.age[10m] > 5m
  hartbeat.age > 5m
  executions.offered[1h] > 0
  executions.offered > 0
  executions.offered[1x] > 0
  executions.success_ratio < 50%
  executions.success_ratio[1h] < 0.5
  executions.success_ratio in [a]
  executions.top_reason[10m] == no_position
  log.matches.late[10m] > 3
  log.matches[10m] > 3
  log.behind > 1MiB
  log.behind > 1 MiB
  consumes.verdict == stalled
  consumes.verdict == "stalled"
  consumes.verdict in [stalled, stuck]
  consumes.verdict in stalled
  consumes.verdict == stuckk
  consumes.verdict > stalled
  signal.known == 0
  stream.skew > 10m or stream.skew < -1m
  stream.skew > 10m and stream.skew < -1m
  stream.skew > 10m or
  stream.skew
  trace.stage.plan > 5s
"""


@pytest.mark.parametrize("text", [text for (text,) in rows(CONDITIONS)])
def test_a_condition_fits_if_it_can_be_read(text: str) -> None:
    """The expression says what the reader says."""
    try:
        for part in text.split(OR):
            parse_condition(part, CATALOGUE)
        readable = True
    except ConditionError:
        readable = False
    assert bool(re.search(condition(CATALOGUE), text)) == readable


def test_every_built_in_condition_fits() -> None:
    """All of them."""
    pattern = re.compile(condition(CATALOGUE))
    assert [when for rule in BUILTIN.values() for when in rule["when"] if not pattern.search(when)] == []


@pytest.mark.parametrize(
    "text", ["90s", "1h30m", "2d", "1.5h", "5", "soon", "", "5 m", "0s", "00m0s", "10ms"]
)
def test_a_duration_fits_if_it_can_be_read(text: str) -> None:
    """Where none is no choice it is above zero."""
    try:
        seconds = parse_duration(text).total_seconds()
    except ValueError:
        seconds = -1.0
    assert bool(re.search(WAIT, text)) == (seconds >= 0)
    assert bool(re.search(DURATION, text)) == (seconds > 0)


@pytest.mark.parametrize("text", ["64MiB", "1.5 GB", "1048576", "1e6", "big", "64Mi", "64 kB"])
def test_a_size_fits_if_it_can_be_read(text: str) -> None:
    """With and without a unit."""
    try:
        parse_number(text, Unit.BYTES)
        readable = True
    except ValueError:
        readable = False
    assert bool(re.search(SIZE, text)) == readable


# ---- where it is -------------------------------------------------------------------------------


def test_the_schema_in_the_repository_is_the_codes() -> None:
    """Byte for byte: `make reference` writes it."""
    assert (ROOT / SCHEMA_FILE).read_text(encoding="utf-8") == schema_file()


def test_the_shipped_rules_name_the_schema_for_editors() -> None:
    """In their first line, by a path that leads to it."""
    first = (ROOT / "rules.yaml").read_text(encoding="utf-8").partition("\n")[0]
    assert first == FOR_EDITORS
    assert (ROOT / first.rpartition("=")[2]).is_file()
