"""What journalctl prints: entries of the journal as JSON, once or for as long as it is let run."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from watchdog.errors import CollectError

_READ = 1 << 18
_PIPE_BYTES = 1 << 20  # what journalctl may write ahead between two looks
_LONGEST = 32 << 20  # of one entry; journald itself cuts lines of stdout at 48 KiB
_REFILL_SECONDS = 0.01
_STOP_SECONDS = 2.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNIT_TYPES = (".service", ".timer", ".socket", ".mount", ".path", ".scope", ".slice", ".target", ".swap")
_FORBIDDEN = ("insufficient permissions", "not seeing messages from other users", "Permission denied")


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of the journal: its place, when journald got it, what it says, its sender's priority."""

    cursor: str
    at: datetime
    message: bytes
    priority: int | None


def read_entry(line: bytes) -> Entry | None:
    """Return the entry that journalctl printed as *line*, or None if it is none."""
    try:
        fields = json.loads(line)
        cursor, micros = str(fields["__CURSOR"]), int(fields["__REALTIME_TIMESTAMP"])
        at = _EPOCH + timedelta(microseconds=micros)
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None
    priority = fields.get("PRIORITY")
    known = isinstance(priority, str) and len(priority) == 1 and priority in "01234567"
    return Entry(cursor, at, _bytes(fields.get("MESSAGE")), int(priority) if known else None)


def _bytes(message: object) -> bytes:
    """Return a field as it was logged: text, or a list of bytes where it is not UTF-8."""
    if isinstance(message, str):
        return message.encode("utf-8", "replace")
    if not isinstance(message, list):
        return b""
    if all(isinstance(each, int) and 0 <= each < 256 for each in message):
        return bytes(message)
    return b"\n".join(_bytes(each) for each in message)  # a field may be there more than once


def own_entries(unit: str, *, user: bool) -> list[str]:
    """
    Return the matches for what *unit*, of the system or of this *user*, itself logs.

    Not `-u`, which adds what systemd says of the unit: a unit that restarts for ever would look busy.
    """
    name = unit if unit.endswith(_UNIT_TYPES) else f"{unit}.service"
    return [f"_SYSTEMD_USER_UNIT={name}", f"_UID={os.getuid()}"] if user else [f"_SYSTEMD_UNIT={name}"]


def at_second(moment: datetime) -> str:
    """Write *moment* as journalctl takes it."""
    micros = (moment - _EPOCH) // timedelta(microseconds=1)
    return f"@{micros // 1_000_000}.{micros % 1_000_000:06}"


class Journalctl:
    """
    A running journalctl whose entries are taken without waiting for more.

    It ends with its pipe, so none is left behind when this process is killed. (Not by the kernel's
    parent death signal: that is sent when the thread ends that started it, and a look is a thread.)
    """

    def __init__(self, options: Sequence[str]) -> None:
        """Start it; raise CollectError if it cannot be."""
        program = shutil.which("journalctl")
        if program is None:
            raise CollectError("there is no journalctl here, so the journal cannot be read")
        fixed = ["-o", "json", "--all", "--no-pager", "--output-fields=MESSAGE,PRIORITY"]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the unit's name is one argument
                [program, *fixed, *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._said,
                env={**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0"},
                start_new_session=True,
            )
        except OSError as exc:
            self._said.close()
            raise CollectError(f"journalctl cannot be run: {exc.strerror}") from exc
        assert self._process.stdout is not None
        self._pipe = self._process.stdout.fileno()
        fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._rest = b""
        self.ended = False

    def take(self, seconds: float, patience: float = 0.0) -> tuple[list[bytes], bool]:
        """
        Return the lines that are there, and whether there are more because the *seconds* were over.

        Waits *patience* seconds for the first.
        """
        stop = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        lines: list[bytes] = []
        wait = patience
        while poll.poll(wait * 1000):
            data = os.read(self._pipe, _READ)
            if not data:
                self.ended = True
                break
            *whole, self._rest = (self._rest + data).split(b"\n")
            lines += whole
            if len(self._rest) > _LONGEST:
                self._rest = self._rest[:1]  # not JSON any more: it is left out
            if time.monotonic() >= stop:
                return lines, True
            wait = _REFILL_SECONDS
        return lines, False

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(_STOP_SECONDS)
        if self._process.stdout:
            self._process.stdout.close()
        self._said.close()

    def check(self, subject: str) -> None:
        """Raise CollectError, about *subject*, if journalctl has said or shown that it cannot read."""
        status = self._process.wait(_STOP_SECONDS) if self.ended else None
        size = os.fstat(self._said.fileno()).st_size
        if not size and not status:
            return
        said = os.pread(self._said.fileno(), 4096, 0).decode(errors="replace").strip()
        if any(words in said for words in _FORBIDDEN):
            cure = "add the watchdog's user to the group systemd-journal and restart it"
            raise CollectError(f"{subject}: the watchdog may not read it ({cure})")
        if "No journal files were found" in said:
            raise CollectError(f"{subject}: no journal files were found (does systemd-journald run here?)")
        if status:
            reason = said.splitlines()[0] if said else f"status {status}"
            raise CollectError(f"{subject}: journalctl failed: {reason}")
