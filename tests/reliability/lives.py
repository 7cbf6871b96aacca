"""Lives of the process under test, one after another, as the parent sees them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from tests.reliability.account import Model
from tests.reliability.driver import Life, write
from tests.reliability.receivers import Receiver
from tests.reliability.script import Script, rules_file

KILLER = Path(__file__).with_name("killer.c")


class End(NamedTuple):
    """How a life ended: its exit status, and whether it was killed when its time was over."""

    status: int
    from_outside: bool


KILLED = End(-signal.SIGKILL, True)
DIED = End(-signal.SIGKILL, False)
"""It came to where it was to die."""
LIVED = End(0, False)


@dataclass
class Lives:
    """The driver's process, with the model that is kept from what it reports."""

    directory: Path
    seed: int
    receivers: list[Receiver]
    model: Model = field(default_factory=Model)
    ends: Counter[str] = field(default_factory=Counter)
    """How many lives ended where."""
    ticks: int = 0
    step: int = 0
    """The next step of the script."""
    pid: int = 0
    """The process that lives now."""
    _files: int = 0

    async def __aenter__(self) -> Lives:
        rules = self.directory / "rules.yaml"
        rules.write_text(rules_file({r.name: r.url for r in self.receivers}), encoding="utf-8")
        self.script = Script(self.seed)
        self._driver = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.reliability.driver", str(rules), str(self.seed)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            env=environment(self.directory),
        )
        assert await self._report() == {"ready": True}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._driver.pid, signal.SIGKILL)
        await self._driver.wait()

    async def _report(self) -> dict[str, Any]:
        assert self._driver.stdout is not None
        line = await self._driver.stdout.readline()
        assert line, "the driver ended"
        found: dict[str, Any] = json.loads(line)
        return found

    @property
    def state(self) -> str:
        """Return the path of the state file."""
        return str(self.directory / f"state-{self._files}.db")

    def begin_anew(self) -> None:
        """Go on with a file that is not there yet."""
        self._files += 1
        self.model = Model()

    async def live(self, **how: Any) -> End:
        """Have one life lived, as `Life` says; return how it ended."""
        assert self._driver.stdin is not None
        self._driver.stdin.write(write(replace(Life(self.state, self.step), **how)))
        reached = "while it started"
        while True:
            said = await self._report()
            assert "failed" not in said, said
            if "recalled" in said:
                assert said["aside"] is None, said
                self.pid = said["pid"]
                self.model.recalled(said["recalled"])
                reached = "before its first look"
                self.ends["with messages left by its forerunner"] += said["waiting"] > 0
            elif "step" in said:
                self.step = said["step"] + 1
                self.model.looking(self.script.truths(said["step"]), said["now"])
                reached = "between a look and its commit"
            elif "kept" in said:
                self.model.kept()
                self.ticks += 1
                reached = "between two looks"
            elif "over" in said:
                self.pid = 0
                self.ends[reached] += 1
                return End(said["over"], said["from_outside"])

    def kill(self) -> None:
        """Kill the process that lives now, if one does."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def environment(directory: Path) -> dict[str, str]:
    """
    Return the driver's environment: with death in its system calls, and without certificates.

    To load those takes longer than a life, and nothing here speaks TLS.
    """
    compiler = shutil.which("cc")
    assert compiler, "a C compiler is needed to kill at a system call (apt-get install gcc libc6-dev)"
    library = directory / "killer.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(KILLER)], check=True)
    kept = {name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"}
    return {**kept, "LD_PRELOAD": str(library), "SSL_CERT_DIR": str(directory)}
