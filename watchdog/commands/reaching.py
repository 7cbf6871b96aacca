"""`watchdog check --connect`: whether everything that the rules file names is there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import typer

from watchdog.clock import utc_now
from watchdog.commands.common import Form
from watchdog.config import Config
from watchdog.connecting import connect
from watchdog.presence import Finding, Outcome
from watchdog.progress import progress
from watchdog.terminal import quiet_logs
from watchdog.units import plain

BY_LABEL = ("health", "command", "unit")
"""Signals of which a line says what they are called; of others the sentence does."""
STATUS = {Outcome.MISSING: 1, Outcome.UNREACHABLE: 3, Outcome.UNSURE: 3, Outcome.THERE: 0}


def check_by_connecting(rules: Path, config: Config, form: Form) -> int:
    """Look once whether everything *config* names is there, print it, and return the exit status."""
    quiet_logs()
    with progress(f"asking for {len(config.signals)} signals") as steps:
        found = asyncio.run(connect(config, utc_now(), told=steps.wait_for))
    typer.echo(as_json(found) if form is Form.JSON else as_lines(rules, found))
    return STATUS[worst(found)]


def worst(found: Sequence[Finding]) -> Outcome:
    """Return the worst outcome: what is missing is surely wrong."""
    return next((o for o in Outcome if any(f.outcome is o for f in found)), Outcome.THERE)


def as_json(found: Sequence[Finding]) -> str:
    """Return what was found as programs read it."""
    signals = [
        {
            "service": f.key.service,
            "signal": f.key.kind,
            "labels": dict(f.key.labels),
            "outcome": f.outcome,
            "detail": f.detail,
            "did_you_mean": f.near or None,
        }
        for f in found
    ]
    return json.dumps({"outcome": worst(found), "signals": signals}, indent=1)


def as_lines(rules: Path, found: Sequence[Finding]) -> str:
    """Return a line for each signal; of a server that is away there is one for all that is read from it."""
    lines = []
    silent: set[str] = set()
    for f in found:
        if f.outcome is Outcome.UNREACHABLE and f.detail in silent:
            continue
        alike = sum(other.outcome is f.outcome and other.detail == f.detail for other in found)
        rest = f" (and so {alike - 1} more signals)" if f.outcome is Outcome.UNREACHABLE and alike > 1 else ""
        silent |= {f.detail} if rest else set()
        cure = f' (did you mean "{f.near}"?)' if f.near else ""
        who = ": ".join((f.key.service, f.key.kind, *_called(f), f.detail))
        lines.append(f"{f.outcome:<11}  {who}{rest}{cure}")
    counts = [(o, sum(f.outcome is o for f in found)) for o in Outcome]
    total = ", ".join(f"{count} {outcome}" for outcome, count in counts if count)
    return "\n".join(map(plain, [*lines, f"{rules}: of {len(found)} signals: {total}"]))


def _called(finding: Finding) -> Sequence[str]:
    """Return what tells *finding* from others of its kind: its name, or its server if there are several."""
    labels = finding.key.labels
    if finding.key.kind in BY_LABEL:
        return [", ".join(labels.values())]
    return [labels["redis"]] if "redis" in labels else []
