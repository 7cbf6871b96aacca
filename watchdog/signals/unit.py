"""
`unit`: what systemd says of a service or timer.

*Active* when looked at is not enough: a unit that crashes between two looks is active at both. Its
restart counter tells, and where somebody reset that, the start itself does.
"""

from __future__ import annotations

import re
import signal as signals
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import ClassVar

from pydantic import Field, model_validator

from watchdog.errors import CollectError
from watchdog.fields import Duration
from watchdog.model import (
    AtLeast,
    Counted,
    Labels,
    Measure,
    Reading,
    SignalKey,
    Value,
    counter,
    seconds,
    value,
    word,
)
from watchdog.signals.base import LocalSignal, SignalConfig
from watchdog.systemctl import NEVER, Properties, parse_time, show

PROPERTIES = (
    "Id,LoadState,ActiveState,SubState,Result,ExecMainStatus,NRestarts,ActiveEnterTimestamp,"
    "UnitFileState,LastTriggerUSec,InvocationID,TriggeredBy"
)
OTHER_KINDS = re.compile(r".*\.(timer|socket|target|path|mount|automount|swap|slice|scope|device)")
WITHOUT_RESULT = ("target", "slice", "device")
ACTIVE = ("active", "reloading", "refreshing")
ENABLED = ("enabled", "enabled-runtime", "alias", "generated")
UNLOADABLE = ("not-found", "bad-setting", "error", "masked")
BY_SIGNAL = ("signal", "core-dump", "watchdog", "oom-kill")
"""Results for which the exit status is the number of the signal that ended the process."""
START = ("ActiveEnterTimestamp", "InvocationID")

_STATES = """
active reloading refreshing inactive failed maintenance not-found bad-setting error masked
activating/condition activating/start-pre activating/start activating/start-post
activating/auto-restart activating/auto-restart-queued
deactivating/stop deactivating/stop-watchdog deactivating/stop-sigterm deactivating/stop-sigkill
deactivating/stop-post deactivating/final-watchdog deactivating/final-sigterm deactivating/final-sigkill
"""
_RESULTS = """
success resources protocol timeout exit-code signal core-dump watchdog exec-condition oom-kill
start-limit-hit trigger-limit-hit service-start-limit-hit
"""
_EXITS_FROM_200 = """
CHDIR NICE FDS EXEC MEMORY LIMITS OOM_ADJUST SIGNAL_MASK STDIN STDOUT CHROOT IOPRIO TIMERSLACK SECUREBITS
SETSCHEDULER CPUAFFINITY GROUP USER CAPABILITIES CGROUP SETSID CONFIRM STDERR - PAM NETWORK NAMESPACE
NO_NEW_PRIVILEGES SECCOMP SELINUX_CONTEXT PERSONALITY APPARMOR ADDRESS_FAMILIES RUNTIME_DIRECTORY - CHOWN
SMACK_PROCESS_LABEL KEYRING STATE_DIRECTORY CACHE_DIRECTORY LOGS_DIRECTORY CONFIGURATION_DIRECTORY
NUMA_POLICY CREDENTIALS
"""
EXIT_NAMES = dict(enumerate(_EXITS_FROM_200.split(), start=200))
"""How systemd names the exit statuses by which it says why it could not even start the program."""


class UnitConfig(SignalConfig):
    """Keys of `unit`."""

    name: str = Field(pattern=r"^[\w:.@\\-]+$", description="the service or timer, as systemctl names it")
    user: bool = Field(False, description="ask the user's own systemd, not the machine's")
    expect_every: Duration | None = Field(None, description="for a timer: how often it is to trigger")

    @model_validator(mode="after")
    def _only_timers_are_late(self) -> UnitConfig:
        if self.expect_every is not None and self.kind != "timer":
            raise ValueError(f"expect_every is for timers (remove it, or name the .timer of {self.name})")
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
        """Return what this sort of unit has; `late` only where the file says what is punctual."""
        absent = set() if self.kind == "service" else {"restarts", "exit_status"}
        absent |= set() if self.kind == "timer" else {"last_trigger"}
        absent |= set() if self.expect_every else {"late"}
        absent |= {"result"} if self.kind in WITHOUT_RESULT else set()
        return {name: found for name, found in Unit.MEASURES.items() if name not in absent}


class Unit(LocalSignal[UnitConfig]):
    """Tells a restart loop, a flapping, a dead and a missing unit and a silent timer apart."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "state": word("Its state; while it starts or stops, the step as well", *_STATES.split()),
        "active": value("1 while the unit is active"),
        "enabled": value("1 if it is to start by itself"),
        "restarts": counter("Restarts, those by hand included"),
        "exit_status": value("Exit status of the main process when it last ended"),
        "result": word("How its last run ended", *_RESULTS.split()),
        "last_trigger": seconds("Time since the timer last triggered", grows=True),
        "late": value("Time since the last trigger by how often it is to trigger"),
    }
    Config = UnitConfig

    def __init__(self, key: SignalKey, config: UnitConfig, keep: timedelta) -> None:
        super().__init__(key, config, keep)
        self._first_look: datetime | None = None
        self._before: Properties | None = None

    def look_here(self, now: datetime) -> Reading:
        """Ask systemctl once."""
        config = self.config
        (told,) = show([config.name], PROPERTIES, user=config.user)
        if "ActiveState" not in told:
            raise CollectError(f"systemctl show {config.name} does not tell its state")
        values = values_of(told, config, now)
        if config.kind != "service":
            return Reading(self.key, now, values, evidence=evidence(told))
        self._first_look = self._first_look or now
        gained = restarts_between(self._before or told, told)
        # A unit that systemd unloaded meanwhile has forgotten its start; we have not.
        known = {name: (self._before or {}).get(name, "") for name in START} if not start_of(told) else {}
        self._before = {**told, **known}
        counted = Counted(self._first_look, ((now, float(gained)),) if gained else ())
        return Reading(self.key, now, values, {("restarts", ""): counted}, evidence(told))


def state_of(told: Properties) -> str:
    """Return the state in one word, with the step for a unit that is on its way."""
    state, load = told["ActiveState"], told.get("LoadState", "")
    if state in ("activating", "deactivating"):
        return f"{state}/{told.get('SubState', '')}"
    return load if state == "inactive" and load in UNLOADABLE else state


def values_of(told: Properties, config: UnitConfig, now: datetime) -> dict[str, Value]:
    """Return the measures; of a unit that systemd cannot load there is but its state."""
    state = state_of(told)
    values: dict[str, Value] = {"state": state, "active": float(told["ActiveState"] in ACTIVE)}
    if told.get("UnitFileState"):
        values["enabled"] = float(told["UnitFileState"] in ENABLED)
    if state not in UNLOADABLE:
        values |= {} if config.kind in WITHOUT_RESULT else {"result": told.get("Result") or None}
        values |= {"exit_status": _number(told, "ExecMainStatus")} if config.kind == "service" else {}
        values |= timing(told, config.expect_every, now) if config.kind == "timer" else {}
    return values


def timing(told: Properties, expected: timedelta | None, now: datetime) -> dict[str, Value]:
    """
    Return how long ago the timer triggered, and by how much that is late.

    One that never did since it became active is at least that late; of one that is not active
    either, nothing is known.
    """
    triggered = parse_time(told.get("LastTriggerUSec", ""))
    moment = triggered or parse_time(told.get("ActiveEnterTimestamp", ""))
    if moment is None:
        return dict.fromkeys(["last_trigger", "late"] if expected else ["last_trigger"])
    ago = max(0.0, (now - moment).total_seconds())
    found = {"last_trigger": ago} | ({"late": ago / expected.total_seconds()} if expected else {})
    return {name: number if triggered else AtLeast(number) for name, number in found.items()}


def start_of(told: Properties) -> str:
    """
    Return a name for the unit's newest start, empty if none ever led to *active*.

    A oneshot job never gets there: it is not restarted but run again.
    """
    reached = told.get("ActiveEnterTimestamp", "")
    return "" if reached in NEVER else told.get("InvocationID") or reached


def restarts_between(before: Properties, after: Properties) -> int:
    """
    Return how often the unit was restarted between two answers, by systemd or by hand.

    Its first start is none, nor is one by its own timer or socket.
    """
    was, count = int(_number(before, "NRestarts") or 0), int(_number(after, "NRestarts") or 0)
    if count > was:
        return count - was
    starts = {start_of(before), start_of(after)} - {""}
    by_hand = len(starts) == 2 and not after.get("TriggeredBy")
    if count < was:  # reset, and counted anew since
        return count + by_hand
    restarting = before.get("SubState", "").startswith("auto-restart")
    return int(by_hand and not restarting)  # the counter moves first, the start follows


def evidence(told: Properties) -> dict[str, object]:
    """Return what a person wants to see of the unit beside the figures."""
    restarts = _number(told, "NRestarts")
    shown = {
        "state": state_of(told),
        "result": told.get("Result"),
        "exit_status": exit_name(told),
        "restarts": None if restarts is None else int(restarts),
        "unit_file": told.get("UnitFileState"),
        "last_trigger": told["LastTriggerUSec"] or "never" if "LastTriggerUSec" in told else None,
    }
    return {name: found for name, found in shown.items() if found not in (None, "")}


def exit_name(told: Properties) -> str:
    """Return the exit status with the name systemd gives it: ``203/EXEC``, ``9/KILL``."""
    status = told.get("ExecMainStatus", "")
    code = int(status) if status.isdecimal() else -1
    if told.get("Result") in BY_SIGNAL and code in set(signals.Signals):
        return f"{code}/{signals.Signals(code).name.removeprefix('SIG')}"
    return f"{code}/{EXIT_NAMES[code]}" if code in EXIT_NAMES else status


def _number(told: Properties, name: str) -> float | None:
    text = told.get(name, "")
    return float(text) if text.isdecimal() else None
