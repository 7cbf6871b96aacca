"""The parts of a support bundle: each is asked for by itself, and one that cannot be had says why."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from importlib.metadata import distributions
from itertools import chain
from pathlib import Path
from typing import Any

from watchdog import __version__
from watchdog.audit import audit
from watchdog.config import Config, load
from watchdog.errors import ConfigError, WatchdogError
from watchdog.holdings import examine
from watchdog.programs import Program
from watchdog.remote import Remote, find_sidecar, state_of
from watchdog.report import snapshot_json
from watchdog.support.bundle import Part
from watchdog.support.known import (
    Known,
    secrets_in,
    secrets_named,
    secrets_of_environment,
    secrets_of_file,
)
from watchdog.support.rules import masked_rules
from watchdog.tokens import read_tokens, token_file
from watchdog.wire import Batch, open_wire
from watchdog.yamlfile import Document, read_yaml

PATIENCE = timedelta(seconds=10)
LINES = 1_000
"""So many of the sidecar's last log lines."""
ASKED_OF_UNIT = "ActiveState,SubState,MainPID,NRestarts,ExecMainStartTimestamp,MemoryCurrent,TasksCurrent"
TOLD_OF_SERVER = re.compile(rb"(?m)^((?:redis_version|valkey_version|redis_mode|uptime_in_seconds):.*?)\r?$")
_VARIABLES = re.compile(r"(?m)^(\s*Environment=).*$")


@dataclass(frozen=True, slots=True)
class Case:
    """What a bundle is about: which rules file, which unit, who asks."""

    rules: Path
    unit: str
    url: str | None
    token_file: Path | None
    with_evidence: bool
    environment: Mapping[str, str]


def known_of(case: Case) -> Known:
    """Return every secret that can be known here, whether or not the rules file is right."""
    found: list[Iterator[str]] = [secrets_of_environment(case.environment)]
    found.append(secrets_of_environment(_environment_of(_main_pid(case))))
    try:
        text = _text(case.rules)
        document = read_yaml(text, case.environment)
        found.append(_from_outside(document, read_yaml(text, {}).value))
        found.append(secrets_named(document.value))
        state = state_of(case.rules, case.environment)
        found.append(secrets_of_file(token_file(str(state))))
        config = load(case.rules, case.environment)
        found += [secrets_in(config), iter(config.tokens)]
    except (OSError, WatchdogError):
        pass  # as far as it can be read
    if case.token_file is not None:
        found.append(iter(read_tokens(_text(case.token_file))))
    return Known.of(chain.from_iterable(found))


def _from_outside(document: Document, alone: Any) -> Iterator[str]:
    """Yield the values that are others *alone*, without the environment."""
    for place in document.from_outside:
        if (found := _at(document.value, place)) != _at(alone, place):
            yield str(found)


def _at(value: Any, place: Sequence[str | int]) -> Any:
    for step in place:
        value = value[step]
    return value


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return ""


# ---- the parts ---------------------------------------------------------------------------------


def parts_of(case: Case, now: datetime) -> list[Part]:
    """Return all parts, each asked for by itself."""
    return [_part(name, what, ask, case, now) for name, (what, ask) in PARTS.items()]


def _part(name: str, what: str, ask: Callable[[Case, datetime], str], case: Case, now: datetime) -> Part:
    try:
        return Part(name, what, ask(case, now), from_end=name == "log.txt")
    except WatchdogError as exc:
        return Part(name, what, why=str(exc).splitlines()[0])
    except OSError as exc:
        return Part(name, what, why=exc.strerror or type(exc).__name__)


def versions(case: Case, now: datetime) -> str:  # noqa: ARG001
    """Say which versions run here."""
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    packages = sorted({f"{found.name}=={found.version}" for found in distributions()})
    lines = [
        f"pipeline-watchdog {__version__}",
        f"python {sys.version}",
        f"system {release.get('PRETTY_NAME', 'unknown')}",
        f"kernel {platform.system()} {platform.release()} {platform.machine()}",
        f"cores {os.cpu_count()}",
        f"asked at {now.isoformat()}",
        *packages,
    ]
    return "\n".join(lines) + "\n"


def rules(case: Case, now: datetime) -> str:  # noqa: ARG001
    """Return the rules file, masked."""
    masked = masked_rules(_text(case.rules))
    if masked is None:
        raise WatchdogError("the rules file is no YAML, so nothing tells what in it is secret")
    return masked


def check(case: Case, now: datetime) -> str:  # noqa: ARG001
    """Return what `watchdog check` says."""
    try:
        config = load(case.rules, case.environment)
    except ConfigError as exc:
        return f"{exc}\n"
    found = f"ok: {len(config.services)} services, {len(config.signals)} signals, {len(config.rules)} rules"
    return "\n".join([*(f"warning: {warning}" for warning in config.warnings), found]) + "\n"


def audited(case: Case, now: datetime) -> str:
    """Return what `watchdog audit` says; of the evidence only with leave."""
    body: Any = snapshot_json(audit(load(case.rules, case.environment), now))
    return (
        json.dumps(body if case.with_evidence else _without(body, "evidence"), indent=1, default=str) + "\n"
    )


def _without(body: Any, name: str) -> Any:
    if isinstance(body, Mapping):
        return {key: _without(found, name) for key, found in body.items() if key != name}
    return [_without(found, name) for found in body] if isinstance(body, list | tuple) else body


def servers(case: Case, now: datetime) -> str:  # noqa: ARG001
    """Return what each Redis says of itself, and how far its clock is from ours."""
    return asyncio.run(_servers(load(case.rules, case.environment)))


async def _servers(config: Config) -> str:
    return "".join([await _server(name, spec) for name, spec in config.servers.items()])


async def _server(name: str, spec: Any) -> str:
    wire = open_wire(spec.url.get_secret_value(), spec.timeout.total_seconds())
    try:
        began = time.time()  # noqa: TID251 (two clocks are compared)
        told, moment = await wire.ask(Batch([("INFO", "server"), ("TIME",)]))
        took = time.time() - began  # noqa: TID251
    except WatchdogError as exc:
        return f"{name}: {exc}\n"
    finally:
        await wire.close()
    lines = TOLD_OF_SERVER.findall(told) if isinstance(told, bytes) else []
    shown = ", ".join(line.decode() for line in lines) or "INFO is refused"
    ahead = "TIME is refused"
    if isinstance(moment, list):
        seconds = int(moment[0]) + int(moment[1]) / 1e6
        ahead = f"its clock is {seconds - began - took / 2:+.3f} s from ours, ± {took / 2:.3f}"
    return f"{name}: {shown}; {ahead}\n"


def metrics(case: Case, now: datetime) -> str:  # noqa: ARG001
    """Return what the running sidecar says of itself: its ticks, its queues, its failures."""
    with Remote(find_sidecar(case.rules, case.url, case.token_file, case.environment)) as remote:
        return remote.text("/metrics")


def state(case: Case, now: datetime) -> str:  # noqa: ARG001
    """Return how much is in the state file."""
    path = state_of(case.rules, case.environment)
    if path in (None, ":memory:"):
        raise WatchdogError("the rules keep no state")
    return json.dumps(asdict(examine(str(path))), indent=1) + "\n"


def log(case: Case, now: datetime) -> str:  # noqa: ARG001
    """Return the last lines that the sidecar logged to the journal."""
    return _said(
        case,
        "journalctl",
        "-u",
        case.unit,
        "-n",
        str(LINES),
        "-o",
        "short-iso",
        "--no-hostname",
        "--no-pager",
        "-q",
    )


def unit(case: Case, now: datetime) -> str:  # noqa: ARG001
    """Return the unit's file with its drop-ins, values of variables masked, and how it does."""
    text = _VARIABLES.sub(r"\1***", _said(case, "systemctl", "cat", "--no-pager", "--", case.unit))
    return text + "\n" + _said(case, "systemctl", "show", "-p", ASKED_OF_UNIT, "--", case.unit)


def limits(case: Case, now: datetime) -> str:  # noqa: ARG001
    """Return the limits of the sidecar's process, or else of this one."""
    pid = _main_pid(case)
    whose = f"process {pid}, the sidecar" if pid else "this process; no sidecar's was found"
    folder = Path(f"/proc/{pid or 'self'}")
    status = re.findall(r"(?m)^(?:VmRSS|VmHWM|Threads):.*$", (folder / "status").read_text())
    return "\n".join([f"Of {whose}:", *status, (folder / "limits").read_text()])


def _said(case: Case, *argv: str) -> str:
    environment = {**case.environment, "TZ": "UTC", "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"}
    ended = Program(argv, environment, None).run(PATIENCE)
    if ended.status != 0 or not ended.out.strip():
        why = next(iter(ended.err.strip().splitlines()), "it says nothing")
        raise WatchdogError(f"{' '.join(argv[:2])}: {why}")
    return ended.out


def _main_pid(case: Case) -> int:
    """Return the process of the sidecar's unit, 0 if there is none."""
    try:
        return int(_said(case, "systemctl", "show", "--value", "-p", "MainPID", "--", case.unit))
    except (WatchdogError, ValueError):
        return 0


def _environment_of(pid: int) -> Mapping[str, str]:
    """Return the environment of process *pid*, as far as we may see it."""
    try:
        text = Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "replace")
    except OSError:
        return {}
    return {name: value for name, _, value in (pair.partition("=") for pair in text.split("\0"))}


PARTS: Mapping[str, tuple[str, Callable[[Case, datetime], str]]] = {
    "versions.txt": ("versions of the program, Python, packages and system", versions),
    "rules.yaml": ("the rules file, secrets masked, comments gone", rules),
    "check.txt": ("what `watchdog check` says", check),
    "audit.json": ("what `watchdog audit` says", audited),
    "servers.txt": ("version and clock of each Redis", servers),
    "metrics.txt": ("/metrics of the running sidecar", metrics),
    "state.json": ("how many records the state file has", state),
    "log.txt": ("the sidecar's last log lines", log),
    "unit.txt": ("the sidecar's unit", unit),
    "limits.txt": ("limits of the sidecar's process", limits),
}
"""What is asked for, by the name of its file."""
