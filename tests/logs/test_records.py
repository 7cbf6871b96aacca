"""Which lines begin a record."""

import pytest

from watchdog.logs import Context, follow, is_continuation

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


@pytest.mark.parametrize(
    "file", [PYTHON, JAVA, JOURNAL, START, INDENTED], ids=["python", "java", "journal", "start", "indented"]
)
def test_records(file: str) -> None:
    """`level | line`; a line without a level belongs to the record before."""
    context = Context.START
    read = []
    for row in file.strip("\n").splitlines():
        line = row[8:]
        level, context = follow(line.encode(), "bare", context)
        read.append(f"{level or '':5} | {line}".rstrip())
    assert [row.rstrip() for row in file.strip("\n").splitlines()] == read


def test_is_continuation() -> None:
    """The exception is recognised only where a traceback leads to it."""
    assert is_continuation(b"KeyError: 'action'", Context.TRACEBACK)
    assert not is_continuation(b"KeyError: 'action'", Context.RECORD)
    assert is_continuation(b"  at x", Context.RECORD)
    assert not is_continuation(b"  at x", Context.START)
