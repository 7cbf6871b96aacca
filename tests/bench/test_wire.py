"""The benchmark of the wire runs; its figures are no business of a test."""

from __future__ import annotations

import pytest

from bench import wire


def test_every_way_is_measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A row for each, on a small scale."""
    monkeypatch.setattr("sys.argv", ["bench.wire", "--streams", "20", "--runs", "1"])
    wire.main()
    table = capsys.readouterr().out.splitlines()
    assert table[0].startswith("| 40 commands |")
    assert len(table) == 10
