"""Which lines begin a record and which belong to the one before."""

import re
from enum import Enum

from watchdog.logs.formats import body, level_as, level_of_body, level_of_priority, strip
from watchdog.logs.levels import Level
from watchdog.logs.shapes import POSTGRESQL, TIME

_BLANKS = frozenset({b" ", b"\t"})


class Context(Enum):
    """What the lines so far leave open."""

    START = "no record yet"
    RECORD = "a record has begun"
    TRACEBACK = "in a traceback, whose exception is still to come"
    PANIC = "a panic was announced, whose reason is still to come"
    DUMP = "in a dump of goroutines, whose calls stand at the margin"


_CONTINUES = re.compile(
    rb"(?P<traceback>Traceback \()|(?P<indented>[ \t]|$)|(?P<dump>goroutine [0-9]+ [^\n]*\[[^]\n]*\]:$)"
    # java.util.logging puts the level on a line of its own, behind the date and the source.
    rb"|(?P<date>[A-Z][a-z]{2} [0-9]{1,2}, [0-9]{4} [0-9]{1,2}:[0-9:]{5} [AP]M [\w.$]++(?: [\w$<>]++)?$)"
    rb"|(?P<panic>thread '[^'\n]*+' (?:\([0-9]++\) )?panicked at [^ \n]++$)"
    rb"|[])}]++[,;]?$|Caused by\b|Suppressed:|Wrapped by:|During handling of the above"
    rb"|The above exception was|\.\.\. [0-9]+ (?:more|common)|--- End of (?:inner exception )?stack trace"
    rb"|[A-Za-z_][\w$]*+\.[\w$.]*+(?:(?<=Error)|(?<=Exception))(?::|$)"  # with its package: Java's first line
    rb"|\[signal SIG|\[recovered\]|note: run with `RUST_BACKTRACE|stack backtrace:$"
    rb"|[^ \n:]++:[0-9]++:in [`']|(?:PHP )?Stack trace:$|PHP message: |\[(?:stacktrace|previous exception)\]"
    rb"|#[0-9]++ (?:/|\{main\}|\[internal|Command line|0x)|\"\}"
    rb"|(?:[\w.-]++/[\w./@-]++|main\.[\w(])[\w.(*)\[\]{}]*+$"  # a Go function above its file
    rb"|" + TIME + POSTGRESQL + rb"(?:DETAIL|HINT|CONTEXT|STATEMENT|QUERY|LOCATION):  "
)
_EXCEPTION = re.compile(rb"[A-Za-z_][\w.]*+(?::|$)")
_CALL = re.compile(
    rb"[^ \n(]++(?:\(\*[^)\n]*+\)[^ \n(]*+)?+\([^\n]*\)$|created by |goroutine |exit status [0-9]"
)
_AFTER = {"traceback": Context.TRACEBACK, "dump": Context.DUMP, "panic": Context.PANIC}
_OPENS = frozenset(_AFTER.values())
_BEGINNINGS = frozenset({None, Context.PANIC})
# Python 3.11 is slow to look up a member, and these are asked of every line.
_NONE = Level.NONE
_START, _RECORD, _TRACEBACK, _PANIC, _DUMP = Context


def is_continuation(line: bytes, context: Context) -> bool:
    """
    Say whether *line*, which has no level, belongs to the record before it.

    Indented and empty lines, closing brackets and the words of a traceback do. After a
    traceback so does one more line, the exception itself. A file's first line never does.
    """
    text = body(strip(line))
    return context is not _START and _after(_CONTINUES.match(text), text, context) not in _BEGINNINGS


def follow(line: bytes, format: str, context: Context) -> tuple[Level | None, Context]:
    """
    Read one *line* after *context*: the level of the record that it begins, and the next context.

    The level is None for a line that begins no record.
    """
    if context is not _START:  # what most lines without a level are is told without a regex
        if line.startswith(b"Traceback ("):
            return None, _TRACEBACK
        if line[:1] in _BLANKS:
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
    if not text and line[-1:] == b"]":  # RFC 5424 without a message: all is in the structured data
        return level_of_priority(line), _RECORD
    kind = _CONTINUES.match(text)
    if kind and kind.lastgroup == "date":
        return None, context
    after = _after(kind, text, context)
    if after and context is not _START and after is not _PANIC:
        return None, after
    level = level_of_priority(line) if line[:1] == b"<" else _NONE
    return level, after if after in _OPENS else _RECORD


def _after(kind: re.Match[bytes] | None, text: bytes, context: Context) -> Context | None:
    """Return the context after *text*, which is of that *kind*, or None if it is a plain line of its own."""
    if kind is None:
        if context is _TRACEBACK:
            return _RECORD if _EXCEPTION.match(text) else None
        if context is _DUMP:
            return _DUMP if _CALL.match(text) else None
        return _RECORD if context is _PANIC else None
    name = kind.lastgroup or "words"
    if name == "date":
        return None
    if name == "indented":
        return context
    return _AFTER.get(name, _DUMP if context is _DUMP else _RECORD)
