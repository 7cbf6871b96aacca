"""
What an error is, apart from when, where and with which plain: its template.

Numbers, IDs, hex, paths, addresses, times and quoted texts become placeholders, so that a thousand
errors of one kind are one line. What tells kinds apart stays: short numbers behind `code`, `status`
or `HTTP`, and the names that a program quotes of itself (an argument, an attribute, a column).
"""

from __future__ import annotations

import json
import re
from typing import Any

from watchdog.logs.formats import BARE, FORMATS, body, level_of, strip
from watchdog.logs.levels import WORDS, Level
from watchdog.logs.redact import MASK, redact

LONGEST_TEMPLATE = 200
LONGEST_PLAIN = 300
"""So much of a line decides; it is what a tally tells error lines apart by. JSON is read whole."""
MOST_CACHED = 5_000
NOTHING = "(no text)"
_CODED = ""  # no template

_LOOKED_AT = 600  # characters of a message; more than ever end up in a template
_MOST_TRIES = 6  # parts of a header behind its level
_DIGITS = bytes(ord("0") if byte in b"0123456789" else byte for byte in range(256))
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?")

# ---- the header --------------------------------------------------------------------------------

_CLOCK = r"[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?"
_DATE = r"(?:[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}|[0-9]{2}[-/][0-9]{2}|[0-9]{1,2}[ /-][A-Z][a-z]{2}[ /-][0-9]{4})"
_ZONE = r"(?: ?(?:Z|UTC|GMT|CET|CEST|[+-][0-9]{2}:?[0-9]{2}))?"
_MOMENT = (
    rf"(?:{_DATE}[T :]{_CLOCK}{_ZONE}|{_CLOCK}{_ZONE}"
    rf"|(?:[A-Z][a-z]{{2}} )?[A-Z][a-z]{{2}} [ 0-9][0-9] {_CLOCK}(?: [0-9]{{4}})?)"
)
_WORD = "|".join(sorted((word.decode() for word in WORDS), key=len, reverse=True))
_BEFORE = re.compile(  # before a level, or where there is none
    rf"[\s|:,-]*(?:[\[(<]?{_MOMENT}[\])>]?(?=[\s|\]:,-]|$)|\[\s*(?i:{_WORD})\s*\]|(?:{_WORD})(?=[\s|:\]]|$))"
)
_BEHIND = re.compile(  # between the level and the message
    r"[\s|:,>-]*(?:"
    rf"\[?{_MOMENT}\]?(?=[\s|\]:,-])|"
    r"[0-9]{1,10} +[\w.-]+:[0-9]+\] |"  # glog: thread, file and line
    r"[0-9]+#[0-9]+: (?:\*[0-9]+ )?|"  # nginx: process and thread
    r"\[[0-9 #:-]+\] *:?|\[pid [^]]{1,40}\]|\(?\[? *[0-9]{1,7} *\]?\) *:|"
    r"[\w.$:<>-]{1,80}\s*\|\s|"
    r"\[[^][\s]{1,60}\] +[\w$-]+(?:\.[\w$-]+)+ (?:-|:) |"
    r"[\w$<>-]+(?:[.:][\w$<>-]+)+(?:\(\))? +- |__\w+__(?: *[:|-] | +)"
    r")"
)
_GAPS = " \t|:-,>"


def _plain_message(line: bytes, format: str) -> str:
    """Return what *line* says behind its time, level and logger."""
    line = line[:LONGEST_PLAIN]
    text = body(line)
    for read, pattern in ((line, FORMATS[format]), *((text, pattern) for pattern in FORMATS.values())):
        header = pattern.match(read)
        if header and header.lastindex and level_of(header) is not Level.NONE:
            return _drop(_text(read[header.end() :]), _BEHIND)
    return _drop(_drop(_text(text), _BEFORE), _BEHIND)


def _drop(text: str, part: re.Pattern[str]) -> str:
    """Take parts of a header off the beginning of *text*, unless nothing would be left."""
    at = 0
    for _ in range(_MOST_TRIES):
        found = part.match(text, at)
        if found is None or not text[found.end() :].strip(_GAPS):
            break
        at = found.end()
    return text[at:].lstrip(_GAPS) if at or text[:1] in _GAPS else text


def _text(line: bytes) -> str:
    return _ESCAPES.sub("", line.decode("utf-8", "replace"))


# ---- messages with fields ----------------------------------------------------------------------

_MESSAGE_KEYS = ("msg", "message", "log", "MESSAGE", "short_message", "@message", "text", "event", "title")
_CAUSE_KEYS = ("error", "err", "exception", "exc_info", "reason", "cause")
_CODE_KEYS = ("code", "status", "status_code", "errno", "error_code", "exit_status")
_JSON_TEXT = re.compile(r'"(?:msg|message|log|event)"\s*:\s*"((?:[^"\\]|\\.)*+)')
_LOGFMT = re.compile(r'([A-Za-z_@][\w.@]*)=("(?:[^"\\]|\\.)*+"?|[^\s"]*)')


def _json_message(text: str) -> str:
    """Return what the JSON object that begins *text* says: its message, its cause, its code."""
    try:
        record, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        found = _JSON_TEXT.search(text)  # cut off, or followed by what is none
        return found[1].replace("\\n", " ").replace('\\"', '"') if found else text
    return _fields_message(record) if isinstance(record, dict) else text


def _fields_message(fields: dict[str, Any]) -> str:
    message = next((said for key in _MESSAGE_KEYS if (said := _said(fields.get(key)))), "")
    cause = next((said for key in _CAUSE_KEYS if (said := _said(fields.get(key)))), "")
    codes = [f"{key}={fields[key]}" for key in _CODE_KEYS if isinstance(fields.get(key), str | int)]
    parts = [message, "" if cause in message else cause, " ".join(codes)]
    return " | ".join(part for part in parts if part) or ", ".join(map(str, fields))


def _said(value: object) -> str:
    """Return the first line of what a field says; of a nested error its own message."""
    if isinstance(value, dict):
        return _fields_message(value)
    text = value.strip() if isinstance(value, str) else ""
    lines = text.split("\n")
    return lines[-1] if text.startswith("Traceback (") else lines[0]


def _logfmt_message(text: str) -> str:
    fields = {key: value.strip('"') for key, value in _LOGFMT.findall(text)}
    return _fields_message(fields) if any(key in fields for key in _MESSAGE_KEYS) else text


# ---- masking -----------------------------------------------------------------------------------

_UNITS = r"(?:ns|us|µs|ms|s|sec|min|m|h|d|[kKMGT]i?[bB]?|B|bytes|%|bps?|x)?"
_NUMBER = rf"[0-9]+(?:[.,:][0-9]+)*(?:[eE][+-]?[0-9]+)?{_UNITS}(?![A-Za-z])"
_QUOTES = ("USDT", "USDC", "BUSD", "FDUSD", "TUSD", "USD", "PERP")
_COIN = "|".join(_QUOTES)
_CODE = (
    r"(?i:\b(?:code|status|errno|error|err|retcode|exit[ _](?:code|status)|http(?:/[0-9.]+)?|signal|rc))"
    r"(?:\\?[\"'])?\]?(?: ?[=:] ?|[ (\[])\\?[\"'(\[]?-?[0-9]{1,5}(?:/[A-Z]+)?(?![\w.:])"
)
_MASKS: tuple[tuple[str, str], ...] = (  # what stays or what it becomes; the first that matches wins
    (
        r"\b(?:attribute|arguments?:?|named|name|module|function|method|column|relation|field|KeyError:)"
        r" (?:['\"`‘][A-Za-z_][A-Za-z_.]{0,40}['\"`’](?:, and |, | and )?)+",
        "",
    ),
    (_CODE, ""),
    (r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", "<id>"),
    (rf"\b(?:{_MOMENT})(?!\w)|\b[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}\b", "<time>"),
    (r"\b[A-Za-z][\w+.-]*://[^\s'\"<>)\]}]+", "<url>"),
    (r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", "<email>"),
    (r"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?::[0-9]+|/[0-9]{1,2})?(?![\w.])", "<ip>"),
    (r"(?<![\w:])(?:[0-9a-fA-F]{0,4}:){3,7}[0-9a-fA-F]{0,4}(?![\w:])", "<ip>"),
    (r"(?<!\w)\"(?:[^\"\\]|\\.)*\"|(?<!\w)'(?:[^'\\]|\\.)*'(?!\w)", "<str>"),
    (r"\\\"(?:[^\"\\]|\\[^\"])*\\\"", "<str>"),
    (r"`[^`]*`|‘[^’]*’|“[^”]*”", "<str>"),
    (r"\b0[xX][0-9a-fA-F]+\b", "<hex>"),
    (r"(?<![\w/<])(?:~|\.{1,2})?(?:/[\w.@%+~-]+)+/?(?!\w)|\b[A-Za-z]:\\[^\s'\"<>|]+", "<path>"),
    (r"(?<![\w/.-])[\w.-]+(?:/[\w.-]+)+\.[A-Za-z]{1,5}\b", "<path>"),
    (
        r"(?i:\b(\w*_id|\w*uuid|id|trace_?id|request_?id|plan|order|symbol|user|consumer|nonce|sha|hash))"
        r"=[^\s,;)\]}'\"<>|]+",
        r"\1=<id>",
    ),
    (rf"\b[A-Z0-9]{{1,12}}(?:[-/_]?(?:{_COIN})|[-/](?:BTC|ETH|EUR))(?:[-_](?:PERP|[0-9]+))?\b", "<symbol>"),
    (r"\b[0-9]{13}-[0-9]+\b", "<id>"),
    (r"\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{7,}\b", "<hex>"),
    (r"\b(?=[0-9A-F]*[0-9])(?=[0-9A-F]*[A-F])[0-9A-F]{8,}\b", "<hex>"),
    (r"\b(?=[A-Za-z0-9]*(?:[0-9][A-Za-z]+[0-9]|[A-Za-z][0-9]+[A-Za-z]+[0-9]))[A-Za-z0-9]{6,}\b", "<id>"),
    (rf"(?<![\w.])[-+]?[$€£]?{_NUMBER}", "<n>"),
    (r"[0-9]+", "<n>"),
)


def _compile() -> tuple[re.Pattern[str], dict[int, str]]:
    """Join `_MASKS` into one pattern: a text is gone through once, however many there are."""
    parts, becomes, group = [], {}, 0
    for pattern, replacement in _MASKS:
        group += 1
        becomes[group] = replacement
        parts.append(f"({pattern})")
        group += re.compile(pattern).groups
    return re.compile("|".join(parts)), becomes


_ONE, _BECOMES = _compile()
_CODES = re.compile(_CODE.encode())
_LIST = re.compile(r"(<[a-z]+>)(?:(?:[,;/|xX:-] ?| )\1)+")
_BLANK = re.compile(r"\s+")


def _mask(found: re.Match[str]) -> str:
    group = found.lastindex or 0
    becomes = _BECOMES[group]
    if not becomes:
        return found[0]
    if becomes.startswith("\\1"):
        return found[group + 1] + becomes[2:]
    return becomes


def template_of(line: bytes, format: str = BARE) -> str:
    """
    Return what kind of error *line* is, read as *format* first: at most `LONGEST_TEMPLATE` characters.

    It is on one line, printable and without secrets; the same kind of error gives the same text.
    """
    line = strip(line)
    text = body(line)
    if text[:1] == b"{":
        message = _json_message(_text(text))
    else:
        message = _plain_message(line, format)
        if "msg=" in message or "message=" in message:
            message = _logfmt_message(_text(text))
    return _masked(message)


def _masked(message: str) -> str:
    shown = redact(message[:_LOOKED_AT]).replace(MASK, "<secret>")
    masked = _LIST.sub(r"\1", _ONE.sub(_mask, shown))
    text = _BLANK.sub(" ", "".join(sign if sign.isprintable() else " " for sign in masked)).strip()
    return _cut(text) if text else NOTHING


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEMPLATE else text[: LONGEST_TEMPLATE - 1] + "…"


def masked(line: bytes) -> bytes:
    """Return what error lines are told apart by: *line* without its plain."""
    return line[:LONGEST_PLAIN].translate(_DIGITS)


def codes(line: bytes) -> bytes:
    """Return the codes of *line*, whose digits make it another error."""
    return b"\0".join(_CODES.findall(line))


class Templates:
    """
    `template_of`, remembered by what a line is with its digits masked.

    Between two calls of `renew` a bounded number of lines is worked out; the template of any other is
    None, so that a flood of ever new lines costs a bounded time.
    """

    def __init__(self) -> None:
        self._left = 0
        self._known: dict[bytes, str] = {}
        self._raised: dict[str, str] = {}  # by the first line alone, what it came with last

    def renew(self, most: int) -> None:
        """Allow *most* new lines from here on."""
        self._left = most

    def of(self, line: bytes, format: str = BARE) -> str | None:
        """Return the template of *line*."""
        key = plain = masked(line)
        known = self._known.get(key)
        if known == _CODED:
            key = plain + codes(line)
            known = self._known.get(key)
        if known is not None:
            return known
        if self._left <= 0:
            return None
        self._left -= 1
        found = template_of(line, format)
        if len(self._known) >= MOST_CACHED:
            self._known.clear()
        if any(sign in "0123456789" for sign in found):  # another code gives another template
            self._known[plain] = _CODED
            key = plain + codes(line)
        self._known[key] = found
        return found

    def of_record(self, key: bytes, sample: bytes, format: str = BARE) -> str | None:
        """
        Return the template of an error record as a tally knows it, with that of its exception behind it.

        A record whose exception was cut off is taken for what that line came with before.
        """
        if len(key) >= LONGEST_PLAIN:
            return self.of(sample, format)
        first = self.of(sample[: len(key)], format)
        exception = sample[len(key) :].removeprefix(b" | ")
        if first is None:
            return None
        if not exception:
            return self._raised.get(first, first)
        ended = self.of(exception)
        if ended is None:
            return first
        if len(self._raised) >= MOST_CACHED:
            self._raised.clear()
        self._raised[first] = found = _cut(f"{first} | {ended}")
        return found
