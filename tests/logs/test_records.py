"""Which lines begin a record."""

import pytest

from watchdog.logs.records import Context, follow, is_continuation

PYTHON = """
error | 2026-02-19 01:33:50,123 | ERROR    | __main__ | failed
      | Traceback (most recent call last):
      |   File "apply.py", line 3, in run
      |     ERROR: raise KeyError("action")
      | KeyError: 'action'
      |
      | During handling of the above exception, another exception occurred:
      |
      | Traceback (most recent call last):
      |   File "apply.py", line 9, in run
      | watchdog.errors.CollectError: gone
none  | a bare print
info  | 2026-02-19 01:33:51,000 | INFO     | __main__ | goes on
none  | KeyError: 'printed, not raised'
"""

JAVA = """
error | 2026-02-19 01:33:50,123 ERROR [main] Gate - failed
      | java.lang.IllegalStateException: closed
      | \tat com.acme.Gate.open(Gate.java:12)
      | \t... 12 more
      | Caused by: java.io.IOException: reset
info  | 2026-02-19 01:33:50,123 INFO [main] Gate - retry
      |   "indented": "like a printed object"
      | }
none  | ==========
"""

JOURNAL = """
error | Feb 19 01:50:25 host unit[1]: [ERROR] [GATE] failed
      | Feb 19 01:50:25 host unit[1]: Traceback (most recent call last):
      | Feb 19 01:50:25 host unit[1]:   File "apply.py", line 3, in run
      | Feb 19 01:50:25 host unit[1]: KeyError: 'action'
none  | Feb 19 01:50:25 host systemd[1]: unit.service: Main process exited
"""

START = """
none  | Traceback (most recent call last):
      |   File "apply.py", line 3, in run
      | KeyError: 'action'
"""

INDENTED = """
none  |   indented, but nothing is before it
      |   now there is
"""


GROUP = """
error | 2026-02-19 01:33:50,123 | ERROR    | __main__ | failed
      |   + Exception Group Traceback (most recent call last):
      |   |   File "apply.py", line 3, in run
      |   | ExceptionGroup: two (2 sub-exceptions)
      |   +-+---------------- 1 ----------------
      |     | Traceback (most recent call last):
      |     |   File "apply.py", line 9, in run
      |     | KeyError: 'action'
      |     +------------------------------------
none  | done: a print that looks like an exception
"""

CHAINED = """
error | 2026-02-19 01:33:50,123 | ERROR    | __main__ | failed
      | Traceback (most recent call last):
      |   File "apply.py", line 3, in run
      |     ~~~~^^^
      | KeyError: 'action'
      |
      | The above exception was the direct cause of the following exception:
      |
      | Traceback (most recent call last):
      |   File "apply.py", line 9, in run
      | ValueError
none  | ValueError
"""

JAVA_UTIL_LOGGING = """
      | Feb 19, 2026 1:33:50 AM com.acme.Gate open
critical | SEVERE: refused
      | java.io.IOException: reset
      | \tat com.acme.Gate.open(Gate.java:12)
      | Feb 19, 2026 1:33:51 AM com.acme.Gate open
info  | INFO: open
none  | Feb 19, 2026 1:33:51 AM is when a print was made
"""

GO = """
error | 2026-02-19T01:33:50.123Z\terror\tgate.go:12\trefused\t{"code": 1}
      | main.(*Gate).Open
      | \t/app/gate.go:12
      | github.com/acme/gate/internal.Run
      | \t/app/internal/run.go:7
none  | panic: runtime error: index out of range [5] with length 3
      |
      | goroutine 1 [running]:
      | main.main()
      | \t/tmp/x.go:8 +0x1d
      |
      | goroutine 18 [chan receive, 5 minutes]:
      | github.com/acme/gate.(*Gate).wait(0xc000010000, {0x1, 0x2})
      | \t/app/gate.go:40 +0x8a
      | created by main.main in goroutine 1
      | \t/tmp/x.go:6 +0x2f
      | exit status 2
info  | 2026-02-19T01:33:51.123Z\tinfo\tmain.go:1\tstarted again
none  | main(1)
"""

RUST = """
info  | 2026-02-19T01:33:50.123456Z  INFO gate: started
none  | thread 'main' panicked at src/main.rs:2:5:
      | called `Option::unwrap()` on a `None` value
      | stack backtrace:
      |    0: rust_begin_unwind
      |              at /rustc/library/std/src/panicking.rs:645:5
      | note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
none  | a bare print
"""

DOTNET = """
error | fail: Acme.Gate[0]
      |       refused
      |       System.InvalidOperationException: closed
      |          at Acme.Gate.Open() in /app/Gate.cs:line 12
error | 2026-02-19 01:33:50.123 +01:00 [ERR] refused
      | System.InvalidOperationException: closed
      |  ---> System.IO.IOException: reset
      |    --- End of inner exception stack trace ---
      |    at Acme.Gate.Open() in /app/Gate.cs:line 12
      | --- End of stack trace from previous location ---
info  | info: Acme.Gate[0]
      |       open
"""

RUBY = """
error | E, [2026-02-19T01:33:50.123456 #123] ERROR -- : closed (IOError)
      | /app/gate.rb:12:in `open'
      | /app/gate.rb:3:in 'block in <main>'
info  | I, [2026-02-19T01:33:51.123456 #123]  INFO -- : open
"""

NODE = """
error | {"level":50,"time":1531171074631,"msg":"refused"}
none  | Error: connect ECONNREFUSED 127.0.0.1:6379
      |     at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1555:16) {
      |   errno: -111,
      |   code: 'ECONNREFUSED'
      | }
info  | {"level":30,"time":1531171074632,"msg":"open"}
"""

PHP = """
critical | [19-Feb-2026 01:33:50 UTC] PHP Fatal error:  Uncaught Exception: closed in /app/gate.php:3
      | Stack trace:
      | #0 /app/gate.php(9): open()
      | #1 {main}
      |   thrown in /app/gate.php on line 3
none  | #1 of the list
"""

POSTGRESQL = """
error | 2026-02-19 01:33:50.123 UTC [123] ops@db ERROR:  column "a" does not exist at character 8
      | 2026-02-19 01:33:50.123 UTC [123] ops@db HINT:  Perhaps you meant "b".
      | 2026-02-19 01:33:50.123 UTC [123] ops@db STATEMENT:  SELECT a
      | \tFROM t
info  | 2026-02-19 01:33:51.123 UTC [123] ops@db LOG:  disconnection
"""

PRIORITIES = """
error | <11>Feb 19 01:50:25 host unit[1]: refused
      | <11>Feb 19 01:50:25 host unit[1]: Traceback (most recent call last):
      | <11>Feb 19 01:50:25 host unit[1]:   File "apply.py", line 3, in run
      | <11>Feb 19 01:50:25 host unit[1]: KeyError: 'action'
error | <11>Feb 19 01:50:25 host unit[1]: KeyError: 'said, not raised'
notice | <165>1 2003-10-11T22:14:15.003Z host app - ID47 [a@1 x="all is in here"]
"""

DOCKER = """
error | {"log":"2026-02-19 01:33:50 ERROR failed\\n","stream":"stderr","time":"2026-02-19T01:33:50Z"}
      | {"log":"Traceback (most recent call last):\\n","stream":"stderr","time":"2026-02-19T01:33:50Z"}
      | {"log":"  File \\"apply.py\\", line 3, in run\\n","stream":"stderr","time":"2026-02-19T01:33:50Z"}
      | {"log":"KeyError: 'action'\\n","stream":"stderr","time":"2026-02-19T01:33:50Z"}
error | 2026-02-19T01:33:50.123456789Z stderr F 2026-02-19 01:33:50 ERROR failed
      | 2026-02-19T01:33:50.123456789Z stderr F   "indented": 1
      | 2026-02-19T01:33:50.123456789Z stderr F }
"""

FILES = {
    "python": PYTHON,
    "python, groups": GROUP,
    "python, chained": CHAINED,
    "java": JAVA,
    "java.util.logging": JAVA_UTIL_LOGGING,
    "go": GO,
    "rust": RUST,
    ".net": DOTNET,
    "ruby": RUBY,
    "node": NODE,
    "php": PHP,
    "postgresql": POSTGRESQL,
    "journal": JOURNAL,
    "syslog priorities": PRIORITIES,
    "containers": DOCKER,
    "start": START,
    "indented": INDENTED,
}


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_records(file: str) -> None:
    """`level | line`; a line without a level belongs to the record before."""
    context = Context.START
    read = []
    for row in file.strip("\n").splitlines():
        said, _, line = row.partition("|")
        level, context = follow(line[1:].replace("\\t", "\t").encode(), "bare", context)
        read.append(f"{level or '':{len(said) - 1}} |{line}")
    assert file.strip("\n").splitlines() == read


def test_is_continuation() -> None:
    """The exception is recognised only where a traceback leads to it."""
    assert is_continuation(b"KeyError: 'action'", Context.TRACEBACK)
    assert not is_continuation(b"KeyError: 'action'", Context.RECORD)
    assert is_continuation(b"  at x", Context.RECORD)
    assert not is_continuation(b"  at x", Context.START)
    assert not is_continuation(b"Feb 19, 2026 1:33:50 AM com.acme.Gate open", Context.RECORD)
    assert not is_continuation(b"thread 'main' panicked at src/main.rs:2:5:", Context.RECORD)
