"""`watchdog audit`: one look, without a running sidecar."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import Annotated

import typer

from watchdog.audit import EXIT, UNUSABLE, audit
from watchdog.brief import brief
from watchdog.clock import utc_now
from watchdog.commands.common import load_or_exit
from watchdog.commands.sharing import ShardOption, shared
from watchdog.forms import FORMS, as_table
from watchdog.glance import glance
from watchdog.printing import is_coloured, printed
from watchdog.progress import progress
from watchdog.report import snapshot_json
from watchdog.runbooks import runbook_names
from watchdog.terminal import DEFAULT_RULES, RulesOption, quiet_logs


class Format(StrEnum):
    """The forms of an audit."""

    TABLE = "table"
    JSON = "json"
    NAGIOS = "nagios"
    JUNIT = "junit"
    MARKDOWN = "markdown"


def audit_command(
    rules: RulesOption = DEFAULT_RULES,
    form: Annotated[Format, typer.Option("--format", help="how to print it")] = Format.TABLE,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="show all signals with all their values")
    ] = False,
    shard: ShardOption = None,
) -> None:
    """
    Look once and say how every service stands: what is wrong and why first, each service in one line.

    Exit status: 0 ok, 1 warning, 2 critical, 3 unknown or unusable.
    """
    config = shared(load_or_exit(rules, UNUSABLE), shard, UNUSABLE)
    quiet_logs()
    with progress(f"looking at {len(config.signals)} signals") as steps:
        found = audit(config, utc_now(), steps.wait_for)
    if form is not Format.TABLE:
        typer.echo(FORMS[form](found))
    elif verbose:
        typer.echo(as_table(found, colour=is_coloured()))
    else:
        typer.echo(printed(partial(brief, glance(snapshot_json(found)), runbook_names())))
    raise typer.Exit(EXIT[found.status])
