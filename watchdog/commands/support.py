"""`watchdog support`: all that a bug report needs, in one file, without secrets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from watchdog import __version__
from watchdog.clock import utc_now
from watchdog.commands.common import TokenOption, UrlOption
from watchdog.errors import WatchdogError
from watchdog.support.asking import Case, known_of, parts_of
from watchdog.support.bundle import packed, write
from watchdog.terminal import DEFAULT_RULES, RulesOption, fail, quiet_logs

UNIT = "pipeline-watchdog.service"


def support_command(
    *,
    rules: RulesOption = DEFAULT_RULES,
    out: Annotated[
        Path | None, typer.Option("--out", help="the archive to write (.tar.gz)", show_default=False)
    ] = None,
    unit: Annotated[str, typer.Option("--unit", help="the sidecar's unit: its log, its limits")] = UNIT,
    with_evidence: Annotated[
        bool, typer.Option("--with-evidence", help="evidence and log excerpts as well: data of your pipeline")
    ] = False,
    url: UrlOption = None,
    token_file: TokenOption = None,
) -> None:
    """
    Write a bundle for a bug report, without secrets; with or without a running sidecar.

    Its MANIFEST.txt says what is in it and what is not. Exit status: 0 written, 1 not.
    """
    quiet_logs()
    now = utc_now()
    case = Case(rules, unit, url, token_file, with_evidence, os.environ)
    to = out if out is not None else Path(f"watchdog-support-{now:%Y%m%dT%H%M%SZ}.tar.gz")
    try:
        known, parts = known_of(case), parts_of(case, now)
        write(packed(parts, known, __version__), to)
    except WatchdogError as exc:
        raise fail(str(exc), 1) from exc
    for part in parts:
        if part.why:
            typer.echo(f"left out {part.name}: {known.hide(part.why)}", err=True)
    typer.echo(str(to))
