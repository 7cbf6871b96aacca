"""Processes born by fork are what a shell would have started (tests/nursery.py)."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from pathlib import Path

import pytest

from tests.nursery import Nursery
from tests.process.conftest import until

PROGRAM = """
import os, sys, time
print(sys.argv[1:], os.environ["WHO"], os.getcwd(), os.getsid(0) == os.getpid(), sys.stdin.read())
print("trouble", file=sys.stderr)
if sys.argv[1] == "stay":
    sys.stdout.flush()
    time.sleep(600)
sys.exit(3)
"""


def test_a_process_of_its_own_which_ends_with_its_nursery(tmp_path: Path) -> None:
    """Arguments, environment, directory, output and status are its own; no signal but its own reaches it."""
    (tmp_path / "program.py").write_text(PROGRAM)
    with (
        (tmp_path / "out").open("w+") as out,
        (tmp_path / "err").open("w+") as err,
        Nursery(["json"], {"PYTHONPATH": f"{os.getcwd()}:{tmp_path}"}) as nursery,
    ):
        gone = nursery.bear(["program", "a b"], {"WHO": "ann"}, out, err, tmp_path)
        assert (gone.wait(20), gone.poll()) == (3, 3)
        killed = nursery.bear(["program", "stay"], {"WHO": "ben"}, out, err, tmp_path)
        with pytest.raises(subprocess.TimeoutExpired):
            killed.wait(0)
        killed.kill()
        assert killed.wait(20) == -signal.SIGKILL
        left = nursery.bear(["program", "stay"], {"WHO": "cat"}, out, err, tmp_path)
        handle = os.pidfd_open(left.pid)
        nursery.close()
        with pytest.raises(ProcessLookupError):
            signal.pidfd_send_signal(handle, 0)
        os.close(handle)
        out.seek(0)
        assert out.readline() == f"['a b'] ann {tmp_path} True \n"
        err.seek(0)
        assert err.readline() == "trouble\n"


def test_it_ends_though_its_nursery_is_killed(tmp_path: Path) -> None:
    """Whoever ends the tests by force leaves no sidecar behind."""
    (tmp_path / "program.py").write_text(PROGRAM)
    nursery = Nursery(["json"], {"PYTHONPATH": f"{os.getcwd()}:{tmp_path}"})
    with (tmp_path / "out").open("w+") as out:
        left = nursery.bear(["program", "stay"], {"WHO": "cat"}, out, out, tmp_path)
        until(lambda: "cat" in (tmp_path / "out").read_text())
        handle = os.pidfd_open(left.pid)
        os.kill(nursery.pid, signal.SIGKILL)
        assert select.select([handle], [], [], 20)[0]
        os.close(handle)
    nursery.close()
