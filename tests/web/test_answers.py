"""JSON, whatever is in it."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

from watchdog.report import to_json


def test_what_is_no_number_is_null() -> None:
    """A health endpoint may say 1e999; no reader of JSON understands Infinity."""
    body = {"a": math.inf, "b": [1.5, -math.inf, (math.nan,)], "c": {"d": math.nan, "e": "inf"}}
    assert json.loads(to_json(body)) == {"a": None, "b": [1.5, None, [None]], "c": {"d": None, "e": "inf"}}


def test_what_has_no_form_in_json_is_text() -> None:
    """Evidence may hold anything, half a sign included."""
    at = datetime(2026, 2, 19, tzinfo=UTC)
    assert json.loads(to_json({"at": at, "half": "\ud800"})) == {
        "at": "2026-02-19 00:00:00+00:00",
        "half": "\ud800",
    }
    assert to_json({"half": "\ud800\x1b"}).isascii()


def test_an_audit_is_indented_for_people() -> None:
    """As it was before anything was not finite."""
    assert to_json({"a": math.inf}, indent=1) == '{\n "a": null\n}'
