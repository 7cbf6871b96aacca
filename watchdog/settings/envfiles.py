r"""
Env files as systemd reads an EnvironmentFile: what the service gets, and what its author hardly meant.

systemd is no shell: a comment behind a value is part of it, nothing is filled in for ``${NAME}``, and a
line that cannot be read is passed over in silence. `read_env` says both. Time is linear in the text,
whatever that holds; tests/signals hold it against what systemd itself read.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

_SKIPPED = re.compile(r"[ \t\r\n]*+(?P<comment>[#;][^\r\n]*+)?")
_KEY = re.compile(r"(?P<key>[^\r\n][^=\r\n]*+)(?P<sign>=?)")
_QUOTED = re.compile(
    r"""[ \t]*+(?:'(?P<single>[^']*+)(?P<end1>'|\Z)|"(?P<double>(?:[^"\\]++|\\.)*+)(?P<end2>"|\\?\Z))""",
    re.DOTALL,
)
_BARE = re.compile(r"[ \t]*+(?P<text>(?:[^\\\r\n]++|\\(?:.|\Z))*+)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_NOT_TEXT = re.compile(
    "[\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
    + "]"
)
"""Bytes that were no UTF-8, and what Unicode says is no sign: systemd takes neither."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A value as the service gets it, and the line its key stands in."""

    value: str
    line: int


@dataclass(frozen=True, slots=True, order=True)
class Remark:
    """One thing in the text that somebody hardly meant: where, of which kind, what, and the cure."""

    line: int
    column: int
    kind: str
    what: str
    cure: str


@dataclass(frozen=True, slots=True)
class EnvText:
    """
    What an env file says.

    *settings* holds the last value of each key; *refused*, if not None, is why systemd takes nothing
    of the file at all.
    """

    settings: Mapping[str, Setting]
    remarks: tuple[Remark, ...] = ()
    refused: Remark | None = None


NO_SETTINGS: Mapping[str, Setting] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Statement:
    """
    What stands between two ends of line that count: a key with its value, or something without ``=``.

    *begin*, *at* and *end* are where the key begins, where the value begins, and where it ends.
    """

    key: str
    signed: bool
    begin: int
    at: int
    end: int
    value: str = ""
    bare: str = ""
    bare_at: int = 0
    quotes: str = ""
    open_at: int | None = None

    @property
    def name(self) -> str | None:
        """Return the key if a variable can be called so."""
        key = self.key.rstrip(" \t")
        return key if self.signed and _NAME.fullmatch(key) else None


def read_env(text: str) -> EnvText:
    """Return what systemd (254 or later) reads from *text*, whose bytes were decoded with surrogateescape."""
    if "\0" in text:
        line, column = _Lines(text).place(text.index("\0"))
        what = "a NUL byte, so systemd refuses the file as a whole"
        return EnvText(NO_SETTINGS, refused=Remark(line, column, "refused", what, "remove it"))
    found = tuple(statements(text))
    lines = _Lines(text)
    for one in found:
        if one.signed and _NOT_TEXT.search(one.key + one.value):
            what = "is not UTF-8, so systemd refuses the file as a whole"
            return EnvText(
                NO_SETTINGS, refused=Remark(*lines.place(one.begin), "refused", what, "save it as UTF-8")
            )
    settings = {s.name: Setting(s.value, lines.place(s.begin)[0]) for s in found if s.name}
    return EnvText(settings, tuple(sorted(_remarks(text, found, lines))))


def statements(text: str) -> Iterator[Statement]:
    """Yield the statements of *text* in their order; comments are passed over."""
    position = 0
    while position < len(text):
        skipped = _SKIPPED.match(text, position)
        assert skipped is not None
        position = skipped.end()
        key = None if skipped["comment"] is not None else _KEY.match(text, position)
        if key is None:
            continue
        begin, position = position, key.end()
        if not key["sign"]:
            yield Statement(key["key"], False, begin, position, position)
            continue
        one = _with_value(text, key["key"], begin, position)
        yield one
        position = one.end


def _with_value(text: str, key: str, begin: int, at: int) -> Statement:
    """Return the statement whose value begins *at*: quoted parts, then a bare rest."""
    parts, quotes, open_at, position = [], "", None, at
    while (match := _QUOTED.match(text, position)) is not None:
        plain = match["single"]
        parts.append(re.sub(r'\\(["\\`$\n])', _unescape, match["double"]) if plain is None else plain)
        quotes += "'" if plain is not None else '"'
        if not (match["end1"] or "").startswith("'") and not (match["end2"] or "").startswith('"'):
            open_at = match.end() - len(match[0].lstrip(" \t"))
        position = match.end()
    bare = _BARE.match(text, position)
    assert bare is not None
    kept = bare["text"].rstrip(" \t")
    if len(kept) < len(bare["text"]) and (len(kept) - len(kept.rstrip("\\"))) % 2:
        kept = bare["text"][: len(kept) + 1]  # an escaped blank at the end stays
    parts.append(re.sub(r"(?s)\\(.?)", _unescape, kept))
    return Statement(
        key, True, begin, at, bare.end(), "".join(parts), kept, bare.start("text"), quotes, open_at
    )


def _unescape(match: re.Match[str]) -> str:
    return match[1].strip("\r\n")  # an escaped end of line is none at all


class _Lines:
    """Where the lines of a text end."""

    def __init__(self, text: str) -> None:
        self._ends = [match.start() for match in re.finditer("\n", text)]

    def place(self, position: int) -> tuple[int, int]:
        """Return line and column of *position*."""
        before = bisect_left(self._ends, position)
        return before + 1, position - (self._ends[before - 1] if before else -1)


# ---- what was hardly meant ---------------------------------------------------------------------------

_COMMENT = re.compile(r"[ \t](?=#)|[ \t](?=;\s)|^(?=#\s)")
_AFTER_QUOTES = re.compile("(?=#)")
_LOST_BACKSLASH = re.compile(r"(?<!\\)(?:\\\\)*+\\[^\\\s\"'`$#;=&|<>()*?!~]")
_VARIABLE = re.compile(r"(?<!\$)\$(?:\{[A-Za-z_]|\([a-z])")
_SHELL_QUOTES = re.compile(r"""^[\w./:-]+(["'])[^"']*+\1""")
_INVISIBLE = re.compile("[\u00a0\u00ad\u200b-\u200f\u2028\u2029\u202a-\u202e\u2060-\u2064\ufeff]")
_TYPOGRAPHIC = ("“", "”", "„", "‘", "’", "«")
_SHOWABLE = re.compile(r"[A-Z0-9_.\- ]{1,40}|[a-z0-9_.\- ]{1,40}")
_LINE_IN_VALUE = re.compile(r"\n[ \t]*+(?P<key>[A-Z_][A-Z0-9_]*+)=(?![=\s]|\Z)")  # no end of a PEM key
_COMMENT_BEFORE_MORE = re.compile(r"^[ \t]*+[#;](?P<text>[^\r\n]*+)\r?\n(?=[ \t]*+[^\s#;])", re.MULTILINE)

Hint = tuple[int, str, str, str]
"""Where in the text, of which kind, what, and the cure."""


def _remarks(text: str, found: tuple[Statement, ...], lines: _Lines) -> Iterator[Remark]:
    for position, kind, what, cure in (*_of_the_text(text), *_of_keys_twice(found, lines)):
        yield Remark(*lines.place(position), kind, what, cure)
    for one in found:
        begins = text.rfind("\n", 0, one.begin) + 1
        for position, kind, what, cure in _of_one(
            one, text[max(begins, one.begin - 64) : one.begin], text, lines
        ):
            yield Remark(*lines.place(position), kind, what, cure)


def _of_the_text(text: str) -> Iterator[Hint]:
    if text.startswith("\ufeff"):
        what = "the file begins with a byte order mark, so systemd skips its first line"
        yield 0, "byte-order-mark", what, "save it as UTF-8 without one"
    crlf = text.count("\r\n")
    if crlf:
        lines = f"{crlf} lines end" if crlf > 1 else "1 line ends"
        what = f"{lines} in CRLF, and all but systemd take the CR for a part of the value"
        yield text.index("\r\n"), "crlf", what, "save it with the ends of line of Unix: sed -i 's/\\r$//'"
    for comment in _COMMENT_BEFORE_MORE.finditer(text):
        if (len(comment["text"]) - len(comment["text"].rstrip("\\"))) % 2:
            what = "the comment ends in a backslash, so systemd before 254 skips the next line, too"
            yield comment.end("text") - 1, "comment-continues", what, "remove the backslash"


def _of_keys_twice(found: tuple[Statement, ...], lines: _Lines) -> Iterator[Hint]:
    first: dict[str, Statement] = {}
    for one in found:
        if (name := one.name) is None:
            continue
        before = first.setdefault(name, one)
        if before is not one:
            line = lines.place(before.begin)[0]
            same = (
                "with the same value" if before.value == one.value else "with another value; this one counts"
            )
            yield one.begin, "key-twice", f"{name} is set twice, in line {line} {same}", "remove one of them"


def _of_one(one: Statement, before: str, text: str, lines: _Lines) -> Iterator[Hint]:
    """Yield what is to be said of one statement; *before* is what stands in front of it in its line."""
    key = one.key.rstrip(" \t")
    if not one.signed:
        yield one.begin, "no-equals", "a line without = is skipped", "write KEY=value, or # in front of it"
        return
    if one.name is None:
        if not key.startswith("\ufeff"):
            yield one.begin, "bad-name", *_of_a_name(key)
        return
    if before.strip(" \t") == "" and before:
        yield (
            one.begin,
            "leading-space",
            f"blanks in front of {key}, which not every reader skips",
            "remove them",
        )
    if key != one.key or text[one.at : one.at + 1] in (" ", "\t"):
        what = f"blanks around the = of {key}, which systemd drops and a shell refuses"
        yield one.begin, "space-around-equals", what, "remove them"
    yield from _of_a_value(one, key, text, lines)


def _of_a_name(key: str) -> tuple[str, str]:
    first, _, rest = key.partition(" ")
    if first == "export" and _NAME.fullmatch(rest.strip()):
        return f"export is for a shell; systemd skips {rest.strip()}", "remove export"
    # What stands before a = may be a piece of a secret that lost its quotes.
    shown = f'"{key}"' if _SHOWABLE.fullmatch(key) else "what stands before this ="
    return f"{shown} cannot be the name of a variable, so it is skipped", "use letters, digits and _"


def _of_a_value(one: Statement, key: str, text: str, lines: _Lines) -> Iterator[Hint]:
    if one.open_at is not None:
        what = f"the quote that {key} opens never ends: the rest of the file is its value"
        yield one.open_at, "open-quote", what, "close it"
    raw = text[one.at : one.end]
    swallowed = _LINE_IN_VALUE.search(raw)
    if swallowed is not None:
        line = lines.place(one.at + swallowed.start("key"))[0]
        what = f"{swallowed['key']} in line {line} is part of the value of {key}"
        yield (
            one.at,
            "swallowed-line",
            what,
            "close the quote, or remove the backslash at the end of the line",
        )
    comment = _COMMENT.search(one.bare) or (_AFTER_QUOTES.match(one.bare) if one.quotes else None)
    if comment is not None:
        what = f"the comment behind {key} is part of its value"
        yield one.bare_at + comment.start(), "inline-comment", what, "put it in a line of its own"
    value = one.value
    doubled = len(value) > 1 and value[0] in "\"'" and value[0] == value[-1] and bool(one.quotes)
    shell = _SHELL_QUOTES.search(one.bare) if not one.quotes else None
    odd = one.bare.replace('\\"', "").count('"') % 2 == 1
    if doubled or shell or odd or value.startswith(_TYPOGRAPHIC):
        what = f"quotes inside the value of {key} are part of it"
        yield one.at, "quotes-inside", what, "quote the whole value once, or not at all"
    if _LOST_BACKSLASH.search(one.bare):
        what = f"systemd drops the backslash in the value of {key}"
        yield one.at, "lost-backslash", what, "write \\\\, or put the value in single quotes"
    if _VARIABLE.search(raw) and one.quotes != "'":
        what = f"systemd fills nothing in for the ${{…}} or $(…) in {key}"
        yield one.at, "not-expanded", what, "write the value itself, or put it in single quotes"
    if _INVISIBLE.search(value):
        what = f"the value of {key} holds a sign that nobody sees"
        yield one.at, "invisible-sign", what, "type the value anew"
