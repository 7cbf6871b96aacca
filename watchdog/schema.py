"""The shape of rules.yaml as pydantic models: which keys there are, and what each may hold."""

from __future__ import annotations

from types import GenericAlias
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, create_model, model_validator

from watchdog.fields import Address, Duration, RedisUrl, Wait, one_or_many
from watchdog.notifiers import NOTIFIERS
from watchdog.rules import Severity
from watchdog.signals import SIGNALS

IMPLICIT = "redis"
"""The signal that is always there, and the service that has it."""
DEFAULT_REDIS = "redis://127.0.0.1:6379/0"


Names = Annotated[tuple[str, ...], BeforeValidator(one_or_many)]
"""One name or a list of names."""


class Model(BaseModel):
    """Base of every mapping in the file: no unknown keys, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class RedisModel(Model):
    """How to reach Redis."""

    url: RedisUrl = Field(SecretStr(DEFAULT_REDIS), description="redis://, rediss:// or unix:// URL")
    timeout: Duration = Field("3s", validate_default=True, description="an answer later than this is none")


class RuleModel(Model):
    """One item of `rules`."""

    alert: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="the alert's name")
    when: Names = Field(min_length=1, description="conditions, all of which must hold")
    for_: Wait | None = Field(None, alias="for", description="how long they must hold")
    keep_firing_for: Wait | None = Field(None, description="how long to stay firing once they do not")
    severity: Severity = Field(Severity.WARNING, description="critical, warning or info")
    summary: str = Field("", description="one sentence; {label} and {signal.measure[window]} are filled in")
    runbook: str = Field("", description="a link to what to do")
    services: Names | None = Field(None, description="only these services")
    except_: Names = Field((), alias="except", description="all services but these")


class OverrideModel(Model):
    """What a service changes in a rule, or why it switches it off."""

    when: Names | None = Field(None, min_length=1)
    for_: Wait | None = Field(None, alias="for")
    keep_firing_for: Wait | None = None
    severity: Severity | None = None
    summary: str | None = None
    runbook: str | None = None
    off: str | None = Field(None, min_length=1, description="the reason why the rule does not hold here")


class RouteModel(Model):
    """One item of `routes`: which alerts go to whom; the first that matches wins."""

    to: Names = Field(min_length=1, description="receivers")
    severity: Names | None = None
    service: Names | None = None
    alertname: Names | None = None
    go_on: bool = Field(False, alias="continue", description="look at the next routes as well")


class ServiceBase(Model):
    """The keys of a service besides its signals."""

    needs: Names = Field((), description="services that must work for this one to work")
    rules: dict[str, OverrideModel] = Field(default_factory=dict, description="this service's own thresholds")


class ReceiverBase(Model):
    """A receiver: a name for one configured notifier."""

    @model_validator(mode="after")
    def _one_notifier(self) -> ReceiverBase:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"a receiver has one notifier (one of {', '.join(sorted(NOTIFIERS))})")
        return self


_SIGNAL_FIELDS: dict[str, Any] = {
    kind: (GenericAlias(tuple, (signal.Config, ...)), Field((), description=(signal.__doc__ or "").strip()))
    for kind, signal in SIGNALS.items()
    if kind != IMPLICIT
}
_NOTIFIER_FIELDS: dict[str, Any] = {
    name: (notifier | None, Field(None, description=(notifier.__doc__ or "").strip()))
    for name, notifier in NOTIFIERS.items()
}
ServiceModel: Any = create_model("ServiceModel", __base__=ServiceBase, **_SIGNAL_FIELDS)
ReceiverModel: Any = create_model("ReceiverModel", __base__=ReceiverBase, **_NOTIFIER_FIELDS)


class FileBase(Model):
    """The top of rules.yaml."""

    redis: Annotated[
        RedisModel, BeforeValidator(lambda raw: {"url": raw} if isinstance(raw, str) else raw)
    ] = Field({}, validate_default=True)
    every: Duration = Field("5s", validate_default=True, description="how often to look")
    state: str | None = Field(
        "watchdog.db", min_length=1, description="the file for what must outlive a restart"
    )
    listen: Address = Field(
        "127.0.0.1:9821", validate_default=True, description="host:port of the status page, API and metrics"
    )
    link: str = Field("", description="the address under which people reach the sidecar, for links in alerts")
    builtin_rules: Literal["on", "off", True, False] = Field("on", description="off drops the built-in rules")
    rules: tuple[RuleModel, ...] = Field((), description="what is wrong, and when")
    routes: tuple[RouteModel, ...] = Field((), description="which alerts go to whom")


FileModel: Any = create_model(
    "FileModel",
    __base__=FileBase,
    services=(dict[str, ServiceModel], Field(min_length=1, description="what exists")),
    receivers=(dict[str, ReceiverModel], Field(default_factory=dict, description="who hears of it")),
)
