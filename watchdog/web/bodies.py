"""What may be said to the API: queries and bodies, and what is wrong with them in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict
from pydantic_core import ErrorDetails
from starlette.datastructures import QueryParams

from watchdog.alerts import State
from watchdog.conditions import suggest
from watchdog.errors import ConditionError
from watchdog.logs.patterns import check_backtracking
from watchdog.muting import Matcher
from watchdog.problems import EXPECTED, keys_at, place_of
from watchdog.rules import Severity

OPS = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})"
)


def _moment(raw: object) -> datetime:
    text = raw.upper() if isinstance(raw, str) else ""
    try:
        if _MOMENT.fullmatch(text):
            return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("there is no such time (the calendar goes from year 1 to 9999)") from None
    raise ValueError("this is not a time (write it like 2026-02-19T01:55:00Z)")


Moment = Annotated[datetime, BeforeValidator(_moment)]
"""A time as in RFC 3339, with its zone."""
Fingerprint = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
"""By what an alert is known here and in Alertmanager."""
Text = Annotated[str, StringConstraints(max_length=1_000)]
Outcome = Literal["sent", "retried", "refused", "expired", "dropped"]


# ---- bodies ------------------------------------------------------------------------------------


class Body(BaseModel):
    """Base of what is posted: no unknown keys, and no guessing of types."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, alias_generator=to_camel
    )


class MatcherIn(Body):
    """One condition on a label, as in Alertmanager's API."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200, description="a label's name")
    value: Text = Field(description="its value, or a pattern for all of it; an absent label is empty")
    is_regex: bool = Field(False, description="whether the value is a regular expression")
    is_equal: bool = Field(True, description="false: the alerts that do not match it")

    @property
    def matcher(self) -> Matcher:
        """Return the matcher."""
        return Matcher(self.name, OPS[self.is_regex, self.is_equal], self.value)

    @model_validator(mode="after")
    def _readable(self) -> MatcherIn:
        if self.is_regex:
            try:
                check_backtracking(self.name, self.value)
            except ConditionError as exc:
                raise ValueError(str(exc)) from None
            except (OverflowError, RecursionError):
                raise ValueError("this pattern is too much (make it shorter)") from None
        return self


class StandingIn(BaseModel):
    """The status of a silence that was read."""


def _given(name: str) -> JsonDict:
    return {"required": [name], "properties": {name: {"type": "string"}}}


class SilenceIn(Body):
    """A silence to make, or one to change if it has an `id`."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [_given("endsAt"), _given("duration")]})

    id: str | None = Field(None, max_length=100, description="of the silence to change")
    matchers: tuple[MatcherIn, ...] = Field(
        min_length=1, max_length=50, description="which alerts are meant: all of these hold for them"
    )
    starts_at: Moment | None = Field(None, description="from when on (default: now)")
    ends_at: Moment | None = Field(None, description="until when")
    duration: str | None = Field(
        None,
        pattern=r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))+$",
        max_length=50,
        description="or for how long, as in 2h",
    )
    created_by: Text | None = Field(None, description="whose wish it is (default: who has the token)")
    comment: Text = Field(min_length=1, pattern=r"\S", description="why")
    until_resolved: bool = Field(False, description="end early, once nothing of what it held back fires")
    status: StandingIn | None = Field(None, description="of no effect: what was read may be posted")

    @field_validator("matchers")
    @classmethod
    def _not_everything(cls, matchers: tuple[MatcherIn, ...]) -> tuple[MatcherIn, ...]:
        """Refuse, as Alertmanager does, what would match an alert without any label."""
        if all(one.matcher.matches({}) for one in matchers):
            raise ValueError("these match every alert (give one that an empty value does not match)")
        return matchers

    @model_validator(mode="after")
    def _one_end(self) -> SilenceIn:
        if (self.ends_at is None) == (self.duration is None):
            raise ValueError("a silence has an end (give either endsAt or duration)")
        return self


class AckIn(Body):
    """That somebody has seen an alert."""

    created_by: Text | None = Field(None, description="who it is (default: who has the token)")
    comment: Text = Field("", description="what is being done")


# ---- queries -----------------------------------------------------------------------------------


class Query(BaseModel):
    """Base of what is asked for: a parameter that is not known would be a filter that does not filter."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class AlertsQuery(Query):
    """Which alerts to show; a parameter given several times means any of its values."""

    fingerprint: tuple[Fingerprint, ...] = ()
    alertname: tuple[str, ...] = ()
    service: tuple[str, ...] = ()
    severity: tuple[Severity, ...] = ()
    state: tuple[State, ...] = ()
    receiver: tuple[str, ...] = Field((), description="those of which this receiver has to hear")


class DeliveriesQuery(Query):
    """Which deliveries to show, the latest first."""

    receiver: str | None = None
    fingerprint: Fingerprint | None = Field(None, description="of an alert the message told of")
    outcome: Outcome | None = None
    since: Moment | None = None
    limit: int = Field(100, ge=1, le=1_000)


class TimelineQuery(Query):
    """Which events to show, the latest first."""

    service: str | None = Field(
        None, description="what happened to it, and what is about all; else everything"
    )
    since: Moment | None = None
    limit: int = Field(100, ge=1, le=1_000)


class TrendsQuery(Query):
    """Of which service to show the curves."""

    service: str = Field(description="the service's name")


# ---- words -------------------------------------------------------------------------------------


def sentences(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    """Yield everything pydantic objects to, in our words."""
    details = error.errors(include_url=False)
    for detail in details:
        place = place_of(detail)
        if not any(_within(place_of(other), place) for other in details):
            yield ": ".join(filter(None, (".".join(map(str, place)), _words(detail, model))))


def _within(inner: tuple[str | int, ...], outer: tuple[str | int, ...]) -> bool:
    """Say whether *inner* is a part of *outer*: what is wrong with the whole may only follow from that."""
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _words(detail: ErrorDetails, model: type[BaseModel]) -> str:
    kind, context = detail["type"], detail.get("ctx") or {}
    if kind == "extra_forbidden":
        *around, name = place_of(detail)
        cure = suggest(str(name), keys_at(model, tuple(around)))
        return f"is not known here ({cure})" if cure else "is not known here"
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return str(context["error"])
    if kind in ("too_short", "string_too_short"):
        return "is empty"
    if kind in ("too_long", "string_too_long"):
        return f"has more than {context['max_length']}"
    if kind in EXPECTED:
        return f"must be {EXPECTED[kind]}"
    said = detail["msg"].removeprefix("Input ").removeprefix("String ")
    return said[:1].lower() + said[1:]


def as_asked(parameters: QueryParams, model: type[Query]) -> dict[str, object]:
    """Return the *parameters* of a query by name: all values of what may be given several times."""
    several = {name for name, field in model.model_fields.items() if field.default == ()}
    found = {name: tuple(parameters.getlist(name)) for name in parameters}
    return {
        name: values[0] if len(values) == 1 and name not in several else values
        for name, values in found.items()
    }
