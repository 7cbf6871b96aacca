"""`watchdog check`: whether the rules file is right, and whether everything that it names is there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from watchdog.clock import utc_now
from watchdog.commands.common import Form
from watchdog.config import Config, load
from watchdog.connecting import connect
from watchdog.errors import ConfigError
from watchdog.presence import Finding, Outcome
from watchdog.progress import progress
from watchdog.rules import Watch
from watchdog.terminal import DEFAULT_RULES, RulesOption, quiet_logs
from watchdog.units import plain, write_duration

BY_LABEL = ("health", "command", "unit")
"""Signals of which a line says what they are called; of others the sentence does."""
STATUS = {Outcome.MISSING: 1, Outcome.UNREACHABLE: 3, Outcome.UNSURE: 3, Outcome.THERE: 0}


def check_command(
    rules: RulesOption = DEFAULT_RULES,
    rules_in_force: Annotated[
        bool, typer.Option("--rules-in-force", help="print which rule holds for whom")
    ] = False,
    connect: Annotated[
        bool, typer.Option("--connect", help="also ask whether all that the file names exists")
    ] = False,
    form: Annotated[Form, typer.Option("--format", help="how to print what --connect finds")] = Form.TABLE,
) -> None:
    """
    Validate the rules file; without --connect it connects nowhere. Dead rules and dead routes are errors.

    Exit status: 0 well, 1 a problem of the file or something missing, 3 something cannot be told.
    """
    try:
        config = load(rules)
    except ConfigError as exc:
        count = len(exc.problems)
        typer.echo(f"{exc}\n{rules}: {count} problem{'s' if count > 1 else ''}")
        raise typer.Exit(1) from exc
    if connect and form is Form.JSON:
        raise typer.Exit(check_by_connecting(rules, config, form))
    for warning in config.warnings:
        typer.echo(f"{rules}: warning: {warning}")
    for plan in config.discover:
        typer.echo(f"{rules}: discover: {plan}")
    if rules_in_force:
        for watch in config.binding.watches:
            typer.echo(in_force(watch))
    alerts = len({watch.rule.alert for watch in config.binding.watches})
    typer.echo(
        f"{rules}: ok: {len(config.services)} services, {len(config.signals)} signals,"
        f" {alerts} rules in force on {len(config.binding.watches)} places"
    )
    if connect:
        raise typer.Exit(check_by_connecting(rules, config, form))


def in_force(watch: Watch) -> str:
    """Return one line that says what holds for whom."""
    rule = watch.rule
    wait = f" for {write_duration(rule.for_)}" if rule.for_ else ""
    where = " ".join(f'{name}="{text}"' for name, text in watch.lead.labels.items())
    origin = "built in" if rule.builtin else "file"
    return f"{watch.service}: {rule.alert} ({rule.severity}, {origin}): {rule.spoken}{wait}  {where}".rstrip()


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
        who = f"{f.key.service}: {f.key.kind}: " + (f"{_called(f)}: " if f.key.kind in BY_LABEL else "")
        lines.append(f"{f.outcome:<11}  {who}{f.detail}{rest}{cure}")
    counts = [(o, sum(f.outcome is o for f in found)) for o in Outcome]
    total = ", ".join(f"{count} {outcome}" for outcome, count in counts if count)
    return "\n".join(map(plain, [*lines, f"{rules}: of {len(found)} signals: {total}"]))


def _called(finding: Finding) -> str:
    return ", ".join(finding.key.labels.values())
