"""`watchdog export`: the rules in force, and the shape of rules.yaml, for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from watchdog import __version__
from watchdog.commands.common import adopt_all
from watchdog.config import Config, load
from watchdog.errors import ConfigError
from watchdog.export.alertmanager import alertmanager_file
from watchdog.export.grafana import grafana_files
from watchdog.export.pages import MADE, reference_pages
from watchdog.export.prometheus import expressible, rules_file
from watchdog.export.promtests import promtests_file
from watchdog.export.schema import schema_file
from watchdog.later import later
from watchdog.manual import commands_page, man_page
from watchdog.terminal import DEFAULT_RULES, RulesOption, fail
from watchdog.yamlfile import SCHEMA_FILE

if TYPE_CHECKING:
    from watchdog.commands import describing
else:  # it loads all commands, this one among them
    describing = later("watchdog.commands.describing")

PROBLEM = 1
RULES_FILE, TESTS_FILE = "pipeline.yml", "pipeline_test.yml"
export_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out", help="the directory to write into (default: to standard output)", show_default=False
    ),
]


@export_app.command("prometheus", epilog="Example: watchdog export prometheus --out /etc/prometheus/rules")
def prometheus_command(
    rules: RulesOption = DEFAULT_RULES,
    out: OutOption = None,
    tests: Annotated[bool, typer.Option("--tests", help="the tests of these rules, for promtool")] = False,
) -> None:
    """Write the rules in force as Prometheus alerting rules (docs/how-to/prometheus.md)."""
    config = _loaded(rules)
    for left in expressible(config)[1]:
        typer.echo(f"not exported: {left.alert}, because {left.why}", err=True)
    if not tests:
        _write(rules_file(config), out, RULES_FILE)
    else:
        _write(promtests_file(config, f"../rules/{RULES_FILE}"), out, TESTS_FILE)


@export_app.command("alertmanager", epilog="Example: watchdog export alertmanager > alertmanager.yml")
def alertmanager_command(rules: RulesOption = DEFAULT_RULES, out: OutOption = None) -> None:
    """Write an Alertmanager configuration that keeps symptoms quiet while their cause fires."""
    _write(alertmanager_file(_loaded(rules)), out, "alertmanager.yml")


class Board(StrEnum):
    """The dashboards."""

    OVERVIEW = "overview"
    STREAMS = "streams"
    LOGS_UNITS = "logs-units"
    WATCHDOG = "watchdog"


@export_app.command("grafana", epilog="Example: watchdog export grafana --out /var/lib/grafana/dashboards")
def grafana_command(
    rules: RulesOption = DEFAULT_RULES,
    out: OutOption = None,
    board: Annotated[
        Board, typer.Option("--dashboard", help="which one to print; with --out all are written")
    ] = Board.OVERVIEW,
) -> None:
    """Write the dashboards for what the file watches, with its rules' thresholds (docs/how-to/grafana.md)."""
    files = grafana_files(_loaded(rules))
    for name, text in files.items() if out else [(f"{board}.json", files[f"{board}.json"])]:
        _write(text, out, name)


@export_app.command("schema", epilog="Example: watchdog export schema > rules.schema.json")
def schema_command(out: OutOption = None) -> None:
    """Write the JSON Schema of rules.yaml, for editors and CI."""
    adopt_all()
    _write(schema_file(), out, SCHEMA_FILE)


@export_app.command("reference", epilog="Example: watchdog export reference --out docs/reference")
def reference_command(out: OutOption = None) -> None:
    """Write the reference as pages of Markdown: signals, alerts, keys, receivers and commands."""
    adopt_all()
    pages = {**reference_pages(), "commands.md": commands_page(describing.described(), MADE)}
    for name, text in pages.items():
        _write(text, out, name)


@export_app.command("man", epilog="Example: watchdog export man > /usr/local/share/man/man1/watchdog.1")
def man_command(out: OutOption = None) -> None:
    """Write the man page of all commands."""
    _write(man_page(describing.described(), __version__), out, "watchdog.1")


def _loaded(rules: Path) -> Config:
    try:
        return load(rules)
    except ConfigError as exc:
        raise fail(str(exc), PROBLEM) from exc


def _write(text: str, out: Path | None, name: str) -> None:
    """Write *text* to standard output, or as *name* into the directory *out*."""
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text, encoding="utf-8")
    except OSError as exc:
        raise fail(f"{out / name} cannot be written: {exc.strerror} (choose another --out)", PROBLEM) from exc
    typer.echo(f"wrote {out / name}", err=True)
