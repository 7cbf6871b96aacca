"""The shape of rules.yaml as pydantic models: which keys there are, and what each may hold."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints, model_validator

from watchdog.announcing import MaintenanceModel, NotificationsModel, ReportModel, RouteModel
from watchdog.conditions import suggest
from watchdog.fields import Address, Duration, Model, Names, RedisUrl, Wait, one_or_many
from watchdog.model import OWN_SERVICE
from watchdog.notifiers import NOTIFIERS
from watchdog.outward import ApiModel, BeatModel, PairModel, PingModel, RecordModel, TracesModel
from watchdog.rules import Severity
from watchdog.seeking import Discover

IMPLICIT = {"redis": "redis", "watchdog": OWN_SERVICE, "receiver": OWN_SERVICE, "discovery": OWN_SERVICE}
"""The signals that are always there, and the services that have them."""
DEFAULT_REDIS = "redis://127.0.0.1:6379/0"
HERE = "here"
"""The word for the sidecar's own pages."""

Compat = Annotated[tuple[Literal["redis_exporter"], ...], BeforeValidator(one_or_many)]
"""The programs whose names for metrics are served beside our own."""


def _base(raw: str) -> str:
    if raw in ("", HERE):
        return raw
    try:
        parts = urlsplit(raw)
        good = parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment)
    except ValueError:
        good = False
    if not good:
        raise ValueError('is neither an http(s) URL nor "here" (give the address below which the pages are)')
    return raw.rstrip("/")


def _web(raw: str) -> str:
    if not raw:
        return raw
    try:
        parts = urlsplit(raw)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.username is None
    except ValueError:
        good = False
    if not (good and raw.isprintable()) or parts.fragment:
        raise ValueError("this is not an http(s) URL to link to (give one without a password and a #)")
    return raw


WebAddress = Annotated[str, AfterValidator(_web)]
"""An address that people follow: everybody who is told of an alert sees it."""


Runbooks = Annotated[str, AfterValidator(_base)]
"""The address below which runbooks are, or `here`."""


class RedisModel(Model):
    """How to reach one Redis."""

    url: RedisUrl = Field(
        SecretStr(DEFAULT_REDIS),
        description="redis://, rediss://, unix://, redis+sentinel://, redis+cluster://",
        examples=[
            "redis://127.0.0.1:6379/0",
            "rediss://watchdog@redis.example:6380/0",
            "${REDIS_URL}",
            {"file": "/run/secrets/redis_url"},
        ],
    )
    timeout: Duration = Field("3s", validate_default=True, description="an answer later than this is none")


def _servers(raw: object) -> object:
    """Return *raw* as a mapping of names to servers; a single server has the empty name."""
    if isinstance(raw, dict) and raw:
        own = RedisModel.model_fields
        if not any(name in own or suggest(str(name), own).startswith("did you mean") for name in raw):
            return raw
    return {"": raw}


ServerName = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]*)?$")]
Servers = Annotated[
    dict[
        ServerName,
        Annotated[RedisModel, BeforeValidator(lambda raw: {"url": raw} if isinstance(raw, str) else raw)],
    ],
    BeforeValidator(_servers),
]
"""One server, or several by their names; of a single one the name is empty."""


class RuleModel(Model, defer_build=False):
    """One item of `rules`."""

    alert: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="the alert's name", examples=["QueueTooLong"]
    )
    when: Names = Field(
        min_length=1,
        description="conditions, all of which must hold",
        examples=[
            "heartbeat.age > 5m",
            ["log.error_ratio[10m] > 10%", "log.lines[10m] >= 20"],
            "stream.skew > 10m or stream.skew < -1m",
        ],
    )
    for_: Wait | None = Field(None, alias="for", description="how long they must hold")
    keep_firing_for: Wait | None = Field(None, description="how long to stay firing once they do not")
    severity: Severity = Field(Severity.WARNING, description="critical, warning or info")
    summary: str = Field(
        "",
        description="one sentence; {label} and {signal.measure[window]} are filled in",
        examples=["{service} has sent no heartbeat for {heartbeat.age}"],
    )
    runbook: str = Field(
        "", description="a link to what to do", examples=["https://wiki.example/runbooks/queue"]
    )
    services: Names | None = Field(
        None, description="only these services", examples=[["execution", "apply_layer"]]
    )
    except_: Names = Field((), alias="except", description="all services but these", examples=[["sandbox"]])


class OverrideModel(Model):
    """What a service changes in a rule, or why it switches it off."""

    when: Names | None = Field(
        None, min_length=1, description="other conditions", examples=["heartbeat.age > 10m"]
    )
    for_: Wait | None = Field(None, alias="for", description="another time for which they must hold")
    keep_firing_for: Wait | None = Field(None, description="another time to stay firing")
    severity: Severity | None = Field(None, description="another severity: critical, warning or info")
    summary: str | None = Field(
        None, description="another sentence", examples=["{service} is silent for {heartbeat.age}"]
    )
    runbook: str | None = Field(
        None, description="another page", examples=["https://wiki.example/runbooks/orders"]
    )
    off: str | None = Field(
        None,
        min_length=1,
        description="the reason why the rule does not hold here",
        examples=["restarts take a minute"],
    )


class Whole(Model, defer_build=True):
    """Base of what is not complete before the kinds are known that a file names (`watchdog.shape`)."""


class ServiceBase(Whole):
    """The keys of a service besides its signals."""

    needs: Names = Field(
        (),
        description="services that must work for this one to work",
        examples=[["intent_bridge", "rl_trainer"]],
    )
    rules: dict[str, OverrideModel] = Field(
        default_factory=dict,
        description="this service's own thresholds",
        examples=[
            {"HeartbeatStale": {"when": "heartbeat.age > 10m"}},
            {"OneReason": {"off": "rejections here come in waves"}},
        ],
    )


class ReceiverBase(Whole):
    """A receiver: a name for one configured notifier."""

    @model_validator(mode="after")
    def _one_notifier(self) -> ReceiverBase:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"a receiver has one notifier (one of {', '.join(sorted(NOTIFIERS))})")
        return self


class FileBase(Whole):
    """The top of rules.yaml."""

    redis: Servers = Field(
        {},
        validate_default=True,
        description="the server, or several: {main: {url: …}, cache: {url: …}}",
        examples=[
            "redis://127.0.0.1:6379/0",
            {"url": "${REDIS_URL}", "timeout": "3s"},
            {"main": {"url": "${REDIS_URL}"}, "cache": {"url": "redis://127.0.0.1:6380/0"}},
        ],
    )
    every: Duration = Field("5s", validate_default=True, description="how often to look", examples=["5s"])
    state: str | None = Field(
        "watchdog.db",
        min_length=1,
        description="the file for what must outlive a restart",
        examples=["watchdog.db", "/var/lib/watchdog/watchdog.db"],
    )
    listen: Address = Field(
        "127.0.0.1:9821",
        validate_default=True,
        description="host:port of the status page, API and metrics",
        examples=["127.0.0.1:9821"],
    )
    link: str = Field(
        "",
        description="the address under which people reach the sidecar, for links in alerts",
        examples=["https://watchdog.example"],
    )
    grafana: WebAddress = Field(
        "",
        description="Grafana's dashboard, for links in alerts and on pages",
        examples=["https://grafana.example/d/pipeline-watchdog"],
    )
    runbooks: Runbooks = Field(
        "",
        description="where the built-in rules' runbooks are, if not at the project: a URL, or here",
        examples=["here", "https://wiki.example/runbooks"],
    )
    builtin_rules: Literal["on", "off", True, False] = Field("on", description="off drops the built-in rules")
    discover: Discover = Field(
        (),
        description="what is watched without being named: streams and heartbeats",
        examples=[{"streams": "quantum:stream:*"}],
    )
    compat: Compat = Field(
        (), description="whose names the metrics have as well: redis_exporter", examples=["redis_exporter"]
    )
    rules: tuple[RuleModel, ...] = Field(
        (),
        description="what is wrong, and when",
        examples=[[{"alert": "QueueTooLong", "when": "stream.length > 10000", "severity": "warning"}]],
    )
    routes: tuple[RouteModel, ...] = Field(
        (),
        description="which alerts go to whom",
        examples=[[{"severity": "critical", "to": ["ops", "hook"]}, {"to": ["ops"]}]],
    )
    notifications: NotificationsModel = Field(
        {}, validate_default=True, description="how they are told", examples=[{"repeat_interval": "4h"}]
    )
    maintenance: tuple[MaintenanceModel, ...] = Field(
        (),
        description="when nobody is told",
        examples=[[{"cron": "0 4 * * sun", "for": "30m", "service": ["rl_trainer"]}]],
    )
    reports: tuple[ReportModel, ...] = Field(
        (),
        description="what is told though nothing is wrong",
        examples=[[{"cron": "0 8 * * *", "what": "all_clear", "to": ["ops"]}]],
    )
    ping: PingModel | None = Field(
        None, description="a dead-man's switch outside", examples=[{"url": "${PING_URL}"}]
    )
    heartbeat: BeatModel | None = Field(
        None,
        description="a heartbeat of the watchdog's own",
        examples=[{"key": "quantum:svc:watchdog:heartbeat"}],
    )
    traces: TracesModel | None = Field(
        None,
        description="where finished traces are sent as spans",
        examples=[{"otlp": "http://127.0.0.1:4318/v1/traces"}],
    )
    pair: PairModel | None = Field(
        None,
        description="share the work of telling with another watchdog",
        examples=[{"lease": "watchdog:lease"}],
    )
    record: RecordModel | None = Field(
        None,
        description="keep what is seen, for `watchdog replay`",
        examples=[{"path": "watchdog.rec", "max_size": "64MiB"}],
    )
    api: ApiModel = Field(
        {},
        validate_default=True,
        description="who may write",
        examples=[{"tokens": {"file": "/etc/watchdog/tokens"}}],
    )
