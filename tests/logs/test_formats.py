"""Which level a line gives itself, whatever its message says."""

import pytest

from watchdog.logs import FORMATS, Level, classify, detect

LEVELS = """
error    | 2026-02-19 01:33:50,123 | ERROR    | __main__ | ❌ Failed to parse TradeIntent
info     | 2026-02-11 00:00:01,951 | INFO     | __main__ | [PATH1B] SKIP AAAUSDT: blocked by risk
error    | 2026-02-10 23:58:47,049 | ERROR | ❌ exchange API error: APIError(code=-4164)
info     | 2026-01-17 07:05:42,208 | INFO | 🚫 TERMINAL STATE: FAILED | AAAUSDT BUY | Reason: API error
info     | 2026-02-17 21:46:01 [INFO] XRPUSDT: Result published (executed=False)
warning  | 2026-02-17 21:46:01.123 [warning  ] structlog pads inside
error    | 2026-02-19 01:33:50,123 - intent.bridge - ERROR - no key
warning  | 2026-02-19 01:33:50,123 - WARNING - only three fields
info     | [2026-02-19 01:33:50,123] [apply_layer] [INFO] plan published
critical | [2026-02-19 01:33:50 +0000] [4711] [CRITICAL] WORKER TIMEOUT
error    | [2026-02-19 01:33:50,123] ERROR in app: Exception on /health [GET]
warning  | [WARN] [GATE] heartbeat missing
error    | ERROR:root:the default format of logging
info     | INFO:     127.0.0.1:5000 - "GET /health HTTP/1.1" 200 OK
error    | 2026-02-19 01:33:50,123 ERROR [main] com.acme.Gate - refused
error    | ERROR 2026-02-19 01:33:50,123 views 4711 refused
info     | Feb 19 01:50:25 host unit[1]: 2026-02-19 01:50:25,123 | INFO     | x | y
error    | <11>Feb 19 01:50:25 host unit[1]: [ERROR] [GATE] refused
none     | Feb 19 01:50:25 host systemd[1]: x.service: Main process exited, status=203/EXEC
error    | 2026-02-19T01:50:25.123456+00:00 host unit[1]: [ERROR] rsyslog's own dates
warning  | 2026/02/19 01:50:25 [warn] 12#12: nginx
error    | time="2026-02-19T01:50:25Z" level=error msg="refused"
info     | ts=2026-02-19T01:50:25.000Z caller=main.go:12 level=info msg="level=error inside"
none     | ========== INTENT BRIDGE ==========
none     | ❌ ERROR: a bare print with a sign before it
none     | just text
none     |
"""

TRAPS = """
info     | 2026-02-19 01:33:50,123 | INFO     | __main__ | retry | ERROR    | not a level
info     | 2026-02-19 01:33:50,123 - ERROR - INFO - a logger named ERROR
info     | [2026-02-19 01:33:50,123] [ERROR] [INFO] a logger named ERROR
error    | 2026-02-19 01:33:50,123 | ERROR | INFO | a logger named INFO
info     | 2026-02-17 21:46:01 [INFO] [ERROR] in the message
none     | the job said ERROR: and 2026-02-19 01:33:50,123 | ERROR | inside
none     | [PATH1B] ERROR
none     | ERRORS are counted elsewhere
none     | 2026-02-19 01:33:50,123 | ERRORS | no such level
info     | {"msg": "\\"level\\": \\"ERROR\\", x", "level": "INFO"}
info     | {"ts": "2026-02-14T13:10:07Z", "level": "INFO", "msg": "x", "extra": {"level": "ERROR"}}
info     | {"extra": {"level": "ERROR", "a": [{"level": "ERROR"}]}, "level": "INFO"}
info     | {"msg": "{\\"level\\":\\"ERROR\\"}", "severity": "info"}
none     | {"msg": "level ERROR", "extra": {"level": "ERROR"}}
"""

WORDS = """
critical | FATAL SEVERE CRITICAL CRIT ALERT EMERG EMERGENCY PANIC fatal Critical
error    | ERROR ERR error Error
warning  | WARN WARNING warn
notice   | NOTICE
info     | INFO INFORMATION SUCCESS info
debug    | DEBUG debug FINE
trace    | TRACE trace FINEST
"""

NUMBERS = """
info     | {"level": 20, "msg": "python"}
error    | {"levelno": 40, "msg": "python"}
critical | {"level": 50, "msg": "python"}
info     | {"level":30,"time":1531171074631,"msg":"pino"}
error    | {"name":"app","hostname":"h","pid":1,"level":50,"msg":"bunyan","v":0}
critical | {"level":60,"msg":"pino alone goes to 60"}
error    | {"level": 3, "msg": "syslog"}
warning  | {"PRIORITY": "4", "MESSAGE": "journald"}
critical | {"lvl": 0, "msg": "emergency"}
none     | {"level": null, "msg": "x"}
error    | {"level": null, "severity": "ERROR"}
"""


def cases(table: str) -> list[tuple[str, str]]:
    """Split `level | line` rows."""
    rows = (row.partition("|") for row in table.strip("\n").splitlines())
    return [(level.strip(), line.removeprefix(" ")) for level, _, line in rows]


@pytest.mark.parametrize(("level", "line"), cases(LEVELS + TRAPS.lstrip("\n") + NUMBERS.lstrip("\n")))
def test_level_of_a_line(level: str, line: str) -> None:
    """Only the level's own place in a line says its level."""
    assert level == classify(line.encode())


@pytest.mark.parametrize(("level", "words"), cases(WORDS))
def test_words_for_a_level(level: str, words: str) -> None:
    """Every program's word for it is the same level."""
    said = {word: classify(f"2026-02-19 01:33:50 [{word}] x".encode()) for word in words.split()}
    assert dict.fromkeys(words.split(), level) == said


@pytest.mark.parametrize(
    "dressed",
    [
        b"\x00\x00\x00[ERROR] x",
        b"\xef\xbb\xbf[ERROR] x",
        b"\x1b[31m[ERROR]\x1b[0m x",
        b"[ERROR] x\r",
        b"[ERROR] \xff\xfe\x00\x80",
        "[ERROR] â\x9d\x8c".encode("latin-1"),
    ],
    ids=["after a truncation", "byte order mark", "colours", "CRLF", "binary", "mojibake"],
)
def test_dress_does_not_hide_a_level(dressed: bytes) -> None:
    """What surrounds a line is not part of it."""
    assert classify(dressed) is Level.ERROR


AMBIGUOUS = """
dash-level | info  | 2026-02-19 01:33:50 - INFO - ERROR - gave up
dash       | error | 2026-02-19 01:33:50 - INFO - ERROR - gave up
pipe-name  | error | 2026-02-19 01:33:50 | INFO | ERROR | gave up
pipe       | info  | 2026-02-19 01:33:50 | INFO | ERROR | gave up
"""


@pytest.mark.parametrize(("format", "rest"), cases(AMBIGUOUS))
def test_the_format_of_the_file_decides(format: str, rest: str) -> None:
    """A line that two formats understand is read as the rest of its file is."""
    level, line = cases(rest)[0]
    assert level == classify(line.encode(), format)


FILES = """
pipe           | 2026-02-19 01:33:50,123 | INFO     | a | b
pipe           | 2026-02-19 01:33:50 | INFO | b
pipe-name      | 2026-02-19 01:33:50 | a.b | INFO | c
dash           | 2026-02-19 01:33:50,123 - a - INFO - b
dash-level     | 2026-02-19 01:33:50,123 - INFO - b
bracket        | 2026-02-19 01:33:50.1 [INFO] b
brackets       | [2026-02-19 01:33:50,123] [a] [INFO] b
level-first    | [INFO] [TAG] b
json           | {"level": "INFO"}
level-colon    | INFO:a:b
logfmt         | level=info msg=b
syslog         | Feb 19 01:50:25 host systemd[1]: b
pipe           | Feb 19 01:50:25 host unit[1]: 2026-02-19 01:33:50 | INFO | b
bare           | b
"""


@pytest.mark.parametrize(("format", "line"), cases(FILES))
def test_detection(format: str, line: str) -> None:
    """A format is recognised among banners and tracebacks."""
    sample = [b"====", *[line.encode()] * 5, b"Traceback (most recent call last):", b"  File"]
    assert format == detect(sample)
    assert format in FORMATS


def test_one_odd_line_does_not_change_the_format() -> None:
    """A file keeps the format that still recognises its lines."""
    odd = b"2026-02-19 01:33:50 - INFO - ERROR - gave up"
    assert detect([odd]) == "dash"
    assert detect([odd], current="dash-level") == "dash-level"
    assert detect([b"=====", b"text"], current="pipe") == "pipe"
    assert detect([b"[INFO] [A] x"] * 9, current="pipe") == "level-first"
