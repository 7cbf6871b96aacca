"""`watchdog logs`: what the watchdog sees in a log file."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO, cast

import typer

from watchdog.commands.common import USAGE, Form, FormOption
from watchdog.conditions import suggest
from watchdog.config import load
from watchdog.errors import CollectError, ConfigError
from watchdog.listings import table
from watchdog.logs.encoding import encoding_of
from watchdog.logs.formats import FORMATS
from watchdog.logs.levels import Level
from watchdog.logs.survey import Survey, chunks_of, each, survey
from watchdog.progress import progress
from watchdog.signals.log import LogConfig
from watchdog.terminal import fail
from watchdog.units import Unit, plain, show_number

SHOWN = 10
STDIN = "-"
_GZIP = b"\x1f\x8b"


def logs_command(
    files: Annotated[list[str], typer.Argument(help="log files, .gz too; - is standard input")],
    *,
    form: FormOption = Form.TABLE,
    each_record: Annotated[
        bool, typer.Option("--each", help="print the line and the level of each record")
    ] = False,
    format: Annotated[
        str | None,
        typer.Option("--as", help="read the lines as this format", show_default="found by looking"),
    ] = None,
    rules: Annotated[
        Path | None,
        typer.Option(
            "--rules", help="read what a log of this rules file names as it says", show_default=False
        ),
    ] = None,
) -> None:
    """
    Show what the watchdog sees in a log: its format, records by level, errors by template.

    Exit status: 0, or 2 if a file cannot be read.
    """
    if format is not None and format not in FORMATS:
        raise fail(f'--as: "{format}" is not a log format ({suggest(format, FORMATS)})', USAGE)
    said = formats_said(rules) if rules is not None else {}
    surveys: list[tuple[str, Survey]] = []
    failed = False
    for name in files:
        chosen = format or next((said[path] for path in said if fnmatch(os.path.abspath(name), path)), None)
        try:
            with opened(name) as chunks:
                if each_record:
                    print_each(name if len(files) > 1 else None, chunks, chosen)
                else:
                    surveys.append((name, survey(chunks, chosen)))
        except (OSError, EOFError, CollectError) as exc:
            why = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
            typer.echo(
                plain(f"{name}: cannot be read: {why} (name a log file, or - for standard input)"), err=True
            )
            failed = True
    if not each_record:
        if form is Form.JSON:
            typer.echo(json.dumps([as_json(name, found) for name, found in surveys], ensure_ascii=False))
        elif surveys:
            typer.echo("\n\n".join(as_table(name, found) for name, found in surveys))
    if failed:
        raise typer.Exit(USAGE)


def formats_said(rules: Path) -> Mapping[str, str]:
    """Return the formats that the rules file gives its logs, by their paths; end if it is not right."""
    try:
        signals = load(rules).signals
    except ConfigError as exc:
        raise fail(str(exc), USAGE) from exc
    logs = (spec.config for spec in signals if isinstance(spec.config, LogConfig))
    return {path: log.format for log in logs for path in log.path if log.format != "auto"}


@contextlib.contextmanager
def opened(name: str) -> Iterator[Iterator[bytes]]:
    """Give the lines of the log called *name*, in pieces."""
    if name == STDIN:
        yield chunks_of(sys.stdin.buffer)
        return
    path = Path(name)
    with path.open("rb") as raw:
        if not raw.seekable():  # a pipe
            yield chunks_of(raw)
            return
        packed = raw.peek(2)[:2] == _GZIP
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
        chunks = chunks_of(stream, None if packed else encoding_of(raw.fileno()))
        with watched(name, raw, path.stat().st_size, chunks) as told:
            yield told


@contextlib.contextmanager
def watched(name: str, raw: BinaryIO, size: int, chunks: Iterator[bytes]) -> Iterator[Iterator[bytes]]:
    """Give *chunks*, and show on a terminal how far reading *raw* has come once that takes a while."""
    with progress(Path(name).name, size, of_bytes=True) as steps:

        def told() -> Iterator[bytes]:
            for chunk in chunks:
                steps.reach(raw.tell())
                yield chunk

        yield told()


# ---- showing -----------------------------------------------------------------------------------


def print_each(name: str | None, chunks: Iterator[bytes], format: str | None) -> None:
    """Print the number and the level of each line that begins a record, behind the file's *name* if told."""
    before = f"{plain(name)}:" if name else ""
    for found in batched(each(chunks, format)):
        typer.echo("\n".join(f"{before}{number}\t{level}" for number, level in found))


def batched(found: Iterator[tuple[int, Level]]) -> Iterator[list[tuple[int, Level]]]:
    """Yield what is *found* a thousand at a time: printing line by line would take most of the time."""
    while some := list(islice(found, 1_000)):
        yield some


def as_json(name: str, found: Survey) -> dict[str, Any]:
    """Return what was found as programs read it."""
    return {
        "path": name,
        "format": found.format,
        "lines": found.tally.lines,
        "records": found.tally.records,
        "levels": {str(level): count for level, count in found.levels.items()},
        "templates": [
            {"template": template, "count": count, "level": str(level), "example": example}
            for template, count, level, example in found.templates()
        ],
    }


def as_table(name: str, found: Survey) -> str:
    """Return what was found as people read it."""
    records = found.tally.records
    levels = table(
        ("level", "records", "share"),
        [
            (str(level), f"{count:,}", show_number(count / records, Unit.RATIO))
            for level, count in found.levels.items()
            if count
        ],
    )
    templates = list(found.templates())
    parts = [f"{plain(name)}: {found.format}, {found.tally.lines:,} lines, {records:,} records"]
    if records:
        parts.append(levels)
    if templates:
        rows = [
            (f"{count:,}", str(level), what, example) for what, count, level, example in templates[:SHOWN]
        ]
        parts.append(table(("errors", "level", "template", "example"), rows))
    if len(templates) > SHOWN:
        parts.append(f"… and {len(templates) - SHOWN} more templates (--format json shows all)")
    return "\n\n".join(parts)
