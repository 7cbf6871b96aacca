"""The row of failed runs, and what a process is made from, as values."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.drawn import ids, rows
from watchdog.systemctl.deployed import files_of
from watchdog.systemctl.runs import Row, row_after

START = datetime(2026, 2, 19, tzinfo=UTC)

ROWS = """
NRestarts and start before, then after            | failed runs
3 00:00:00 -> 4 00:00:10                          | 3
3 00:00:00 -> 6 00:00:10                          | 5
3 00:00:00 -> 3 00:00:00                          | 2
systemctl restart: 3 00:00:00 -> 0 00:00:10       | 0
started by hand, never crashed: 0 00:00:00 -> 0 00:00:10 | 0
restarted by hand, crashed since: 3 00:00:00 -> 1 00:00:10 | 1
"""


@pytest.mark.parametrize(("moments", "expected"), rows(ROWS), ids=ids(ROWS))
def test_the_row_of_failed_runs(moments: str, expected: str) -> None:
    """Two stood in the row before; whoever starts the unit by hand begins a new one."""
    before, _, after = moments.rpartition(" -> ")
    told = []
    for moment in (before, after):
        restarts, time = moment.split()[-2:]
        began = f"Thu 2026-02-19 {time} UTC"
        told.append(
            {"NRestarts": restarts, "InvocationID": time, "ActiveEnterTimestamp": began, "ExecMainStartTimestamp": began}
        )  # fmt: skip
    assert int(expected) == row_after(Row(2, 9.0), *told).runs


def test_a_programs_own_data_is_no_code(tmp_path: Path) -> None:
    """Only of an interpreter an argument is code, and only the first that is no option."""
    for name in ("serve", "state.db", "train.py"):
        (tmp_path / name).touch()
    serve, state, train = (str(tmp_path / name) for name in ("serve", "state.db", "train.py"))
    commands = [f"{serve} {state}", f"/usr/bin/python3 -u {train} {state}", f"/usr/bin/cat {state}"]
    shown = "\n".join(
        f"{{ path={argv.split()[0]} ; argv[]={argv} ; ignore_errors=no ; pid=0 }}" for argv in commands
    )
    assert [serve, train] == list(files_of({"ExecStart": shown}, ()))
