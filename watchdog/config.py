"""
rules.yaml, read whole: either a `Config` in which nothing needs checking again, or every problem.

Three passes: the YAML with its positions (`watchdog.yamlfile`), its shape (`watchdog.schema`),
and what only the whole file can tell: names that must exist, rules and routes that are dead.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr, ValidationError

from watchdog.audience import Audience, Report, labels_known
from watchdog.conditions import suggest
from watchdog.discovery import NAMELESS, Plan
from watchdog.errors import ConfigError, Problem
from watchdog.later import later
from watchdog.links import Links
from watchdog.mending import mend
from watchdog.model import Labels, Measure, SignalKey
from watchdog.notifiers.base import Notifier
from watchdog.outward import BeatModel, PairModel, PingModel, RecordModel, TracesModel
from watchdog.problems import Findings
from watchdog.routing import Policy
from watchdog.rulebook import Rulebook
from watchdog.rules import Binder, Binding, Offer, Rule
from watchdog.schema import HERE, IMPLICIT, ServiceBase
from watchdog.shape import adopt, shape_of
from watchdog.shards import LABEL, Shard
from watchdog.signals import SIGNALS
from watchdog.signals.base import Signal, SignalConfig
from watchdog.tokens import SHORTEST_TOKEN, read_tokens
from watchdog.topology import find_cycle
from watchdog.yamlfile import read_yaml

if TYPE_CHECKING:
    from watchdog import prospects
else:  # it has to do with signals that a file without `discover` need not name
    prospects = later("watchdog.prospects")

OWN_SERVICES = tuple(dict.fromkeys(IMPLICIT.values()))
"""The services that are there without being defined: the server, and the sidecar itself."""
LEAST_HISTORY = timedelta(hours=1)
"""History is kept at least so long, for figures in summaries and audits."""


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """One Redis: where it is, and after how long it counts as away."""

    url: SecretStr
    timeout: timedelta


@dataclass(frozen=True, slots=True)
class SignalSpec:
    """
    One configured signal: what to look at, how, and how often.

    *server* is the name of the Redis it is read from, if it is.
    """

    key: SignalKey
    type: type[Signal[Any]]
    config: SignalConfig
    every: timedelta
    server: str = ""

    def build(self, keep: timedelta) -> Signal[Any]:
        """Return the signal, ready to look; *keep* is how far back its history must reach."""
        return self.type(self.key, self.config, keep)


@dataclass(frozen=True, slots=True)
class Config:
    """All that rules.yaml says, checked."""

    path: str
    servers: Mapping[str, ServerSpec]
    every: timedelta
    state: str | None
    listen: tuple[str, int]
    link: str
    grafana: str
    services: tuple[str, ...]
    signals: tuple[SignalSpec, ...]
    rules: tuple[Rule, ...]
    binder: Binder
    binding: Binding
    keep: timedelta
    receivers: Mapping[str, Notifier]
    policy: Policy
    expire_after: timedelta
    reports: tuple[Report, ...]
    ping: PingModel | None
    heartbeat: BeatModel | None
    traces: TracesModel | None
    pair: PairModel | None
    record: RecordModel | None
    tokens: Mapping[str, str]
    compat: frozenset[str]
    discover: tuple[Plan, ...]
    warnings: tuple[str, ...]
    shard: Shard | None = None
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    """The services of the file that other shards watch, and which."""
    others: tuple[SignalSpec, ...] = ()
    """Their signals, as far as they can be discovered as well."""

    @property
    def redis_url(self) -> str:
        """Return the URL of the first server: the watchdog's own keys are there."""
        return next(iter(self.servers.values())).url.get_secret_value()

    @property
    def links(self) -> Links:
        """Return the addresses that messages lead to."""
        return Links(self.link, self.grafana)

    @property
    def redis_timeout(self) -> timedelta:
        """Return how long the first server is waited for."""
        return next(iter(self.servers.values())).timeout

    def server_of(self, plan: Plan) -> str:
        """Return the name of the server on which *plan* discovers."""
        return plan.redis or next(iter(self.servers))

    @property
    def declared(self) -> Iterator[SignalSpec]:
        """Yield what is declared, here or elsewhere, and so is not discovered once more."""
        return chain(self.signals, self.others)

    def own(self, kind: str, **labels: str) -> SignalKey:
        """Return the key of a signal about the sidecar itself; no two shards have the same."""
        mine = {} if self.shard is None else {LABEL: str(self.shard.number)}
        return SignalKey(IMPLICIT[kind], kind, Labels(mine, labels))

    @property
    def offered(self) -> Mapping[SignalKey, Mapping[str, Measure]]:
        """Return what each signal offers as it is configured."""
        return {spec.key: spec.config.offered() for spec in self.signals}


def discovery_key(plan: Plan) -> SignalKey:
    """Return the signal under which it is told how discovery by *plan* fares."""
    where = {"redis": plan.redis} if plan.redis else {}
    mine = {LABEL: str(plan.shard.number)} if plan.shard else {}
    return SignalKey(IMPLICIT["discovery"], "discovery", Labels(where, mine, discover=plan.title))


def load(path: str | Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read the rules file at *path*; raise ConfigError with every problem in it."""
    name = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as exc:
        cure = (
            "`watchdog init URL` writes a first one; --rules PATH names another"
            if isinstance(exc, FileNotFoundError)
            else "check its permissions"
        )
        raise ConfigError(name, [Problem(1, 1, "", f"cannot be read: {exc.strerror}", cure)]) from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(name, [Problem(1, 1, "", "is not a UTF-8 text", "save it as UTF-8")]) from exc
    return parse(text, name, os.environ if environment is None else environment)


def parse(text: str, name: str = "rules.yaml", environment: Mapping[str, str] | None = None) -> Config:
    """Read a rules file from *text*; raise ConfigError with every problem in it."""
    document = read_yaml(text, environment or {})
    findings = Findings(document)
    if document.problems and document.value is None:
        raise ConfigError(name, document.problems)
    if not isinstance(document.value, dict):
        findings.add((), "the file has no services", "start with `services:` (see README)")
        raise ConfigError(name, findings.problems)
    usable, refused = adopt(document.value, findings)
    raw = _listed(usable)
    shape = shape_of(raw)
    try:
        model = shape.model_validate(raw)
    except ValidationError as exc:
        findings.add_validation(exc, shape)
        rest, broken = mend(raw, shape)
        if rest is not None:
            _Whole(name, rest, findings, broken | refused, raw).config()
        raise ConfigError(name, findings.problems) from exc
    config = _Whole(name, model, findings, refused, document.value).config()
    if findings.problems:
        raise ConfigError(name, findings.problems)
    return config


def _listed(raw: dict[str, Any]) -> dict[str, Any]:
    """Return *raw* with every signal as a list: a single mapping counts as a list of one."""
    services = raw.get("services")
    if not isinstance(services, dict):
        return raw
    listed = {
        service: {
            key: [found] if key in SIGNALS and isinstance(found, dict) else found
            for key, found in body.items()
        }
        if isinstance(body, dict)
        else ({} if body is None else body)
        for service, body in services.items()
    }
    return {**raw, "services": listed}


class _Whole:
    """The third pass, over a file whose shape is right."""

    def __init__(
        self,
        name: str,
        model: Any,
        findings: Findings,
        broken: frozenset[tuple[str | int, ...]] = frozenset(),
        raw: Mapping[str, Any] | None = None,
    ) -> None:
        """Take *model*; what is *broken* in the *raw* file it was mended from is not judged again."""
        self.name = name
        self.model = model
        self.findings = findings
        self.broken = broken
        raw = raw or {}
        self.services = tuple(dict.fromkeys([*model.services, *_keys(raw.get("services"))]))
        self.receivers = tuple(dict.fromkeys([*model.receivers, *_keys(raw.get("receivers"))]))
        self.rule_names = {rule.alert for rule in model.rules} | set(_alerts(raw.get("rules")))
        self.plans = tuple(item.plan for item in model.discover)
        self.known = self._known_services()
        host, port = model.listen
        self.link = model.link.rstrip("/") or f"http://{host}:{port}"

    def config(self) -> Config:
        """Return the configuration; where `findings` got problems it is not fit for use."""
        model = self.model
        specs = tuple(self._signals())
        runbooks = f"{self.link}/runbooks" if model.runbooks == HERE else model.runbooks
        book = Rulebook(
            model,
            self.findings,
            self.broken,
            names=self.rule_names,
            runbooks=runbooks,
            check_service=self._check_service,
        )
        rules = book.rules()
        overrides = book.overrides(rules)
        self._check_plans()
        offers = [Offer(spec.key, spec.config.offered()) for spec in specs]
        binder = Binder(rules.values(), overrides)
        binding = possible = Binding({}, {}, {}, {})
        if not self.findings.problems:
            binding = possible = binder.bind(offers, self.known)
            if self.plans:
                possible = binder.bind([*offers, *prospects.prospects(self.plans, self.known)], self.known)
        book.report_dead(rules, possible)
        book.check_labels(possible)
        warnings: list[str] = []
        self._check_needs(warnings)
        receivers = {name: _only(receiver) for name, receiver in model.receivers.items()}
        known = labels_known(self.known, [*rules, *self.rule_names])
        audience = Audience(model, self.findings, self.broken, known, self.receivers)
        policy = audience.policy(receivers, warnings)
        host, port = model.listen
        return Config(
            path=self.name,
            servers={name: ServerSpec(one.url, one.timeout) for name, one in model.redis.items()},
            every=model.every,
            state=model.state,
            listen=(host, port),
            link=self.link,
            grafana=model.grafana.rstrip("/"),
            services=self.services,
            signals=specs,
            rules=tuple(rules.values()),
            binder=binder,
            binding=binding,
            keep=possible.reach(LEAST_HISTORY),
            receivers=receivers,
            policy=policy,
            expire_after=model.notifications.expire_after,
            reports=tuple(audience.reports()),
            ping=model.ping,
            heartbeat=model.heartbeat,
            traces=model.traces,
            pair=model.pair,
            record=model.record,
            tokens=self._tokens(),
            compat=frozenset(model.compat),
            discover=self.plans,
            warnings=tuple(warnings),
        )

    # ---- signals -------------------------------------------------------------------------------

    def _signals(self) -> Iterable[SignalSpec]:
        seen: dict[SignalKey, str] = {}
        for name in self.model.redis:
            yield self._implicit("redis", Labels(redis=name) if name else Labels(), name)
        for service, body in self.model.services.items():
            whole = not any(path[:2] == ("services", service) for path in self.broken)
            found = service in OWN_SERVICES or self._may_be_found(service)
            if whole and not found and not body.model_fields_set - ServiceBase.model_fields.keys():
                cure = "give it at least one, such as heartbeat or executions"
                what = "has no signal, so nothing can be said of it"
                self.findings.add(("services", service), what, cure, key=True)
            for kind, signal in SIGNALS.items():
                for i, config in enumerate(getattr(body, kind, ())):
                    server = getattr(config, "redis", None)
                    labels = Labels(config.labels(), redis=server) if server else config.labels()
                    self._check_server(server, ("services", service, kind, i, "redis"))
                    key = SignalKey(service, kind, labels)
                    if key in seen:
                        self.findings.add(
                            ("services", service, kind, i), "is the same as another one", "remove it"
                        )
                    seen[key] = kind
                    every = config.every or self.model.every
                    yield SignalSpec(key, signal, config, every, server or next(iter(self.model.redis)))
        yield self._implicit("watchdog", Labels())
        for plan in self.plans:
            yield self._implicit("discovery", discovery_key(plan).labels)
        for name in self.receivers:
            yield self._implicit("receiver", Labels(receiver=name))

    def _implicit(self, kind: str, labels: Labels, server: str = "") -> SignalSpec:
        """Return a signal that is there without being defined."""
        signal = SIGNALS[kind]
        key = SignalKey(IMPLICIT[kind], kind, labels)
        return SignalSpec(key, signal, signal.Config.model_construct(every=None), self.model.every, server)

    def _check_server(self, name: str | None, path: tuple[str | int, ...]) -> None:
        known = [server for server in self.model.redis if server]
        if name and name not in known and ("redis",) not in self.broken:
            cure = suggest(name, known) if known else f"name it: `redis: {{{name}: {{url: …}}}}`"
            self.findings.add(path, f'no server of `redis:` is called "{name}"', cure)

    # ---- what is discovered ----------------------------------------------------------------------

    def _known_services(self) -> tuple[str, ...]:
        """Return the services there are or may be: defined, always there, spoken of and yet to be found."""
        known = dict.fromkeys((*self.services, *OWN_SERVICES))
        known |= {NAMELESS: None} if any(plan.nameless for plan in self.plans) else {}
        if any(plan.names_services for plan in self.plans):
            model = self.model
            spoken = [name for rule in model.rules for name in (*(rule.services or ()), *rule.except_)]
            spoken += [name for one in (*model.routes, *model.maintenance) for name in one.service or ()]
            unknown = [name for name in spoken if name not in known]
            known |= {n: None for n in unknown if not suggest(n, known).startswith("did you mean")}
        return tuple(known)

    def _may_be_found(self, service: str) -> bool:
        """Say whether what is discovered may belong to *service*."""
        return any(plan.names_services or (plan.nameless and service == NAMELESS) for plan in self.plans)

    def _check_plans(self) -> None:
        seen: set[SignalKey] = set()
        for i, plan in enumerate(self.plans):
            self._check_server(plan.redis, ("discover", i, "redis"))
            if discovery_key(plan) in seen:
                self.findings.add(("discover", i), "looks for the same as another one", "make them one")
            seen.add(discovery_key(plan))

    # ---- the rest ------------------------------------------------------------------------------

    def _tokens(self) -> dict[str, str]:
        """Return the API's tokens, each with the name of who has it."""
        raw = self.model.api.tokens
        found = read_tokens(raw.get_secret_value()) if raw is not None else {}
        if any(len(token) < SHORTEST_TOKEN for token in found):
            what = f"a token is shorter than {SHORTEST_TOKEN} characters"
            self.findings.add(("api", "tokens"), what, "make one with `openssl rand -hex 32`")
        return found

    # ---- who needs whom --------------------------------------------------------------------------

    def _check_service(self, name: str, path: tuple[str | int, ...]) -> None:
        if name not in self.known:
            self.findings.add(path, f'service "{name}" is not defined', suggest(name, self.known))

    def _check_need(self, name: str, path: tuple[str | int, ...], warnings: list[str]) -> None:
        """A name near a defined one is a typo; any other is a service that nobody watches here."""
        if name in self.known or suggest(name, self.known).startswith("did you mean"):
            self._check_service(name, path)
        elif not self._may_be_found(name):
            warnings.append(f'service "{path[1]}" needs "{name}", which this file does not watch')

    def _check_needs(self, warnings: list[str]) -> None:
        needs = {name: service.needs for name, service in self.model.services.items()}
        for service, needed in needs.items():
            for i, name in enumerate(needed):
                self._check_need(name, ("services", service, "needs", i), warnings)
        cycle = find_cycle(needs)
        if cycle:
            self.findings.add(
                ("services", cycle[0], "needs"), f"needs form a cycle: {' → '.join(cycle)}", "cut it"
            )


def _keys(raw: object) -> list[str]:
    return [str(key) for key in raw] if isinstance(raw, dict) else []


def _alerts(raw: object) -> list[str]:
    items = raw if isinstance(raw, list) else []
    return [str(item["alert"]) for item in items if isinstance(item, dict) and "alert" in item]


def _only(receiver: Any) -> Notifier:
    """Return the one notifier of a receiver."""
    (name,) = receiver.model_fields_set
    notifier: Notifier = getattr(receiver, name)
    return notifier
