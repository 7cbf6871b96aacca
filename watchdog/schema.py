"""The shape of rules.yaml as pydantic models: which keys there are, and what each may hold."""

from __future__ import annotations

from types import GenericAlias
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    create_model,
    model_validator,
)

from watchdog.alerts import KEEP_FIRINGS
from watchdog.conditions import suggest
from watchdog.discovery import Plan
from watchdog.fields import Address, Duration, RedisUrl, Secret, SecretUrl, Size, Wait, one_or_many
from watchdog.globs import parse_exclusion, parse_pattern
from watchdog.notifiers import NOTIFIERS
from watchdog.notifiers.base import Headers
from watchdog.rules import Severity
from watchdog.schedule import Schedule, parse_schedule
from watchdog.signals import SIGNALS
from watchdog.signals.base import RedisSignal, Signal, SignalConfig
from watchdog.telling import OWN_SERVICE
from watchdog.units import Unit, parse_number

IMPLICIT = {"redis": "redis", "watchdog": OWN_SERVICE, "receiver": OWN_SERVICE, "discovery": OWN_SERVICE}
"""The signals that are always there, and the services that have them."""
DEFAULT_REDIS = "redis://127.0.0.1:6379/0"


Names = Annotated[tuple[str, ...], BeforeValidator(one_or_many)]
"""One name or a list of names."""

Compat = Annotated[tuple[Literal["redis_exporter"], ...], BeforeValidator(one_or_many)]
"""The programs whose names for metrics are served beside our own."""


class Model(BaseModel):
    """Base of every mapping in the file: no unknown keys, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True)


HERE = "here"
"""The word for the sidecar's own pages."""


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


class MatchModel(Model):
    """Which alerts are meant: those whose labels are among these; a key that is absent means any."""

    severity: Names | None = None
    service: Names | None = None
    alertname: Names | None = None


class EscalationModel(Model):
    """Whom to tell as well of what nobody has acknowledged."""

    after: Duration = Field(description="so long after the route's own receivers were told")
    to: Names = Field(min_length=1, description="receivers")


Escalations = Annotated[
    tuple[EscalationModel, ...], BeforeValidator(lambda raw: [raw] if isinstance(raw, dict) else raw)
]


class RouteModel(MatchModel):
    """One item of `routes`: which alerts go to whom; the first that matches wins."""

    to: Names = Field(min_length=1, description="receivers")
    go_on: bool = Field(False, alias="continue", description="look at the next routes as well")
    group_wait: Wait | None = Field(None, description="instead of the one under `notifications`")
    group_interval: Wait | None = Field(None, description="instead of the one under `notifications`")
    repeat_interval: Duration | None = Field(None, description="instead of the one under `notifications`")
    escalate: Escalations = Field((), description="whom to tell as well if nobody acknowledges")


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
    ] = Field({}, validate_default=True, description="what counts as flapping, or off")
    expire_after: Duration = Field(
        "24h", validate_default=True, description="give a message up after trying for so long"
    )


def _cron(line: str) -> str:
    return parse_schedule(line, "UTC").cron


def _zone(name: str) -> str:
    return parse_schedule("@daily", name).time_zone


class ScheduleModel(Model):
    """A cron line in a time zone."""

    cron: Annotated[str, AfterValidator(_cron)] = Field(description="five fields as in crontab, or @daily")
    time_zone: Annotated[str, AfterValidator(_zone)] = Field("UTC", description="such as Europe/Berlin")

    @property
    def schedule(self) -> Schedule:
        """Return the schedule."""
        return Schedule(self.cron, self.time_zone)


class MaintenanceModel(ScheduleModel, MatchModel):
    """One item of `maintenance`: a window that comes again, in which nobody is told."""

    for_: Duration = Field(alias="for", description="how long the window is")
    reason: str = Field("", description="why, for those who wonder")


class ReportModel(ScheduleModel):
    """One item of `reports`: what is told without anything being wrong."""

    what: Literal["all_clear", "audit", "self_test"] = Field(description="what is told")
    to: Names = Field((), description="receivers; a self-test takes the routes instead")

    @model_validator(mode="after")
    def _somebody(self) -> ReportModel:
        if (self.what == "self_test") == bool(self.to):
            raise ValueError("all_clear and audit need `to`, a self_test goes where the routes send it")
        return self


class TracesModel(Model):
    """Where finished traces are sent as spans."""

    otlp: SecretUrl = Field(description="OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces")
    headers: Headers = Field(default_factory=dict, description="headers to send along; never shown")
    timeout: Duration = Field("10s", validate_default=True, description="how long to wait for an answer")


class RecordModel(Model):
    """What is seen, kept in a file for `watchdog replay`."""

    path: str = Field(min_length=1, description="the file; nobody else may read it")
    max_size: Size = Field("64MiB", description="so large it may grow; then the oldest is dropped")

    @property
    def most(self) -> int:
        """Return the largest size in bytes."""
        return int(parse_number(self.max_size, Unit.BYTES))


class PingModel(Model):
    """An address outside that must hear from us, and raises the alarm when it does not."""

    url: SecretUrl = Field(description="asked with GET while all is well with the watchdog itself")
    every: Duration = Field("1m", validate_default=True, description="how often")
    timeout: Duration = Field("10s", validate_default=True, description="how long to wait for an answer")


class BeatModel(Model):
    """A heartbeat of the watchdog's own, for another one to watch: the only key it ever writes."""

    key: str = Field(min_length=1, description="the key to SET")
    ttl: Duration = Field("1m", validate_default=True, description="when it expires without us")


class PairModel(Model):
    """Two watchdogs on one pipeline: a lease in Redis says who sends."""

    lease: str = Field(min_length=1, description="the key both use")
    ttl: Duration = Field("15s", validate_default=True, description="how soon the other takes over")
    name: str = Field("", description="who we are (default: host and process)")


class ApiModel(Model):
    """Who may write to the API, and read it from elsewhere."""

    tokens: Secret | None = Field(
        None, description="a token, or {file: path} with one on each line, `name: token` or just the token"
    )


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

    streams: Patterns = Field((), description="patterns; {service} in one names the service")
    heartbeats: Patterns = Field((), description="patterns of string keys; {service} names the service")
    exclude: Exclusions = Field((), description="patterns of names to leave out")
    limit: int = Field(20_000, ge=1, description="at most so many streams, groups and heartbeats in all")
    every: Duration = Field("30s", validate_default=True, description="how often to go over all keys")
    forget_after: Duration = Field(
        "1d", validate_default=True, description="how long to say that something vanished"
    )
    redis: str | None = Field(None, min_length=1, description="which server of `redis:`, if several")

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


def _config_of(signal: type[Signal[Any]]) -> type[SignalConfig]:
    """Return the keys of *signal*; one that is read from Redis also says from which."""
    if not issubclass(signal, RedisSignal):
        return signal.Config
    which = Field(None, min_length=1, description="which server of `redis:`, if several (default: the first)")
    return create_model(
        signal.Config.__name__,
        __base__=signal.Config,
        __doc__=signal.Config.__doc__,
        redis=(str | None, which),
    )


_SIGNAL_FIELDS: dict[str, Any] = {
    kind: (
        GenericAlias(tuple, (_config_of(signal), ...)),
        Field((), description=(signal.__doc__ or "").strip()),
    )
    for kind, signal in SIGNALS.items()
    if kind not in IMPLICIT
}
_NOTIFIER_FIELDS: dict[str, Any] = {
    name: (notifier | None, Field(None, description=(notifier.__doc__ or "").strip()))
    for name, notifier in NOTIFIERS.items()
}
ServiceModel: Any = create_model("ServiceModel", __base__=ServiceBase, **_SIGNAL_FIELDS)
ReceiverModel: Any = create_model("ReceiverModel", __base__=ReceiverBase, **_NOTIFIER_FIELDS)


class FileBase(Model):
    """The top of rules.yaml."""

    redis: Servers = Field(
        {}, validate_default=True, description="the server, or several: {main: {url: …}, cache: {url: …}}"
    )
    every: Duration = Field("5s", validate_default=True, description="how often to look")
    state: str | None = Field(
        "watchdog.db", min_length=1, description="the file for what must outlive a restart"
    )
    listen: Address = Field(
        "127.0.0.1:9821", validate_default=True, description="host:port of the status page, API and metrics"
    )
    link: str = Field("", description="the address under which people reach the sidecar, for links in alerts")
    grafana: WebAddress = Field("", description="Grafana's dashboard, for links in alerts and on pages")
    runbooks: Runbooks = Field(
        "", description="where the built-in rules' runbooks are, if not at the project: a URL, or here"
    )
    builtin_rules: Literal["on", "off", True, False] = Field("on", description="off drops the built-in rules")
    discover: Discover = Field((), description="what is watched without being named: streams and heartbeats")
    compat: Compat = Field((), description="whose names the metrics have as well: redis_exporter")
    rules: tuple[RuleModel, ...] = Field((), description="what is wrong, and when")
    routes: tuple[RouteModel, ...] = Field((), description="which alerts go to whom")
    notifications: NotificationsModel = Field({}, validate_default=True, description="how they are told")
    maintenance: tuple[MaintenanceModel, ...] = Field((), description="when nobody is told")
    reports: tuple[ReportModel, ...] = Field((), description="what is told though nothing is wrong")
    ping: PingModel | None = Field(None, description="a dead-man's switch outside")
    heartbeat: BeatModel | None = Field(None, description="a heartbeat of the watchdog's own")
    traces: TracesModel | None = Field(None, description="where finished traces are sent as spans")
    pair: PairModel | None = Field(None, description="share the work of telling with another watchdog")
    record: RecordModel | None = Field(None, description="keep what is seen, for `watchdog replay`")
    api: ApiModel = Field({}, validate_default=True, description="who may write")


FileModel: Any = create_model(
    "FileModel",
    __base__=FileBase,
    services=(dict[str, ServiceModel], Field(min_length=1, description="what exists")),
    receivers=(dict[str, ReceiverModel], Field(default_factory=dict, description="who hears of it")),
)
DiscoveringFileModel: Any = create_model(
    "DiscoveringFileModel",
    __base__=FileModel,
    services=(dict[str, ServiceModel], Field(default_factory=dict, description="what exists besides")),
)
"""A file in which nothing need be named, as it is discovered."""
