"""What every command needs of a terminal: failing in one sentence, and logs apart from answers."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watchdog.later import later
from watchdog.units import plain

if TYPE_CHECKING:
    import logging

    import structlog
else:
    logging, structlog = later("logging"), later("structlog")

RulesOption = Annotated[Path, typer.Option("--rules", help="the rules file", show_default=True)]
DEFAULT_RULES = Path("rules.yaml")


def fail(message: str, status: int) -> typer.Exit:
    """Say *message* on standard error and return the exit to raise."""
    typer.echo(message, err=True)
    return typer.Exit(status)


def structured_logs(level: str) -> None:
    """Log JSON lines to standard error, or readable lines if that is a terminal."""
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise fail(f'--log-level "{level}" is none (debug, info, warning or error)', 2)
    shown: list[structlog.typing.Processor] = (
        [harmless, structlog.dev.ConsoleRenderer()]
        if sys.stderr.isatty()
        else [structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *shown,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


def harmless(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Return *event* without control signs in its texts: no log line may steer a terminal."""
    return {name: _harmless(found) if isinstance(found, str) else found for name, found in event.items()}


def _harmless(text: str) -> str:
    return "\n".join(plain(line.expandtabs(4)) for line in text.split("\n"))


def quiet_logs() -> None:
    """Keep standard output for the answer and standard error for what is wrong with the question."""
    structured_logs("error")
