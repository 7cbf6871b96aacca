"""The shapes of log lines, and the level that each says for itself."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import TypeVar

from watchdog.logs.levels import WORDS, Level, of_number
from watchdog.logs.shapes import LEVEL_KEYS, PREFIX, PREFIXES, SHAPES, Shape

BARE = "bare"
_Match = Callable[[bytes], re.Match[bytes] | None]
_K = TypeVar("_K")
_V = TypeVar("_V")


class _OnDemand(dict[_K, _V]):
    """What *make* makes of a key, once it is asked for: all recognisers take a quarter of a second."""

    def __init__(self, make: Callable[[_K], _V]) -> None:
        self._make = make

    def __missing__(self, key: _K) -> _V:
        made = self[key] = self._make(key)
        return made


class Formats(Mapping[str, re.Pattern[bytes]]):
    """The recognisers of whole lines, by the names of their formats."""

    _names = dict.fromkeys([*SHAPES, *PREFIXES, BARE])

    def __getitem__(self, name: str) -> re.Pattern[bytes]:
        if name not in self._names:
            raise KeyError(name)
        return _WHOLE[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _whole(name: str) -> re.Pattern[bytes]:
    """Return what recognises a line of the format, also behind what a collector puts in front."""
    if name in SHAPES:
        return _recogniser(rb"(?:" + PREFIX + rb")?+", SHAPES[name])
    return re.compile(PREFIXES.get(name, b""))


def _recogniser(before: bytes, shape: Shape) -> re.Pattern[bytes]:
    pattern = re.compile(before + shape.head + shape.tail)
    if shape.words:
        _OWN_WORDS[pattern] = {word.encode(): level for word, level in shape.words}
    return pattern


def _starting_with(first: bytes) -> tuple[_Match, tuple[_Match, ...]] | None:
    """Return a recogniser of all shapes that can begin with the byte *first*, and one of each, if any can."""
    names = _NAMES.get(first)
    if names is None:
        return None
    # One that reads what they have in common only once.
    runs = groupby((SHAPES[name] for name in names), key=lambda shape: shape.head)
    each = (head + rb"(?:" + rb"|".join(shape.tail for shape in run) + rb")" for head, run in runs)
    return _JOINED[rb"|".join(each)].match, tuple(_BEHIND[name].match for name in names)


FORMATS = Formats()
_NAMES = {
    bytes([byte]): tuple(name for name, shape in SHAPES.items() if byte in shape.starts)
    for byte in sorted({byte for shape in SHAPES.values() for byte in shape.starts})
}
_OWN_WORDS: dict[re.Pattern[bytes], Mapping[bytes, Level]] = {}
_WHOLE = _OnDemand(_whole)
_BEHIND = _OnDemand[str, re.Pattern[bytes]](lambda name: _recogniser(b"", SHAPES[name]))
_JOINED = _OnDemand[bytes, re.Pattern[bytes]](re.compile)
_BY_FIRST_BYTE = _OnDemand(_starting_with)

_PREFIX = re.compile(PREFIX)
_DOCKER = b'{"log":"'
_PRIORITY = re.compile(rb"<([0-9]{1,3})>")
_PINO = re.compile(rb'"(?:time"\s*:\s*[0-9]{13}\b|v"\s*:\s*[0-9])')
_RARE_KEYS = re.compile(rb'everity|"lvl"|"lo|"@l"|PRIORITY')
_LEVEL_NAME = re.compile(LEVEL_KEYS.decode())
_DRESS = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]|^\xef\xbb\xbf|^\x00+|\r+$")
LONGEST_JSON = 1 << 16
_NONE = Level.NONE  # Python 3.11 is slow to look up a member, and this is asked of every line
_NULS_OR_MARK = frozenset({b"\0", b"\xef"})


def strip(line: bytes) -> bytes:
    """Take colours, a byte order mark, the NULs of a truncated file and a carriage return off *line*."""
    if b"\x1b" in line or line[:1] in _NULS_OR_MARK or line[-1:] == b"\r":
        return _DRESS.sub(b"", _DRESS.sub(b"", line))
    return line


def body(line: bytes) -> bytes:
    """Return what the program itself wrote of *line*: without what syslog or a container put around it."""
    if line.startswith(_DOCKER):
        return _unwrap(line)
    prefix = _PREFIX.match(line)
    return line[prefix.end() :] if prefix else line


def classify(line: bytes, format: str = BARE) -> Level:
    """Say which level *line* gives itself, read as *format* first and as any other after that."""
    line = strip(line)
    level = level_as(format, line)
    if level is _NONE:
        level = level_of_body(body(line))
    return level if level is not _NONE or line[:1] != b"<" else level_of_priority(line)


def level_as(format: str, line: bytes) -> Level:
    """Say which level *format* alone finds in the stripped *line*."""
    if format not in SHAPES:
        return _NONE
    header = _WHOLE[format].match(line)
    return level_of(header) if header else _NONE


def level_of_body(text: bytes) -> Level:
    """Say which level the first format that finds one finds in *text*, a line without its prefix."""
    known = _BY_FIRST_BYTE[text[:1]]
    if known is None:
        return _NONE
    joined, each = known
    header = joined(text)
    if header is not None:
        if said := WORDS.get(header[header.lastindex or 0].upper()):
            return said
        for match in each:
            if (header := match(text)) and (level := level_of(header)) is not _NONE:
                return level
    return _parse_json(text) if text.startswith(b"{") else _NONE


def level_of(header: re.Match[bytes]) -> Level:
    """Name the level that *header* captured; none if the word is no level's."""
    word: bytes = header[1]
    if level := WORDS.get(word.upper()):
        return level
    if word.isdigit():
        return of_number(int(word), pino=_is_pino(header.string))
    return _OWN_WORDS.get(header.re, WORDS).get(word, _NONE)


def level_of_priority(line: bytes) -> Level:
    """Say which level the syslog priority before *line* stands for: for a line that says none itself."""
    priority = _PRIORITY.match(line)
    return of_number(int(priority[1]) & 7, pino=False) if priority else _NONE


def _unwrap(line: bytes) -> bytes:
    """Return the line in Docker's *line*, or *line* itself if it is not Docker's."""
    try:
        text = json.loads(line)["log"]
    except (ValueError, RecursionError):
        return line
    return strip(text.encode("utf-8", "replace").rstrip(b"\r\n")) if isinstance(text, str) else line


def _is_pino(text: bytes) -> bool:
    return b'"hostname"' in text or _PINO.search(text) is not None


def _parse_json(text: bytes) -> Level:
    """Read what the recogniser could not step over: nested values, or a null before the level."""
    if len(text) > LONGEST_JSON or not (b"lev" in text or b"Lev" in text or _RARE_KEYS.search(text)):
        return _NONE
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return _NONE
    nested = record.get("log")
    for key, value in [*record.items(), *(nested.items() if isinstance(nested, dict) else ())]:
        if isinstance(value, bool) or not _LEVEL_NAME.fullmatch(key):
            continue
        word = strip(str(value).encode("utf-8", "replace")).upper()
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
    if sum(level_as(current, line) is not _NONE for line in sample) * 2 > len(sample):
        return current
    hits = Counter(name for line in sample for name in _recognisers(body(line)))
    best = max(SHAPES, key=lambda name: hits[name])
    if hits[best]:
        return current if hits[current] * 2 >= hits[best] else best
    if current in SHAPES:
        return current
    prefixed = Counter(name for line in sample for name in PREFIXES if FORMATS[name].match(line))
    return next((name for name in PREFIXES if prefixed[name] * 2 > len(sample)), BARE)


def _recognisers(text: bytes) -> list[str]:
    """Name the formats that find a level in *text*, a line without its prefix."""
    headers = ((name, _BEHIND[name].match(text)) for name in _NAMES.get(text[:1], ()))
    return [name for name, header in headers if header and level_of(header) is not _NONE]
