"""The shape of what rules.yaml says about telling: routes, escalations, maintenance windows and reports."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from watchdog.alerts import KEEP_FIRINGS
from watchdog.fields import Duration, Model, Names, Wait
from watchdog.schedule import Schedule, parse_schedule


class MatchModel(Model):
    """Which alerts are meant: those whose labels are among these; a key that is absent means any."""

    severity: Names | None = Field(
        None, description="only of these severities", examples=["critical", ["critical", "warning"]]
    )
    service: Names | None = Field(None, description="only of these services", examples=[["execution"]])
    alertname: Names | None = Field(
        None, description="only alerts of these names", examples=[["NoExecutions"]]
    )


class EscalationModel(Model):
    """Whom to tell as well of what nobody has acknowledged."""

    after: Duration = Field(description="so long after the route's own receivers were told", examples=["30m"])
    to: Names = Field(min_length=1, description="receivers", examples=[["boss"]])


Escalations = Annotated[
    tuple[EscalationModel, ...], BeforeValidator(lambda raw: [raw] if isinstance(raw, dict) else raw)
]


class RouteModel(MatchModel):
    """One item of `routes`: which alerts go to whom; the first that matches wins."""

    to: Names = Field(min_length=1, description="receivers", examples=[["ops", "hook"]])
    go_on: bool = Field(False, alias="continue", description="look at the next routes as well")
    group_wait: Wait | None = Field(None, description="instead of the one under `notifications`")
    group_interval: Wait | None = Field(None, description="instead of the one under `notifications`")
    repeat_interval: Duration | None = Field(None, description="instead of the one under `notifications`")
    escalate: Escalations = Field(
        (),
        description="whom to tell as well if nobody acknowledges",
        examples=[{"after": "30m", "to": ["boss"]}],
    )


class FlappingModel(Model):
    """When an alert counts as flapping; it is then told once more, and next when it is steady."""

    times: int = Field(4, ge=2, le=KEEP_FIRINGS, description="so many beginnings")
    within: Duration = Field("30m", validate_default=True, description="in so long a time")
    steady: Duration = Field("10m", validate_default=True, description="until nothing changed for so long")


class NotificationsModel(Model):
    """How all receivers are told, unless a route says otherwise."""

    group_wait: Wait = Field("0s", validate_default=True, description="how long a new group is gathered")
    group_interval: Wait = Field("10s", validate_default=True, description="how often a group may speak")
    repeat_interval: Duration = Field("4h", validate_default=True, description="how often to remind")
    flapping: Annotated[
        FlappingModel | None, BeforeValidator(lambda raw: None if raw in ("off", False) else raw)
    ] = Field(
        {},
        validate_default=True,
        description="what counts as flapping, or off",
        examples=["off", {"times": 4, "within": "30m"}],
    )
    expire_after: Duration = Field(
        "24h", validate_default=True, description="give a message up after trying for so long"
    )


def _cron(line: str) -> str:
    return parse_schedule(line, "UTC").cron


def _zone(name: str) -> str:
    return parse_schedule("@daily", name).time_zone


class ScheduleModel(Model):
    """A cron line in a time zone."""

    cron: Annotated[str, AfterValidator(_cron)] = Field(
        description="five fields as in crontab, or @daily", examples=["0 4 * * sun", "@daily"]
    )
    time_zone: Annotated[str, AfterValidator(_zone)] = Field(
        "UTC", description="such as Europe/Berlin", examples=["UTC", "Europe/Berlin"]
    )

    @property
    def schedule(self) -> Schedule:
        """Return the schedule."""
        return Schedule(self.cron, self.time_zone)


class MaintenanceModel(ScheduleModel, MatchModel):
    """One item of `maintenance`: a window that comes again, in which nobody is told."""

    for_: Duration = Field(alias="for", description="how long the window is")
    reason: str = Field("", description="why, for those who wonder", examples=["weekly retraining"])


class ReportModel(ScheduleModel):
    """One item of `reports`: what is told without anything being wrong."""

    what: Literal["all_clear", "audit", "self_test"] = Field(description="what is told")
    to: Names = Field((), description="receivers; a self-test takes the routes instead", examples=[["ops"]])

    @model_validator(mode="after")
    def _somebody(self) -> ReportModel:
        if (self.what == "self_test") == bool(self.to):
            raise ValueError("all_clear and audit need `to`, a self_test goes where the routes send it")
        return self
