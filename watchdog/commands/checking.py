"""`watchdog check`: whether the rules file is right, and whether everything that it names is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from watchdog.commands.common import USAGE, Form
from watchdog.commands.sharing import ShardOption, shared
from watchdog.config import load
from watchdog.errors import ConfigError
from watchdog.later import later
from watchdog.rules import Watch
from watchdog.terminal import DEFAULT_RULES, RulesOption
from watchdog.units import write_duration

if TYPE_CHECKING:
    from watchdog.commands import reaching
else:  # without --connect nothing is connected to
    reaching = later("watchdog.commands.reaching")


def check_command(
    rules: RulesOption = DEFAULT_RULES,
    rules_in_force: Annotated[
        bool, typer.Option("--rules-in-force", help="print which rule holds for whom")
    ] = False,
    connect: Annotated[
        bool, typer.Option("--connect", help="also ask whether all that the file names exists")
    ] = False,
    form: Annotated[Form, typer.Option("--format", help="how to print what --connect finds")] = Form.TABLE,
    shard: ShardOption = None,
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
    whole = len(config.services)
    config = shared(config, shard, USAGE)
    if connect and form is Form.JSON:
        raise typer.Exit(reaching.check_by_connecting(rules, config, form))
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
        + (f" ({config.shard} has {len(config.services)} of {whole:,} services)" if config.shard else "")
    )
    if connect:
        raise typer.Exit(reaching.check_by_connecting(rules, config, form))


def in_force(watch: Watch) -> str:
    """Return one line that says what holds for whom."""
    rule = watch.rule
    wait = f" for {write_duration(rule.for_)}" if rule.for_ else ""
    where = " ".join(f'{name}="{text}"' for name, text in watch.lead.labels.items())
    origin = "built in" if rule.builtin else "file"
    return f"{watch.service}: {rule.alert} ({rule.severity}, {origin}): {rule.spoken}{wait}  {where}".rstrip()
