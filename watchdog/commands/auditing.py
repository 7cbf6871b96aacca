"""`watchdog audit`: one look, without a running sidecar."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from watchdog.audit import EXIT, UNUSABLE, audit
from watchdog.clock import utc_now
from watchdog.commands.common import load_or_exit
from watchdog.forms import FORMS, as_table
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
) -> None:
    """
    Look once and say how every service stands.

    Exit status: 0 ok, 1 warning, 2 critical, 3 unknown or unusable.
    """
    config = load_or_exit(rules, UNUSABLE)
    quiet_logs()
    found = audit(config, utc_now())
    if form is Format.TABLE:
        typer.echo(as_table(found, colour=sys.stdout.isatty()))
    else:
        typer.echo(FORMS[form](found))
    raise typer.Exit(EXIT[found.status])
