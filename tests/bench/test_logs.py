"""The benchmark of log reading counts exactly what was written; its figures are no business of a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import logs
from bench.logcases import CASES, write_log
from bench.logtools import TOOLS, by_our_reader, by_our_tally, is_exact


@pytest.mark.parametrize("name", CASES)
def test_counts_are_exact(name: str, tmp_path: Path) -> None:
    """Of every shape of lines, with and without times and evidence, traps and all."""
    log = tmp_path / "service.log"
    known = write_log(log, CASES[name], 0.3)
    assert is_exact(CASES[name], by_our_reader(CASES[name], log), known) == "yes"
    assert is_exact(CASES[name], by_our_tally(CASES[name], log), known) == "yes"


def test_a_wrong_count_is_told(tmp_path: Path) -> None:
    """What is missing is named, and an overcount as a percentage."""
    known = write_log(tmp_path / "service.log", CASES["plain"], 0.1)
    errors = known["ERROR"] + known["CRITICAL"]
    assert is_exact(CASES["plain"], {"INFO": known["INFO"] - 1}, known) == "no: INFO"
    assert (
        is_exact(CASES["plain"], {"ERROR": known["ERROR"], "error lines": errors - 1}, known)
        == "no: error lines"
    )
    assert is_exact(CASES["plain"], {"errors": errors * 3 // 2}, known) == "no, +50%"


def test_every_tool_has_a_row(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """And what is not installed is named."""
    monkeypatch.setattr("sys.argv", ["bench.logs", "--mb", "0.1", "--rounds", "1", "plain"])
    logs.main()
    told = capsys.readouterr().out
    assert "### plain lines: " in told
    for name, (program, _) in TOOLS.items():
        assert f"| {name} |" in told or f"{program} is not installed" in told
