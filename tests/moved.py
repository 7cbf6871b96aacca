"""A wall clock that tests move: our own by an offset, a real server's through tests/clock_shim.c."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from watchdog.clock import utc_now

SHIM = Path(__file__).with_name("clock_shim.c")


class MovedClock:
    """Our clock and, under the same offset, that of every process started with `environment`."""

    def __init__(self, directory: Path) -> None:
        compiler = shutil.which("cc")
        assert compiler, "a C compiler is needed to move a server's clock (apt-get install gcc libc6-dev)"
        self._library = directory / "clock_shim.so"
        command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(self._library), str(SHIM)]
        subprocess.run(command, check=True)
        self._file = directory / "offset"
        self.offset = timedelta(0)
        self._write()

    @property
    def environment(self) -> Mapping[str, str]:
        """Return what a process needs to live on this clock."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_OFFSET_FILE": str(self._file)}

    def now(self) -> datetime:
        """Return the moved time."""
        return utc_now() + self.offset

    def advance(self, span: timedelta) -> datetime:
        """Move on by *span* and return the new time."""
        self.offset += span
        self._write()
        return self.now()

    def move_to(self, moment: datetime) -> None:
        """Have it be *moment* now."""
        self.offset = moment - utc_now()
        self._write()

    def _write(self) -> None:
        nanoseconds = (self.offset // timedelta(microseconds=1)) * 1000
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(nanoseconds.to_bytes(8, "little", signed=True))
