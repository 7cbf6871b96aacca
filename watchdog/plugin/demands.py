"""What the checks of signals and of receivers share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

NOW = datetime(2026, 2, 19, 1, 55, tzinfo=UTC)
UNKNOWN_KEY = "no_such_key"


def demand(holds: object, sentence: str) -> None:
    """Raise an AssertionError with *sentence* unless something *holds*; `python -O` leaves it in."""
    if not holds:
        raise AssertionError(sentence)


def refuses_unknown_keys(name: str, model: Any, example: Mapping[str, Any]) -> None:
    """Demand that a key which *model* does not know is refused beside those of *example*."""
    try:
        model.model_validate({**example, UNKNOWN_KEY: 1})
    except ValidationError:
        return
    raise AssertionError(f"{name}: nobody is told of a misspelt key")
