"""`watchdog logs`: what a log looks like to the watchdog, for people and for programs."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.process.conftest import Ran
from watchdog.cli import app
from watchdog.logs.seen import describe_log
from watchdog.logs.survey import CHUNK, LONGEST_LINE

LOG = """\
==== execution service ====
2026-02-19 01:33:50,123 | INFO     | __main__ | ERROR is a word here
2026-02-19 01:33:51,123 | ERROR    | __main__ | plan 17 failed: APIError(code=-4164)
2026-02-19 01:33:51,124 | ERROR    | __main__ | plan 18 failed: APIError(code=-2007)
2026-02-19 01:33:52,123 | ERROR    | __main__ | plan 19 failed: APIError(code=-4164)
Traceback (most recent call last):
  File "x.py", line 1, in <module>
KeyError: 'action'
2026-02-19 01:33:53,123 | CRITICAL | ERROR    | token=abc of \x1b[31mred\x1b[0m
"""
FOUND = {
    "format": "pipe",
    "lines": 9,
    "records": 6,
    "levels": {
        "trace": 0,
        "debug": 0,
        "info": 1,
        "notice": 0,
        "warning": 0,
        "error": 3,
        "critical": 1,
        "none": 1,
    },
}
EACH = "1\tnone\n2\tinfo\n3\terror\n4\terror\n5\terror\n9\tcritical\n"


def logs(*arguments: str, given: bytes | None = None) -> Ran:
    """Run the command in this process."""
    result = CliRunner().invoke(app, ["logs", *arguments], input=given, env={"COLUMNS": "200"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A small log with what is hard about logs."""
    path = tmp_path / "execution.log"
    path.write_text(LOG)
    return path


def test_json_is_whole(log: Path) -> None:
    """Each code is an error of its own, secrets are masked, and no level is taken from a message."""
    (found,) = json.loads(logs(str(log), "--format", "json").out)
    templates = found.pop("templates")
    assert found == {"path": str(log), **FOUND}
    assert [(each["count"], each["level"]) for each in templates] == [
        (2, "error"),
        (1, "error"),
        (1, "critical"),
    ]
    assert templates[2] == {
        "template": "token=<secret> of red",
        "count": 1,
        "level": "critical",
        "example": "2026-02-19 01:33:53,123 | CRITICAL | ERROR    | token=*** of red",
    }


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


WAYS: Mapping[str, Callable[[Path], Path]] = {
    "as it is": lambda path: path,
    "compressed": lambda path: _written(path.with_suffix(".gz"), gzip.compress(LOG.encode())),
    "UTF-16": lambda path: _written(path, LOG.encode("utf-16")),
    "UTF-16 compressed": lambda path: _written(path, gzip.compress(LOG.encode("utf-16"))),
    "CRLF": lambda path: _written(path, LOG.replace("\n", "\r\n").encode()),
    "no newline at the end": lambda path: _written(path, LOG.rstrip("\n").encode()),
    "byte order mark": lambda path: _written(path, b"\xef\xbb\xbf" + LOG.encode()),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_same_log_however_it_is_written(log: Path, way: str) -> None:
    """Counts, levels and the numbers of lines are the same."""
    path = WAYS[way](log)
    (found,) = json.loads(logs(str(path), "--format", "json").out)
    assert {name: found[name] for name in FOUND} == FOUND
    assert logs("--each", str(path)).out == EACH


def test_standard_input_and_several_files(log: Path) -> None:
    """`-` is what is piped in; with several files each record says whose it is."""
    (found,) = json.loads(logs("-", "--format", "json", given=LOG.encode()).out)
    assert (found["path"], found["records"]) == ("-", 6)
    assert logs("--each", "-", str(log), given=b"[ERROR] x\n").out.splitlines()[:2] == [
        "-:1\terror",
        f"{log}:1\tnone",
    ]


def test_a_table_for_people(log: Path) -> None:
    """Counts, shares, templates; nothing in it steers a terminal, and no secret is shown."""
    shown = logs(str(log)).out
    assert shown.startswith(f"{log}: pipe, 9 lines, 6 records\n\nlevel     records  share\n")
    assert "error     3        50%" in shown
    assert "token=*** of red" in shown
    assert "\x1b" not in shown
    assert "abc" not in shown


def test_what_cannot_be_read_is_one_sentence_and_the_others_are_shown(log: Path, tmp_path: Path) -> None:
    """Exit status 2, no traceback; a damaged .gz is one of them."""
    damaged = _written(tmp_path / "a.gz", gzip.compress(LOG.encode() * 99)[:-20])
    missing = tmp_path / "none.log"
    ran = logs(str(missing), str(tmp_path), str(damaged), str(log), "--format", "json")
    assert ran.status == 2
    assert [found["path"] for found in json.loads(ran.out)] == [str(log)]
    cure = "(name a log file, or - for standard input)"
    first, second, third = ran.err.splitlines()
    assert first == f"{missing}: cannot be read: No such file or directory {cure}"
    assert second == f"{tmp_path}: cannot be read: Is a directory {cure}"
    assert third.startswith(f"{damaged}: cannot be read: ")
    assert logs("--as", "jsn", str(log)) == Ran(
        2, "", '--as: "jsn" is not a log format (did you mean "json"?)\n'
    )


def test_a_format_can_be_forced(tmp_path: Path) -> None:
    """What looks like one format is read as another."""
    path = _written(tmp_path / "a.log", b"[ERROR] [INFO] x\n")
    assert (
        json.loads(logs(str(path), "--as", "level-first", "--format", "json").out)[0]["format"]
        == "level-first"
    )


def test_a_log_that_the_rules_name_is_read_as_they_say(tmp_path: Path) -> None:
    """By its path or the glob that takes it in; any other is looked at."""
    path = _written(tmp_path / "a.log", b"[ERROR] [INFO] x\n")
    rules = tmp_path / "rules.yaml"

    def formats(glob: str) -> str:
        rules.write_text(f'services: {{a: {{log: {{path: "{tmp_path}/{glob}", format: brackets-level}}}}}}')
        found = logs(str(path), "--rules", str(rules), "--format", "json")
        return str(json.loads(found.out)[0]["format"])

    assert [formats("a.log"), formats("*.log"), formats("b.log")] == ["brackets-level"] * 2 + ["level-first"]
    rules.write_text("services: {a: {lag: 1}}")
    broken = logs(str(path), "--rules", str(rules))
    assert (broken.status, broken.out, "unknown key" in broken.err) == (2, "", True)


def test_an_empty_file_has_nothing(tmp_path: Path) -> None:
    """No line, no record, no error."""
    path = _written(tmp_path / "empty.log", b"")
    (found,) = json.loads(logs(str(path), "--format", "json").out)
    assert (found["lines"], found["records"], found["templates"]) == (0, 0, [])
    assert logs("--each", str(path)).out == ""
    assert logs(str(path)).out == f"{path}: bare, 0 lines, 0 records\n"


def test_pieces_of_a_large_file_make_no_difference(tmp_path: Path) -> None:
    """Records, tracebacks and lines over the end of a piece; a line too long to be kept is one line."""
    path = tmp_path / "large.log"
    body = LOG.partition("\n")[2]
    times = 2 * CHUNK // len(body) + 1
    with path.open("w") as file:
        file.write(body * times)
        file.write("[ERROR] " + "x" * (LONGEST_LINE + CHUNK) + "\n" + body)
    (found,) = json.loads(logs(str(path), "--format", "json").out)
    assert (found["lines"], found["records"]) == (8 * (times + 1) + 1, 5 * (times + 1) + 1)
    assert (found["levels"]["error"], found["levels"]["critical"]) == (3 * (times + 1) + 1, times + 1)
    counts = {each["template"]: each["count"] for each in found["templates"]}
    assert sum(counts.values()) == found["levels"]["error"] + found["levels"]["critical"]
    assert counts["plan <n> failed: APIError(code=-2007)"] == times + 1
    each = logs("--each", str(path)).out.splitlines()
    assert (len(each), each[-1]) == (found["records"], f"{found['lines']}\tcritical")


def test_as_it_is_typed(log: Path) -> None:
    """A process of its own, a pipe for a file, and a reader that goes away."""
    watchdog = Path(sys.executable).with_name("watchdog")
    command = f'cat {log} {log} | "{watchdog}" logs --each /dev/stdin | head -n 1'
    ran = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert (ran.stdout, ran.stderr) == ("1\tnone\n", "")


SHAPES = """
  text                             | last | what is said
  {log}                            | 1000 | pipe, 5 of 6 records in 9 lines have a level
  {log}                            | 2    | pipe, 1 of 2 records in 2 last lines have a level
  a\\nb\\n                         | 1000 | bare, 0 of 2 records in 2 lines have a level
                                   | 1000 | empty
"""


@pytest.mark.parametrize("row", SHAPES.strip().splitlines()[1:], ids=lambda row: " ".join(row.split()))
def test_a_logs_shape(tmp_path: Path, row: str) -> None:
    """What `check --connect` says of a file."""
    text, last, said = (cell.strip() for cell in row.split("|"))
    path = _written(tmp_path / "a.log", text.replace("\\n", "\n").replace("{log}", LOG).encode())
    assert str(describe_log(path, last=int(last))) == said
    path.write_text(path.read_text(), encoding="utf-16")
    assert str(describe_log(path, last=int(last))) == said
