"""
The headers that programs write before their messages, as recognisers.

A recogniser matches a line's header up to and including what ends its level, and captures the
level alone. It must be decided by those bytes and blind to which digit stands where, because
`tally` counts whole headers with their digits masked instead of matching line by line. Every
repeat in it is bounded, possessive, or ends at a byte that it cannot match: no line takes long.
"""

from dataclasses import dataclass

from watchdog.logs.levels import Level

_CLOCK = rb"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9}+)?+"
_DATE = rb"[0-9]{4}-[0-9]{2}-[0-9]{2}"
TIME = (
    rb"[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[T ][ 0-9][0-9]:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9}+)?+"
    rb"(?: ?(?:Z|UTC|[+-][0-9]{2}:?[0-9]{2}))?+"
)
_OTHER_TIME = (  # Tomcat's, Spark's, HDFS's, a clock alone, zerolog's, log4j's milliseconds
    rb"(?:[0-9]{2}-[A-Z][a-z]{2}-[0-9]{4} " + _CLOCK + rb"|[0-9]{2}/[0-9]{2}/[0-9]{2} " + _CLOCK + rb"|"
    rb"[0-9]{6} (?:[0-9]{6}|[ 0-9][0-9]:[0-9]{2}:[0-9]{2})|"
    + _CLOCK
    + rb"|[0-9]{1,2}:[0-9]{2}[AP]M|[0-9]++(?= +\[))"
)
_LEVEL = rb"([A-Za-z]{3,13}+)"  # where punctuation says that a level is meant
_SHOUT = rb"([A-Z]{3,13}+)"  # where only its capitals tell it from a word of the message
_NAME = rb"[^ \n]+(?: [^ \n-][^ \n]*)*"
_THREAD = rb"\[[^][\n]*+(?:\[[^][\n]*+\][^][\n]*+)*+\]"
STRING = rb'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"'

_WORDS = rb"(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL|PANIC)"
_HOST = rb"(?!" + _WORDS + rb" )[A-Za-z0-9][^][ \n]*+ "
_TAG = rb"(?!" + _WORDS + rb":)[^][ :\n]++(?:\[[^] \n]*+\])?: "
_RFC3339 = _DATE + rb"T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9}+)?+(?:Z|[+-][0-9]{2}:?[0-9]{2}) "
_STRUCTURED = rb'(?:-|(?:\[[^]"\n]*+(?:' + STRING + rb'[^]"\n]*+)*+\])++)'
_DATED = rb"[A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} [^ \n]++ [^ \n]+: "
_RFC5424 = rb"[0-9] (?:-|[0-9T:.Z+-]++)(?: [^ \n]++){4} " + _STRUCTURED + rb"(?: \xef\xbb\xbf| |$)"
_PRIORITY = (
    rb"<[0-9]{1,3}>(?:" + _RFC5424 + rb"|" + _DATED + rb"|" + _RFC3339 + _HOST + _TAG + rb"|(?![0-9] ))"
)
_CRI = rb"std(?:out|err) [FP] "
_DOCKER = rb'\{"log":"'
_COMPOSE = rb"[a-z][a-z0-9_.-]*+ ++\| (?=[{[0-9])"
_FILE = rb"[A-Za-z/][A-Za-z0-9_/-]*+\.log(?:[^ \n]*+ |[^ :\n]*+:(?:[0-9]++:)?+ ?+)(?=" + _DATE + rb"[T ])"

# What a collector put before the line of the program.
PREFIX = b"|".join(
    (_PRIORITY, _DATED, _RFC3339 + rb"(?:" + _CRI + rb"|" + _HOST + _TAG + rb")", _DOCKER, _COMPOSE, _FILE)
)
PREFIXES = {
    "syslog": b"|".join((_PRIORITY, _DATED, _RFC3339 + _HOST + _TAG)),
    "cri": _RFC3339 + _CRI,
    "docker": _DOCKER,
    "compose": _COMPOSE,
    "file": _FILE,
}

LEVEL_KEYS = (
    rb'(?:l(?:ev(?:el(?:_?name|no)?+)?+|vl|og(?:[._]?+level|"\s*+:\s*+\{\s*+"level))|L(?:evel|ogLevel)'
    rb"|[Ss]everity(?:_?+[Tt]ext)?+|@l|PRIORITY)"
)
TIME_KEYS = rb'(?:@?ts?|@?[Tt]ime[Ss]?tamp|time|asctime|datetime|date|t"\s*+:\s*+\{\s*+"\$date)'


def json_up_to(keys: bytes) -> bytes:
    """Match a JSON object from its brace to the value of the first of *keys* at its top level."""
    flat = rb'\{[^{}"\n]*+(?:' + STRING + rb'[^{}"\n]*+)*+\}'
    array = rb'\[[^][{}"\n]*+(?:' + STRING + rb'[^][{}"\n]*+)*+\]'
    value = rb"(?:" + STRING + rb"|" + flat + rb"|" + array + rb'|[^][{}",\n]++)'
    other = rb'"(?!' + keys + rb'")' + STRING[1:] + rb"\s*+:\s*+" + value + rb"\s*+,\s*+"
    return rb"\{\s*+(?:" + other + rb")*+" + rb'"' + keys + rb'"\s*+:\s*+'


_LOGFMT_KEYS = rb"(?:level|lvl|severity|loglevel)="
_LOGFMT = rb"(?:(?!" + _LOGFMT_KEYS + rb")[A-Za-z_@.]++=(?:" + STRING + rb'|[^ "\n]*+) )*+' + _LOGFMT_KEYS

DIGITS = b"0123456789"
_CAPITALS = bytes(range(ord("A"), ord("Z") + 1))
_LETTERS = _CAPITALS + _CAPITALS.lower() + b"_@"
_DASHED = rb"([A-Z]{3,13}+|[A-Za-z]{3,13}+(?= +-)) *(?: -|:)"  # "Error: x" is a message


@dataclass(frozen=True, slots=True)
class Shape:
    """
    A header: the bytes it can begin with, and its recogniser in two parts.

    Shapes with an equal *head* are tried together. *words* are levels that only this program writes so.
    """

    starts: bytes
    head: bytes
    tail: bytes
    words: tuple[tuple[str, Level], ...] = ()


_OPEN = rb"\[(?=[0-9])" + TIME
_MONTH = rb"[A-Z][a-z]{2}"
_APACHE = rb"\[" + _MONTH + rb" " + _MONTH + rb" [ 0-9][0-9] " + _CLOCK + rb" [0-9]{4}\] "
_PHP = rb"\[[0-9]{2}-" + _MONTH + rb"-[0-9]{4} " + _CLOCK + rb"[^]\n]*+\] (?:\[[^]\n]*+\] )?+"
_PHP_WORD = rb"PHP (Fatal error|Parse error|Recoverable fatal error|Warning|Notice|Deprecated):"
_PHP_WORDS = (
    ("Fatal error", Level.CRITICAL),
    ("Parse error", Level.CRITICAL),
    ("Recoverable fatal error", Level.ERROR),
    ("Deprecated", Level.NOTICE),
)
_LETTER_WORDS = (
    ("V", Level.TRACE),
    ("T", Level.TRACE),
    ("D", Level.DEBUG),
    ("I", Level.INFO),
    ("N", Level.NOTICE),
    ("W", Level.WARNING),
    ("E", Level.ERROR),
    ("C", Level.CRITICAL),
    ("F", Level.CRITICAL),
    ("A", Level.CRITICAL),
    ("X", Level.CRITICAL),
)
POSTGRESQL = rb"(?: [A-Z]{2,5})?+ \[[0-9]++(?:-[0-9]++)?+\] (?:[^ @\n]++@[^ \n]++ )?+"
_DAY = rb"[0-9]{1,2} " + _MONTH + rb" (?:[0-9]{4} )?+" + _CLOCK
_PROCESS = rb" (?:[0-9]++|[A-Za-z][^][ \n]*-[0-9]++) ++"
_BLUE_GENE = rb"(?:-|[A-Z]++) [0-9]{10} [0-9]{4}\.[0-9]{2}\.[0-9]{2} [^ \n]++ [0-9.-]{26}(?: [^ \n]++){3} "
_MYSQL_WORDS = (("Note", Level.INFO), ("System", Level.INFO))
_REDIS_WORDS = ((".", Level.DEBUG), ("-", Level.INFO), ("*", Level.NOTICE), ("#", Level.WARNING))

SHAPES = {  # the first that holds wins
    "json": Shape(b"{", json_up_to(LEVEL_KEYS) + rb'"?([A-Za-z]{3,13}+|[0-9]{1,2}+)"?\s*[,}]', b""),
    "mongodb": Shape(b"{", rb'\{"t":\{"\$date":"[0-9T:.Z+-]++"\},"s":"([FEWID])[0-9]?"', b"", _LETTER_WORDS),
    "pipe": Shape(DIGITS, TIME, rb" *+\| *+" + _LEVEL + rb" *+\|"),
    "pipe-name": Shape(DIGITS, TIME, rb" *+\| *+[^|\n]++\| *+" + _LEVEL + rb" *+\|"),
    "dash-thread": Shape(DIGITS, TIME, rb" (?:\[[^]\n]*+\] )?+- " + _SHOUT + rb" ++\["),
    "dash": Shape(DIGITS, TIME, rb" - " + _NAME + rb" - " + _DASHED),
    "dash-level": Shape(DIGITS, TIME, rb" - " + _DASHED),
    "bracket": Shape(DIGITS, TIME, rb" *+(?:[0-9]++ )?+\[ *+" + _LEVEL + rb" *+\]", _MYSQL_WORDS),
    "bracket-name": Shape(DIGITS, TIME, rb" *+\[[^]\n]*+\] *+\[ *+" + _LEVEL + rb" *+\]"),
    "word": Shape(DIGITS, TIME, rb"[ \t]++" + _SHOUT + rb"[ \t:]"),
    "colon": Shape(DIGITS, TIME, rb" *+: *+" + _SHOUT + rb" *+:"),
    "thread": Shape(DIGITS, TIME, rb" ++" + _THREAD + rb" ++" + _SHOUT + rb"[ :]"),
    "postgresql": Shape(
        DIGITS,
        TIME,
        POSTGRESQL + rb"([A-Z]{3,7}+)[0-9]?+:  ",
        (("LOG", Level.INFO),),
    ),
    "process": Shape(DIGITS, TIME, _PROCESS + _SHOUT + rb" ++[A-Za-z_][\w-]*+(?:\.| \[)"),
    "tab": Shape(DIGITS, TIME, rb"\t(?:[0-9a-f]{8}-[0-9a-f-]{27}\t)?+" + _LEVEL + rb"\t"),
    "place": Shape(DIGITS, TIME, rb" [^][ \n]++ \[([A-Z]|[A-Z]{3,13}+)\] ", _LETTER_WORDS),
    "mongodb-3": Shape(DIGITS, TIME, rb" ([DIWEF])[0-9]?+ [A-Z]{2,12}+ *+\[", _LETTER_WORDS),
    "comma": Shape(DIGITS, TIME, rb", ?+([A-Z][A-Za-z]{2,12}+)(?:,|  )"),
    "clock": Shape(DIGITS, _OTHER_TIME, rb"(?: [0-9]++)?+(?: ++" + _THREAD + rb")?+ ++" + _SHOUT + rb"[ :]"),
    "clock-bracket": Shape(
        DIGITS, _OTHER_TIME, rb" ++(?:[0-9]++ )?+\[ *+" + _LEVEL + rb" *+\]", _MYSQL_WORDS
    ),
    "clock-pipe": Shape(DIGITS, _OTHER_TIME, rb" *+\| *+" + _LEVEL + rb" *+\|"),
    "clock-dash": Shape(DIGITS, _OTHER_TIME, rb" - (?:[^ \n]++ - )?+" + _DASHED),
    "logcat": Shape(
        DIGITS,
        rb"(?:[0-9]{4}-)?+[0-9]{2}-[0-9]{2} " + _CLOCK + rb" ",
        rb" *+(?:[A-Za-z0-9_]++ ++)?[0-9]++ ++[0-9]++ ([VDIWEFA]) ",
        _LETTER_WORDS,
    ),
    "logcat-brief": Shape(
        DIGITS + b"VDIWEFA",
        rb"(?:(?:[0-9]{4}-)?+[0-9]{2}-[0-9]{2} " + _CLOCK + rb" )?+([VDIWEFA])/",
        rb"[^(\n]{1,99}+\( *+[0-9]++\): ",
        _LETTER_WORDS,
    ),
    "redis": Shape(DIGITS + b"[", rb"(?:[0-9]++:[A-Z] |\[[0-9]++\] )?+" + _DAY, rb" ([.*#-]) ", _REDIS_WORDS),
    "number-first": Shape(b"[", rb"\[[0-9]++\] " + TIME, rb" \[" + _LEVEL + rb"\] "),
    "brackets": Shape(b"[", _OPEN, rb"\] *+\[[^]\n]*+\] *+\[ *+" + _LEVEL + rb" *+\]"),
    "brackets-level": Shape(b"[", _OPEN, rb"\] *+\[ *+" + _LEVEL + rb" *+\]"),
    "brackets-word": Shape(b"[", _OPEN, rb"\] ++(?:\{[^}\n]*+\} ++)?+" + _SHOUT + rb"[ :[]"),
    "celery": Shape(b"[", _OPEN, rb": *+" + _SHOUT + rb"[/\]]"),
    "monolog": Shape(b"[", _OPEN, rb"\] [A-Za-z0-9_-]++\." + _SHOUT + rb":"),
    "bracketed": Shape(b"[", _OPEN, rb"(?: [A-Za-z][^][ \n]*-[0-9]++)?+ ++" + _SHOUT + rb"[ \]]"),
    "airflow": Shape(b"[", rb"\[" + _DATE + rb", [0-9:]{8} [A-Z]{3,4}\] \{[^}\n]*+\} ", _SHOUT + rb" -"),
    "clock-level": Shape(b"[", rb"\[" + _CLOCK, rb"(?: ++|\] \[[^]/\n]*+/)" + _SHOUT + rb"\]"),
    "apache": Shape(b"[", _APACHE, rb"\[(?:[a-z0-9_]*+:)?+([a-z]{4,6}+)[0-9]?\]"),
    "php": Shape(b"[", _PHP, _PHP_WORD, _PHP_WORDS),
    "php-fpm": Shape(b"[", _PHP, _SHOUT + rb": "),
    "tornado": Shape(b"[", rb"\[([DIWEC]) (?:" + TIME + rb"|[0-9]{6} " + _CLOCK + rb") ", b"", _LETTER_WORDS),
    "level-inside": Shape(b"[", rb"\[ ?+" + _SHOUT + rb" ", TIME),
    "asterisk": Shape(b"[", rb"\[" + _MONTH + rb" [ 0-9][0-9] " + _CLOCK, rb"\] " + _SHOUT + rb"\["),
    "level-first": Shape(b"[", rb"\[ *+" + _LEVEL + rb" *+\]", b""),
    "thread-first": Shape(b"[", rb"\[[^][\n]*+\] ++" + _SHOUT + rb" ++[^ \n]++ ++- ", b""),
    "glog": Shape(b"IWEFC", rb"([IWEFC])[0-9]{4}(?:[0-9]{4})?+ [0-9:]{8}\.[0-9]{6} ", b"", _LETTER_WORDS),
    "ruby": Shape(b"DIWEFA", rb"[DIWEFA], \[" + TIME + rb" ?#[0-9]++\] ++" + _SHOUT + rb" -- ", b""),
    "cups": Shape(b"EWINDAXC", rb"([EWINDAXC]) \[[0-9]{2}/" + _MONTH + rb"/[0-9:]{13} ", b"", _LETTER_WORDS),
    "php-bare": Shape(b"P", _PHP_WORD, b"", _PHP_WORDS),
    "dotnet": Shape(
        b"tdiwfc",
        rb"(trce|dbug|info|warn|fail|crit): [A-Za-z_][^ \n[]*+\[[0-9]++\]",
        b"",
        (("trce", Level.TRACE), ("dbug", Level.DEBUG), ("fail", Level.ERROR)),
    ),
    "month-first": Shape(
        _CAPITALS, _MONTH + rb"-[0-9]{2} " + _CLOCK, rb" ++" + _THREAD + rb" ++" + _SHOUT + rb" "
    ),
    "erlang": Shape(
        b"=",
        rb"=([A-Z]{4,12}+) REPORT====",
        b"",
        (("CRASH", Level.CRITICAL), ("SUPERVISOR", Level.ERROR), ("PROGRESS", Level.INFO)),
    ),
    "blue-gene": Shape(b"-" + _CAPITALS, _BLUE_GENE, _SHOUT + rb" ", (("FAILURE", Level.ERROR),)),
    "level-colon": Shape(_CAPITALS, _SHOUT + rb":(?:[^ :\n]*+:| )", b"", (("CONFIG", Level.DEBUG),)),
    "level-time": Shape(_CAPITALS, _SHOUT + rb" ++", TIME),
    "level-stamp": Shape(
        _CAPITALS,
        _SHOUT + rb" ?+\[(?:[0-9]{4,}|[0-9]{2}-[0-9]{2}\|[0-9:.]++)\]",
        b"",
        (("FATA", Level.CRITICAL), ("PANI", Level.CRITICAL), ("TRAC", Level.TRACE), ("EROR", Level.ERROR)),
    ),
    "level-dash": Shape(_CAPITALS, _SHOUT + rb" ++(?:- |\[[^]\n]*+\] [^ \n]++ - )", b""),
    "logfmt": Shape(_LETTERS, _LOGFMT, rb'"?' + _LEVEL + rb'(?:[+-][0-9]{1,3})?"?(?: |\r?$)'),
}
