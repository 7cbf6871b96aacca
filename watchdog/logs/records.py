"""Which lines begin a record and which belong to the one before."""

import re
from enum import Enum

from watchdog.logs.formats import body, level_as, level_of_body, strip
from watchdog.logs.levels import Level

_BLANKS = frozenset({b" ", b"\t"})


class Context(Enum):
    """What the lines so far leave open."""

    START = "no record yet"
    RECORD = "a record has begun"
    TRACEBACK = "in a traceback, whose exception is still to come"


_CONTINUES = re.compile(
    rb"(?P<opens>[ \t|+]*(?:Exception Group )?Traceback \()|(?P<indented>[ \t]|$)"
    rb"|[])}]++[,;]?$|Caused by\b|During handling of the above|The above exception was"
    rb"|\.\.\. [0-9]+ (?:more|common)"
    rb"|[A-Za-z_][\w$]*+\.[\w$.]*+(?:(?<=Error)|(?<=Exception))(?::|$)"  # with its package: Java's first line
)
_EXCEPTION = re.compile(rb"[A-Za-z_][\w.]*+(?::|$)")
# Python 3.11 is slow to look up a member, and these are asked of every line.
_NONE = Level.NONE
_START, _RECORD, _TRACEBACK = Context


def is_continuation(line: bytes, context: Context) -> bool:
    """
    Say whether *line*, which has no level, belongs to the record before it.

    Indented and empty lines, closing brackets and the words of a traceback do. After a
    traceback so does one more line, the exception itself. A file's first line never does.
    """
    return context is not _START and _continued(body(strip(line)), context) is not None


def follow(line: bytes, format: str, context: Context) -> tuple[Level | None, Context]:
    """
    Read one *line* after *context*: the level of the record that it begins, and the next context.

    The level is None for a line that begins no record.
    """
    if context is not _START:  # what most lines without a level are is told without a regex
        if line.startswith(b"Traceback ("):
            return None, _TRACEBACK
        if line[:1] in _BLANKS and b"Traceback (" not in line:
            return None, context
    line = strip(line)
    level = level_as(format, line)
    if level is not _NONE:
        return level, _RECORD
    text = body(line)
    level = level_of_body(text)
    if level is not _NONE:
        return level, _RECORD
    if not line or line.isspace():
        return None, context
    after = _continued(text, context)
    if context is _START:
        opens = after is _TRACEBACK and text[:1] not in _BLANKS
        return level, _TRACEBACK if opens else _RECORD
    return (None, after) if after else (level, _RECORD)


def _continued(text: bytes, context: Context) -> Context | None:
    """Return the context after *text* if it goes on with the record before, else None."""
    match = _CONTINUES.match(text)
    if match is None:
        ends = context is _TRACEBACK and _EXCEPTION.match(text)
        return _RECORD if ends else None
    if match.lastgroup == "opens":
        return _TRACEBACK
    return context if match.lastgroup == "indented" else _RECORD
