"""The commands as values, and what is made of them: a page of Markdown, and the man page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

SUMMARY = "tells within a minute that a pipeline has stopped working while every process still runs"
ENVIRONMENT = (
    ("WATCHDOG_URL", "Where the running sidecar is, as --url."),
    ("WATCHDOG_TOKEN", "The token of its API, for what changes something."),
    ("NO_COLOR, FORCE_COLOR", "No colours, or colours also where nobody sees them."),
)
FILES = (
    ("rules.yaml", "What is watched, what is wrong and who hears of it; another one with --rules."),
    ("rules.schema.json", "Its JSON Schema, for editors: `watchdog export schema`."),
)
STATUSES = (
    ("0", "All is well, or what was asked for was done."),
    ("1", "A warning, a problem of the rules file, or the sidecar said no."),
    ("2", "Something is critical, or the command was called wrongly."),
    ("3", "It cannot be told: no answer from the sidecar or from Redis."),
)


@dataclass(frozen=True, slots=True)
class Option:
    """An option or an argument as its command's help has it: how it is written, and what it does."""

    written: str
    does: str


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its words, its help in paragraphs, what it takes, an example, and those below it."""

    words: str
    usage: str
    help: tuple[str, ...]
    arguments: tuple[Option, ...]
    options: tuple[Option, ...]
    example: str
    below: tuple[Command, ...] = ()

    def all(self) -> Iterator[Command]:
        """Yield it and those below it."""
        yield self
        for command in self.below:
            yield from command.all()


# ---- Markdown ----------------------------------------------------------------------------------


def commands_page(commands: Sequence[Command], head: str) -> str:
    """Return the page of all commands; *head* stands between its title and the list."""
    lines = ["# Commands", "", head, "", "`watchdog` " + SUMMARY + ".", ""]
    lines += _table(
        ("command", "does"), ((f"[`{c.words}`](#{_anchor(c)})", _cell(c.help[0])) for c in commands)
    )
    for command in (each for top in commands for each in top.all()):
        lines += ["", f"## {command.words}", "", *_paragraphs(command.help)]
        lines += ["", f"Then come `{command.usage}`."]
        told = (*command.arguments, *command.options)
        if told:
            lines += [
                "",
                *_table(("takes", "meaning"), ((f"`{_barless(o.written)}`", _cell(o.does)) for o in told)),
            ]
        if command.example:
            lines += ["", f"Example: `{command.example}`"]
    return "\n".join(lines) + "\n"


def _anchor(command: Command) -> str:
    return command.words.replace(" ", "-")


def _paragraphs(texts: Iterable[str]) -> Iterator[str]:
    for i, text in enumerate(texts):
        if i:
            yield ""
        yield text


def _cell(text: str) -> str:
    return _barless(text).replace("<", "&lt;")


def _barless(text: str) -> str:
    """Return *text* for a cell of a table, in which a bar would end it even in code."""
    return text.replace("|", r"\|")


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    head = [f"| {' | '.join(titles)} |", f"| {' | '.join('---' for _ in titles)} |"]
    return [*head, *(f"| {' | '.join(row)} |" for row in rows)]


# ---- the man page ------------------------------------------------------------------------------


def man_page(commands: Sequence[Command], version: str) -> str:
    """Return the man page as groff reads it; it bears no date, so that it is always the same."""
    lines = [
        '.\\" Made by `make reference`.',
        f'.TH WATCHDOG 1 "" "pipeline-watchdog {version}" "User Commands"',
        ".SH NAME",
        f"watchdog \\- {roff(SUMMARY)}",
        ".SH SYNOPSIS",
        ".B watchdog",
        ".I COMMAND",
        "[\\fIOPTION\\fR]...",
        ".SH DESCRIPTION",
        roff(
            "A sidecar beside a pipeline on Redis Streams, which it never changes. It looks at what services"
            " achieve and not at whether they run, names the cause and not the symptoms, and never takes"
            " what it could not see for health."
        ),
        ".SH COMMANDS",
    ]
    for command in (each for top in commands for each in top.all()):
        lines += _command(command)
    for title, rows in (("ENVIRONMENT", ENVIRONMENT), ("FILES", FILES), ("EXIT STATUS", STATUSES)):
        lines += [f".SH {roff(title)}"]
        for name, does in rows:
            lines += [".TP", f".B {roff(name)}", roff(does)]
    lines += [".SH SEE ALSO", ".BR redis\\-cli (1),", ".BR promtool (1),", ".BR systemctl (1)"]
    return "\n".join(lines) + "\n"


def _command(command: Command) -> Iterator[str]:
    yield f".SS {roff(f'{command.words} {command.usage}'.rstrip())}"
    for i, text in enumerate(command.help):
        if i:
            yield ".PP"
        yield roff(text)
    for option in (*command.arguments, *command.options):
        yield ".TP"
        yield f".B {roff(option.written)}"
        yield roff(option.does or option.written)
    if command.example:
        yield ".PP"
        yield "Example:"
        yield ".PP"
        yield ".RS 4"
        yield ".nf"
        yield roff(command.example)
        yield ".fi"
        yield ".RE"


def roff(text: str) -> str:
    """Return *text* so that groff shows it as it is: no escapes, no requests, hyphens that can be copied."""
    safe = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("'", "\\(aq")
    safe = "".join(sign if sign.isascii() else f"\\[u{ord(sign):04X}]" for sign in safe)
    return re.sub(r"^\.", r"\\&.", safe)
