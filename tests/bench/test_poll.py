"""`bench.poll` runs and prints its table; how fast anything was is no test's business."""

import pytest

from bench.poll import FIRST, LOAD, RENDER, TICK, main


def test_a_small_benchmark_prints_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Twenty streams, looked at once: a row for each piece of work, and on what it was measured."""
    main(["--streams", "20", "--runs", "1"])
    printed = capsys.readouterr().out
    for what in (TICK, RENDER, FIRST, LOAD):
        assert f"| 20 | {what} |" in printed
    assert "Python" in printed
