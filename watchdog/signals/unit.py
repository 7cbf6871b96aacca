"""
`unit`: what systemd says of a service or timer.

*Active* when looked at is not enough: a unit that crashes between two looks is active at both. Its
restart counter tells, and where somebody reset that, the start itself does.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from watchdog.errors import CollectError
from watchdog.fields import Duration, one_or_many
from watchdog.later import later
from watchdog.model import (
    Counted,
    Labels,
    Measure,
    Reading,
    Series,
    SignalKey,
    Value,
    counter,
    seconds,
    value,
    word,
)
from watchdog.signals.base import GatheredSignal, SignalConfig
from watchdog.systemctl.states import (
    ACTIVE,
    ENABLED,
    RESULTS,
    STATES,
    UNLOADABLE,
    evidence,
    number_of,
    rests,
    running,
    state_of,
)
from watchdog.units import EPOCH, plain, rfc3339

if TYPE_CHECKING:
    from watchdog.systemctl import culprit, deployed, runs, show, states, timers
    from watchdog.systemctl.show import Properties
else:  # to look takes much that to read what the file says does not
    culprit, deployed, runs, show, states, timers = (
        later(f"watchdog.systemctl.{name}")
        for name in ("culprit", "deployed", "runs", "show", "states", "timers")
    )

LOOKING_SECONDS = 2.0
"""So long one look may search for what is wrong with units; what is left over has its turn at the next."""

AFRESH = timedelta(minutes=1)
"""What was found wrong with a unit is looked for again so often while its state stays."""

IN_A_ROW = 3
"""From so many failed runs on the journal is asked what they said, whatever the unit shows now."""

OTHER_KINDS = re.compile(r".*\.(timer|socket|target|path|mount|automount|swap|slice|scope|device)")
WITHOUT_RESULT = ("target", "slice", "device")
OF_SERVICES = frozenset({"restarts", "failed_runs", "exit_status", "outdated"})
OF_TIMERS = frozenset({"last_trigger", "late", "overdue", "scheduled"})
LONGEST_NAME = 247
"""systemd allows 255 signs, the suffix included."""


class UnitConfig(SignalConfig):
    """Keys of `unit`."""

    name: str = Field(
        pattern=r"^[\w:.@\\-]+$",
        description="the service or timer, as systemctl names it",
        examples=["quantum-rl-trainer.service", "backup.timer"],
    )
    user: bool = Field(False, description="ask the user's own systemd, not the machine's")
    expect_every: Duration | None = Field(
        None,
        description="for a timer: how often it is to trigger; without it its own schedule tells",
        examples=["1d"],
    )
    code: Annotated[tuple[str, ...], BeforeValidator(one_or_many)] = Field(
        (),
        description="for a service: more files its process is made from, a path or glob or a list",
        examples=["/opt/quantum/*.py"],
    )

    @model_validator(mode="after")
    def _has_what_its_kind_has(self) -> UnitConfig:
        if self.expect_every is not None and self.kind != "timer":
            raise ValueError(f"expect_every is for timers (remove it, or name the .timer of {self.name})")
        if self.code and self.kind != "service":
            raise ValueError(f"code is for services (remove it, or name the .service of {self.name})")
        stem, dot, _ = self.name.rpartition(".")
        if len(self.name) > LONGEST_NAME or (stem if dot else self.name).endswith("@"):
            raise ValueError(
                f"{self.name} is no unit's name (a template needs an instance: name@one.service)"
            )
        return self

    @property
    def kind(self) -> str:
        """Return what sort of unit it is; systemctl takes a name without a suffix for a service."""
        other = OTHER_KINDS.fullmatch(self.name)
        return other[1] if other else "service"

    def labels(self) -> Labels:
        """Return the unit's name."""
        return Labels(unit=self.name)

    def offered(self) -> Mapping[str, Measure]:
        """Return what this sort of unit has."""
        absent = frozenset() if self.kind == "service" else OF_SERVICES
        absent |= frozenset() if self.kind == "timer" else OF_TIMERS
        absent |= {"result"} if self.kind in WITHOUT_RESULT else set()
        return {name: found for name, found in Unit.MEASURES.items() if name not in absent}


class Unit(GatheredSignal[UnitConfig]):
    """Tells a restart loop, a flapping, a dead, a missing, an outdated unit and a silent timer apart."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "state": word("Its state; while it starts or stops, the step as well", *STATES),
        "active": value("1 while the unit is active"),
        "enabled": value("1 if it is to start by itself"),
        "wanted": value(
            "1 if it is to be active now: enabled, and no job that is done or waits for its timer"
        ),
        "restarts": counter("Restarts, those by hand included"),
        "failed_runs": value("Runs in a row that systemd had to begin anew and that got no further"),
        "exit_status": value("Exit status of the main process when it last ended"),
        "outdated": seconds("Time since a file the process is made from changed after its start", grows=True),
        "result": word("How its last run ended", *RESULTS),
        "last_trigger": seconds("Time since the timer last triggered", grows=True),
        "late": value("Time since the last trigger by how often it is to trigger"),
        "overdue": seconds("Time since the moment its schedule set for the next trigger", grows=True),
        "scheduled": value("1 while a next trigger is set, 0 if it will never trigger as it is"),
    }
    Config = UnitConfig

    def __init__(self, key: SignalKey, config: UnitConfig, keep: timedelta) -> None:
        super().__init__(key, config, keep)
        self._first_look: datetime | None = None
        self._before: Properties | None = None
        self._row = runs.Row()
        self._period: timedelta | None = None
        self._deployment = deployed.Deployment()
        self._found = Found()

    @property
    def asked_of(self) -> str:
        """Return which systemd tells of it."""
        return "systemd of the user" if self.config.user else "systemd"

    @classmethod
    def gather(cls, signals: Sequence[Unit], now: datetime) -> list[Reading]:
        """
        Ask systemctl once for all *signals*.

        Where there is no systemd to be asked the first says so, and the others that their source is away.
        """
        lead = signals[0]
        try:
            told = show.show_each([each.config.name for each in signals], properties(), user=lead.config.user)
        except show.ManagerAwayError as exc:
            why = str(exc)
            away = [Reading(each.key, now, trouble=why, down=lead.asked_of) for each in signals[1:]]
            return [Reading(lead.key, now, trouble=why), *away]
        stop = time.monotonic() + LOOKING_SECONDS
        return [each.read(answer, now, stop) for each, answer in zip(signals, told, strict=True)]

    def read(self, told: Properties | CollectError, now: datetime, stop: float) -> Reading:
        """Return what systemd's answer says, and look into what is wrong until the clock shows *stop*."""
        try:
            if isinstance(told, CollectError):
                raise told
            if "ActiveState" not in told:
                raise CollectError(f"systemctl show {self.config.name} does not tell its state")
            return self._read(told, now, stop)
        except CollectError as exc:
            return Reading(self.key, now, trouble=str(exc))

    def _read(self, told: Properties, now: datetime, stop: float) -> Reading:
        values = values_of(told, self.config)
        counts: dict[Series, Counted] = {}
        shown = evidence(told)
        if self.config.kind == "timer" and values["state"] not in UNLOADABLE:
            values |= self._timing(told, now)
        if self.config.kind == "service":
            counts = {("restarts", ""): self._restarts(told, now)}
            values["failed_runs"] = float(self._row.runs)
            changed = self._deployment.look(told, self.config.code, now) if running(told) else None
            if running(told):
                values["outdated"] = (now - changed.since).total_seconds() if changed else 0.0
            if changed is not None:
                shown |= {"newer_file": plain(changed.path), "changed_at": rfc3339(changed.since)}
        self._look_into(told, values, now, stop)
        return Reading(self.key, now, values, counts, {**self._found.evidence, **shown})

    def _timing(self, told: Properties, now: datetime) -> Mapping[str, Value]:
        at = timers.moments_of(told, now, time.monotonic())
        self._period = at.period or self._period
        return timers.timing(told, at, self.config.expect_every, self._period, now)

    def _restarts(self, told: Properties, now: datetime) -> Counted:
        self._first_look = self._first_look or now
        before = self._before or told
        gained = runs.restarts_between(before, told)
        self._row = runs.row_after(self._row, before, told).now(told, now)
        self._before = runs.with_start(told, self._before)
        return Counted(self._first_look, ((now, float(gained)),) if gained else ())

    def _look_into(self, told: Properties, values: Mapping[str, Value], now: datetime, stop: float) -> None:
        """Find out why the unit fails, once for each state it is in and then now and again."""
        failing = fails(values)
        if not failing and self._row.runs < IN_A_ROW:
            self._found = Found()
            return
        of = (values["state"] if failing else "", told.get("Result"), told.get("ExecMainStatus"))
        fresh = self._found.of == of and now - AFRESH < self._found.at <= now
        if fresh or time.monotonic() > stop:
            return
        why = culprit.culprit(told) if failing else None
        since = (
            show.parse_time(told.get("ExecMainStartTimestamp", "")) if failing else None
        )  # else of runs before
        words = culprit.last_words(self.config.name, since, user=self.config.user)
        self._found = Found(of, now, ({"culprit": why} if why else {}) | words)


@dataclass(frozen=True, slots=True)
class Found:
    """What was found out about a failing unit: in which state, when and what."""

    of: tuple[object, ...] = ()
    at: datetime = EPOCH
    evidence: Mapping[str, object] = field(default_factory=dict)


def properties() -> str:
    """Return what to ask systemd for."""
    return ",".join((states.PROPERTIES, timers.PROPERTIES, deployed.PROPERTIES, culprit.PROPERTIES))


def fails(values: Mapping[str, Value]) -> bool:
    """Say whether the unit is not what it should be, so that it is worth finding out why."""
    state = values["state"]
    broken = state in ("failed", *UNLOADABLE) or str(state).startswith("activating/auto-restart")
    return broken or (values["active"] == 0.0 and values.get("wanted") == 1.0)


def values_of(told: Properties, config: UnitConfig) -> dict[str, Value]:
    """Return the measures every unit has; of one that systemd cannot load there is but its state."""
    state = state_of(told)
    values: dict[str, Value] = {"state": state, "active": float(told["ActiveState"] in ACTIVE)}
    if told.get("UnitFileState"):
        values["enabled"] = float(told["UnitFileState"] in ENABLED)
        values["wanted"] = float(told["UnitFileState"] in ENABLED and not rests(told))
    if state not in UNLOADABLE:
        values |= {} if config.kind in WITHOUT_RESULT else {"result": told.get("Result") or None}
        values |= {"exit_status": number_of(told, "ExecMainStatus")} if config.kind == "service" else {}
    return values
