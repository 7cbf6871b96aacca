"""
The shapes of log lines, and the level that each says for itself.

A recogniser matches a line's header up to and including what ends its level, and captures the
level alone. It must be decided by those bytes and blind to which digit stands where, because
`tally` counts whole headers with their digits masked instead of matching line by line.
"""

import json
import re
from collections.abc import Iterable

from watchdog.logs.levels import WORDS, Level, of_number

TIME = (
    rb"[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?"
    rb"(?: ?(?:Z|UTC|[+-][0-9]{2}:?[0-9]{2}))?"
)
SYSLOG = (
    rb"(?:<[0-9]{1,3}>)?(?:[A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}|"
    rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,18}(?:Z|[+-][0-9]{2}:?[0-9]{2}))"
    rb" [^ \n]+ [^ \n]+: "
)
STRING = rb'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"'

_LEVEL = rb"([A-Za-z]{3,13}+)"  # where punctuation says that a level is meant
_SHOUT = rb"([A-Z]{3,13}+)"  # where only its capitals tell it from a word of the message
_NAME = rb"[^ \n]+(?: [^ \n-][^ \n]*)*"

_LEVEL_KEYS = rb"(?:level|severity|lvl|levelname|log\.level|log_level|loglevel|PRIORITY|levelno)"
TIME_KEYS = rb"(?:ts|timestamp|time|@timestamp|asctime)"


def json_up_to(keys: bytes) -> bytes:
    """Match a JSON object from its brace to the value of the first of *keys* at its top level."""
    flat = rb'\{[^{}"\n]*+(?:' + STRING + rb'[^{}"\n]*+)*+\}'
    array = rb'\[[^][{}"\n]*+(?:' + STRING + rb'[^][{}"\n]*+)*+\]'
    value = rb"(?:" + STRING + rb"|" + flat + rb"|" + array + rb'|[^][{}",\n]++)'
    other = rb'"(?!' + keys + rb'")' + STRING[1:] + rb"\s*+:\s*+" + value + rb"\s*+,\s*+"
    return rb"\{\s*+(?:" + other + rb")*+" + rb'"' + keys + rb'"\s*+:\s*+'


_LOGFMT = rb"(?:(?!level=|lvl=|severity=)[A-Za-z_@.]+=(?:" + STRING + rb'|[^ "\n]*+) )*+'

_DIGITS = b"0123456789"
_CAPITALS = bytes(range(ord("A"), ord("Z") + 1))
_LETTERS = _CAPITALS + _CAPITALS.lower() + b"_@"

_BODIES = {  # name: the bytes that it can begin with, and the recogniser; the first that holds wins
    "json": (b"{", json_up_to(_LEVEL_KEYS) + rb'"?([A-Za-z]{3,13}+|[0-9]{1,2}+)"?\s*[,}]'),
    "pipe": (_DIGITS, TIME + rb" *\| *" + _LEVEL + rb" *\|"),
    "pipe-name": (_DIGITS, TIME + rb" *\| *[^|\n]+\| *" + _LEVEL + rb" *\|"),
    "dash": (_DIGITS, TIME + rb" - " + _NAME + rb" - " + _LEVEL + rb" *(?: -|:)"),
    "dash-level": (_DIGITS, TIME + rb" - " + _LEVEL + rb" *(?: -|:)"),
    "bracket": (_DIGITS, TIME + rb" *\[ *" + _LEVEL + rb" *\]"),
    "bracket-name": (_DIGITS, TIME + rb" *\[[^]\n]*\] *\[ *" + _LEVEL + rb" *\]"),
    "word": (_DIGITS, TIME + rb"[ \t]+" + _SHOUT + rb"[ \t:]"),
    "brackets": (b"[", rb"\[" + TIME + rb"\] *\[[^]\n]*\] *\[ *" + _LEVEL + rb" *\]"),
    "brackets-level": (b"[", rb"\[" + TIME + rb"\] *\[ *" + _LEVEL + rb" *\]"),
    "brackets-word": (b"[", rb"\[" + TIME + rb"\] +" + _SHOUT + rb"[ :]"),
    "level-first": (b"[", rb"\[ *" + _LEVEL + rb" *\]"),
    "level-colon": (_CAPITALS, _SHOUT + rb":(?:[^ :\n]*:| )"),
    "level-time": (_CAPITALS, _SHOUT + rb" +" + TIME),
    "logfmt": (_LETTERS, _LOGFMT + rb'(?:level|lvl|severity)="?' + _LEVEL + rb'"?(?: |\r?$)'),
}

BARE = "bare"
FORMATS: dict[str, re.Pattern[bytes]] = {
    **{name: re.compile(rb"(?:" + SYSLOG + rb")?" + shape) for name, (_, shape) in _BODIES.items()},
    "syslog": re.compile(SYSLOG),
    BARE: re.compile(b""),
}
_SYSLOG = FORMATS["syslog"]
_BEHIND = {name: re.compile(shape) for name, (_, shape) in _BODIES.items()}
_BY_FIRST_BYTE = {
    bytes([byte]): tuple(_BEHIND[name] for name, (starts, _) in _BODIES.items() if byte in starts)
    for byte in b"{[" + _DIGITS + _LETTERS
}

_PINO = re.compile(rb'"(?:time"\s*:\s*[0-9]{13}\b|v"\s*:\s*[0-9])')
_LEVEL_KEY = re.compile(_LEVEL_KEYS.decode())
_DRESS = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]|^\xef\xbb\xbf|^\x00+|\r+$")
_LONGEST_JSON = 1 << 16
_NONE = Level.NONE  # Python 3.11 is slow to look up a member, and this is asked of every line
_NULS_OR_MARK = frozenset({b"\0", b"\xef"})


def strip(line: bytes) -> bytes:
    """Take colours, a byte order mark, the NULs of a truncated file and a carriage return off *line*."""
    if b"\x1b" in line or line[:1] in _NULS_OR_MARK or line[-1:] == b"\r":
        return _DRESS.sub(b"", _DRESS.sub(b"", line))
    return line


def body(line: bytes) -> bytes:
    """Return what stands behind the syslog prefix of *line*, if it has one."""
    prefix = _SYSLOG.match(line)
    return line[prefix.end() :] if prefix else line


def classify(line: bytes, format: str = BARE) -> Level:
    """Say which level *line* gives itself, read as *format* first and as any other after that."""
    line = strip(line)
    level = level_as(format, line)
    return level if level is not _NONE else level_of_body(body(line))


def level_as(format: str, line: bytes) -> Level:
    """Say which level *format* alone finds in the stripped *line*."""
    if format not in _BODIES:
        return _NONE
    header = FORMATS[format].match(line)
    return level_of(header) if header else _NONE


def level_of_body(text: bytes) -> Level:
    """Say which level the first format that finds one finds in *text*, a line without its prefix."""
    for pattern in _BY_FIRST_BYTE.get(text[:1], ()):
        if (header := pattern.match(text)) and (level := level_of(header)) is not _NONE:
            return level
    return _parse_json(text) if text.startswith(b"{") else _NONE


def level_of(header: re.Match[bytes]) -> Level:
    """Name the level that *header* captured; none if the word is no level's."""
    word: bytes = header[1]
    if level := WORDS.get(word.upper()):
        return level
    return of_number(int(word), pino=_is_pino(header.string)) if word.isdigit() else _NONE


def _is_pino(text: bytes) -> bool:
    return b'"hostname"' in text or _PINO.search(text) is not None


def _parse_json(text: bytes) -> Level:
    """Read what the recogniser could not step over: nested values, or a null before the level."""
    if len(text) > _LONGEST_JSON:
        return _NONE
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return _NONE
    for key, value in record.items():
        if not _LEVEL_KEY.fullmatch(key) or isinstance(value, bool):
            continue
        word = str(value).upper().encode()
        if word in WORDS:
            return WORDS[word]
        if re.fullmatch(rb"[0-9]{1,2}", word):
            return of_number(int(word), pino=_is_pino(text))
    return _NONE


def detect(lines: Iterable[bytes], current: str = BARE) -> str:
    """
    Name the format that recognises most of *lines*.

    *current* is kept as long as it recognises half of what any format does: one odd line must
    not change how a file is read.
    """
    sample = [strip(line) for line in lines]
    if _hits(current, sample) * 2 > len(sample):
        return current
    hits = {name: _hits(name, sample) for name in _BODIES}
    best = max(hits, key=lambda name: hits[name])
    if hits[best]:
        return current if hits.get(current, 0) * 2 >= hits[best] else best
    if current in hits:
        return current
    prefixed = sum(1 for line in sample if _SYSLOG.match(line))
    return "syslog" if prefixed * 2 > len(sample) else BARE


def _hits(format: str, sample: list[bytes]) -> int:
    return sum(1 for line in sample if level_as(format, line) is not _NONE)
