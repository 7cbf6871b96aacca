"""What a regex's text tells of its matches, without looking at any."""

import re

_CLASS = re.compile(r"\[\^?\]?(?:\\.|\[:\^?[a-z]+:\]|[^\]\\])*\]")
_PLAIN_ESCAPE = re.compile(r"\\[dDwWsSbB\W_]")
_REPEAT = r"(?:[*?]|\{[0-9]+(?:,[0-9]*)?\})"
_NOT_LITERAL = re.compile(rf"[\s\S]{_REPEAT}|[.^$+*?]")
_GROUP = re.compile(rf"\([^()]*\){_REPEAT}?")
_DIGIT = re.compile(rf"(?:\\.|{_REPEAT}|\(\?P?<\w*>)|(?P<kind>{_CLASS.pattern})|(?P<digit>[0-9])", re.DOTALL)
_ENDS = re.compile(r"\\[AzC]|\(\?[a-zA-Z]*-[a-zA-Z]*m")  # \C is any byte, even a line end
_SHORTEST_LITERAL = 3
_MEANT = 0x100000  # where a sign that is escaped is put, in a plane without characters


def is_for_one_line(text: str) -> bool:
    """Say whether the regex *text* may tell a line's beginning and end from those in a block of lines."""
    return _ENDS.search(text) is not None


def is_plain(text: str) -> bool:
    """Say whether the regex *text* is nothing but its literal."""
    literal = required_literal(text)
    return bool(literal) and re.sub(r"\\([^\w\s])", r"\1", text) == literal.decode()


def required_literal(text: str) -> bytes:
    """Find the longest run of plain characters that every match of the regex *text* contains."""
    longest = max(_runs(text), key=len)
    return _as_meant(longest) if len(longest) >= _SHORTEST_LITERAL else b""


def deciding_literal(text: str) -> bytes:
    """
    Find the literal that every match of the regex *text* contains once, with all digits that matter.

    Empty if there is none, or if digits matter elsewhere too.
    """
    apart = _set_apart(text)
    for run in _runs(text):
        if re.search("[0-9]", run) and apart.count(run) == 1 and is_blind_to_digits(apart.replace(run, "")):
            return _as_meant(run)
    return b""


def loosen(text: str) -> str:
    """Write the regex *text* so that any digit will do where it wants a certain one, or nothing at all."""
    loose = _DIGIT.sub(_any_digit, text)
    return loose if is_blind_to_digits(loose) else ""


def is_blind_to_digits(text: str) -> bool:
    """Say whether it makes no difference to the regex *text* which digit stands where."""
    rest = _CLASS.sub(lambda found: re.sub(r"(?<!-)0-9", "", found[0]), _set_apart(text))
    rest = re.sub(r"\{[0-9]+(?:,[0-9]*)?\}", "", rest)
    return not re.search(r"[0-9]|\\[a-zA-Z]", _PLAIN_ESCAPE.sub("", rest))


def _any_digit(found: re.Match[str]) -> str:
    if found["digit"]:
        return "[0-9]"
    if found["kind"] and not is_blind_to_digits(found[0]):
        return "."
    return found[0]


def _set_apart(text: str) -> str:
    """Replace each sign that is escaped in *text* by one that means nothing to a regex."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", lambda found: chr(_MEANT + ord(found[1])), text)


def _as_meant(run: str) -> bytes:
    return "".join(chr(ord(sign) - _MEANT) if ord(sign) >= _MEANT else sign for sign in run).encode()


def _runs(text: str) -> list[str]:
    """Find the runs of plain characters, escaped ones set apart, that every match of *text* contains."""
    if re.search(r"\(\?[a-zA-Z]", text):
        return [""]  # flags, or a name
    rest = _CLASS.sub("\n", _set_apart(text))
    if re.search(r"\\[a-zA-Z0-9_]", _PLAIN_ESCAPE.sub("", rest)):
        return [""]  # \x41, \pN, \Q
    rest = re.sub(r"\\.", "\n", rest)
    while (fewer := _GROUP.sub("\n", rest)) != rest:
        rest = fewer
    if any(sign in rest for sign in "|()"):
        return [""]
    return re.split(r"[\r\n]", _NOT_LITERAL.sub("\n", rest))
