"""The shape of `discover`: what is watched without being named."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from watchdog.discovery import Plan
from watchdog.fields import Duration, Model
from watchdog.globs import parse_exclusion, parse_pattern


def _pattern(written: str) -> str:
    return parse_pattern(written).written


def _exclusion(written: str) -> str:
    return parse_exclusion(written).written


def _some(raw: object) -> object:
    """Return one item as a list of one; a list of none is a mistake."""
    if raw == []:
        raise ValueError("is empty (fill it in or remove it)")
    return [raw] if isinstance(raw, str | dict) else raw


Patterns = Annotated[tuple[Annotated[str, AfterValidator(_pattern)], ...], BeforeValidator(_some)]
Exclusions = Annotated[tuple[Annotated[str, AfterValidator(_exclusion)], ...], BeforeValidator(_some)]


class DiscoverModel(Model):
    """What is watched without being named: keys whose names fit a pattern."""

    streams: Patterns = Field(
        (),
        description="patterns; {service} in one names the service",
        examples=["orders:*", ["quantum:stream:*", "{service}:results"]],
    )
    heartbeats: Patterns = Field(
        (),
        description="patterns of string keys; {service} names the service",
        examples=["quantum:svc:{service}:heartbeat"],
    )
    exclude: Exclusions = Field((), description="patterns of names to leave out", examples=["*:test:*"])
    limit: int = Field(20_000, ge=1, description="at most so many streams, groups and heartbeats in all")
    every: Duration = Field("30s", validate_default=True, description="how often to go over all keys")
    forget_after: Duration = Field(
        "1d", validate_default=True, description="how long to say that something vanished"
    )
    redis: str | None = Field(
        None, min_length=1, description="which server of `redis:`, if several", examples=["main"]
    )

    @model_validator(mode="after")
    def _finds_something(self) -> DiscoverModel:
        if not self.streams and not self.heartbeats:
            raise ValueError("nothing is looked for (give streams or heartbeats)")
        for pattern in self.plan.streams + self.plan.heartbeats:
            if pattern.match.replace(b"?*", b"*").decode() in self.exclude:
                raise ValueError(f'"{pattern.written}" is looked for and excluded (remove one of the two)')
        return self

    @property
    def plan(self) -> Plan:
        """Return the item, read."""
        return Plan(
            streams=tuple(map(parse_pattern, self.streams)),
            heartbeats=tuple(map(parse_pattern, self.heartbeats)),
            exclude=tuple(map(parse_exclusion, self.exclude)),
            limit=self.limit,
            every=self.every,
            forget_after=self.forget_after,
            redis=self.redis,
        )


Discover = Annotated[tuple[DiscoverModel, ...], BeforeValidator(_some)]
