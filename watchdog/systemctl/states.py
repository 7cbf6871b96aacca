"""What systemd's words for the state of a unit mean."""

from __future__ import annotations

import signal as signals
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchdog.systemctl.show import Properties

PROPERTIES = (
    "Id,LoadState,ActiveState,SubState,Result,Type,RemainAfterExit,Restart,RestartUSec,ExecMainStatus,"
    "ExecMainExitTimestamp,NRestarts,ActiveEnterTimestamp,UnitFileState,InvocationID,TriggeredBy"
)
ACTIVE = ("active", "reloading", "refreshing")
ENABLED = ("enabled", "enabled-runtime", "alias", "generated")
UNLOADABLE = ("not-found", "bad-setting", "error", "masked")
BY_SIGNAL = ("signal", "core-dump", "watchdog", "oom-kill")
"""Results for which the exit status is the number of the signal that ended the process."""

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
STATES = tuple(_STATES.split())
RESULTS = tuple(_RESULTS.split())
_EXITS_FROM_200 = """
CHDIR NICE FDS EXEC MEMORY LIMITS OOM_ADJUST SIGNAL_MASK STDIN STDOUT CHROOT IOPRIO TIMERSLACK SECUREBITS
SETSCHEDULER CPUAFFINITY GROUP USER CAPABILITIES CGROUP SETSID CONFIRM STDERR - PAM NETWORK NAMESPACE
NO_NEW_PRIVILEGES SECCOMP SELINUX_CONTEXT PERSONALITY APPARMOR ADDRESS_FAMILIES RUNTIME_DIRECTORY - CHOWN
SMACK_PROCESS_LABEL KEYRING STATE_DIRECTORY CACHE_DIRECTORY LOGS_DIRECTORY CONFIGURATION_DIRECTORY
NUMA_POLICY CREDENTIALS
"""
EXIT_NAMES = dict(enumerate(_EXITS_FROM_200.split(), start=200))
"""How systemd names the exit statuses by which it says why it could not even start the program."""


def state_of(told: Properties) -> str:
    """Return the state in one word, with the step for a unit that is on its way."""
    state, load = told["ActiveState"], told.get("LoadState", "")
    if state in ("activating", "deactivating"):
        return f"{state}/{told.get('SubState', '')}"
    return load if state == "inactive" and load in UNLOADABLE else state


def running(told: Properties) -> bool:
    """Say whether a process of the unit runs, so that it can be older than its files."""
    return told["ActiveState"] in ACTIVE and told.get("SubState") == "running"


def rests(told: Properties) -> bool:
    """Say whether it is its way to be inactive: a job that ended well, or what a timer or socket starts."""
    if told.get("Result", "success") != "success":
        return False
    job = told.get("Type") == "oneshot" and told.get("RemainAfterExit") != "yes"
    return job or bool(told.get("TriggeredBy"))


def evidence(told: Properties) -> dict[str, object]:
    """Return what a person wants to see of the unit beside the figures."""
    restarts = number_of(told, "NRestarts")
    shown = {
        "state": state_of(told),
        "result": told.get("Result"),
        "exit_status": exit_name(told),
        "restarts": None if restarts is None else int(restarts),
        "unit_file": told.get("UnitFileState"),
        "daemon_reload": "needed" if told.get("NeedDaemonReload") == "yes" else None,
        "last_trigger": told["LastTriggerUSec"] or "never" if "LastTriggerUSec" in told else None,
        "next_trigger": told.get("NextElapseUSecRealtime"),
    }
    return {name: found for name, found in shown.items() if found not in (None, "")}


def exit_name(told: Properties) -> str:
    """Return the exit status with the name systemd gives it: ``203/EXEC``, ``9/KILL``."""
    status = told.get("ExecMainStatus", "")
    code = int(status) if status.isdecimal() else -1
    if told.get("Result") in BY_SIGNAL and code in set(signals.Signals):
        return f"{code}/{signals.Signals(code).name.removeprefix('SIG')}"
    return f"{code}/{EXIT_NAMES[code]}" if code in EXIT_NAMES else status


def number_of(told: Properties, name: str) -> float | None:
    """Return the property *name* as a number, None if it is none."""
    text = told.get(name, "")
    return float(text) if text.isdecimal() else None
