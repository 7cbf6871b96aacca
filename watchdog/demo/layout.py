"""The demo's pipeline as files: scripts, env files, logs, and the stand-ins for systemd's tools."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from watchdog.demo.server import free_port
from watchdog.demo.supervisor import Supervisor
from watchdog.demo.units import JOURNALCTL, SYSTEMCTL, Unit

# The generator comes last: until everybody else works, every intent would be refused.
OTHERS = ("rl_trainer", "rl_feedback", "permits", "exits", "execution", "apply_layer", "intent_bridge")
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "intent_bridge": {"INTENT_BRIDGE_SKIP_FLAT_SELL": "true", "INTENT_MAX_AGE_SEC": "600"},
    "apply_layer": {"APPLY_MODE": "testnet", "APPLY_KILL_SWITCH": "false", "K_BLOCK_CRITICAL": "0.80"},
    "execution": {"EXECUTION_PARSE_EVERY_ENTRY": "false"},
}


LEDGER_EXPORT = """\
EXPORT_MODE=daily
EXPORT_DIR=/var/lib/quantum/export
TESTNET=true
BINANCE_TESTNET=true
P33_STALE_THRESHOLD_SEC=10
"""


def ledger_export(directory: Path) -> Path:
    """Return the env file of a unit beside the pipeline."""
    return directory / "env" / "ledger_export.env"


def lay_out(directory: Path, redis_url: str, rate: float = 8.0) -> list[Unit]:
    """
    Write the pipeline's files into *directory* and return its units, in the order in which they start.

    *rate* is in plans per second; from eight on an order is filled at least every three seconds.
    """
    for folder in ("logs", "env", "bin", "tools", "units"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    for name, text in (("systemctl", SYSTEMCTL), ("journalctl", JOURNALCTL)):
        tool = directory / "tools" / name
        tool.write_text(text, encoding="utf-8")
        tool.chmod(0o755)
    (directory / "journal.log").touch()
    ledger_export(directory).write_text(LEDGER_EXPORT, encoding="utf-8")
    settings = {**SETTINGS, "intents": {"RATE": f"{rate:g}"}}
    return [
        _unit(directory, service, redis_url, settings.get(service, {}), after)
        for service, after in [*((other, ()) for other in OTHERS), ("intents", OTHERS)]
    ]


def build_pipeline(
    directory: Path, redis_url: str, rate: float = 8.0, restart_seconds: float = 1.0
) -> Supervisor:
    """Lay out the demo's files in *directory* and return a supervisor for the pipeline, not yet started."""
    return Supervisor(directory, lay_out(directory, redis_url, rate), restart_seconds)


def _unit(
    directory: Path, service: str, redis_url: str, settings: Mapping[str, str], after: Sequence[str]
) -> Unit:
    env_file = directory / "env" / f"{service}.env"
    env_file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), encoding="utf-8")
    log_file = directory / "logs" / f"{service}.log"
    log_file.touch()
    port = free_port()
    script = directory / "bin" / service
    # fmt: off
    command = [
        sys.executable, "-m", "watchdog.pipeline", service,
        "--redis", redis_url, "--env", str(env_file), "--log", str(log_file), "--port", str(port),
    ]
    # fmt: on
    script.write_text(f"#!/bin/sh\nexec {shlex.join(command)}\n", encoding="utf-8")
    script.chmod(0o755)
    name = f"quantum-{service.replace('_', '-')}.service"
    return Unit(name, service, [str(script)], env_file, log_file, port, after)
