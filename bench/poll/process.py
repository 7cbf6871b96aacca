"""What the kernel knows of a process."""

from __future__ import annotations

import re
import time
from pathlib import Path


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of process *pid*, to the microsecond (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid) << 3 | 2)


def rss(pid: int) -> int:
    """Return the memory that process *pid* has now, in bytes."""
    return _kilobytes(pid, "VmRSS") * 1024


def peak_rss(pid: int) -> int:
    """Return the most memory process *pid* had since it started or `forget_peak`, in bytes."""
    return _kilobytes(pid, "VmHWM") * 1024


def forget_peak(pid: int) -> None:
    """Let the peak of process *pid* begin anew at what it has now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _kilobytes(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(rf"{name}:\s*(\d+) kB", status)[0])


def sockets_to(port: int) -> dict[str, int]:
    """
    Return the connections to *port* of this machine, and how many bytes wait in each to be read there.

    What its client has closed is a connection until the server has noticed.
    """
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    unsent = {row[1]: _waiting(row, 0) for row in rows if _port(row[2]) == port}
    there = {row[2]: _waiting(row, 1) for row in rows if _port(row[1]) == port and _port(row[2]) != 0}
    return {peer: unread + unsent.get(peer, 0) for peer, unread in there.items()}


def _port(address: str) -> int:
    return int(address.partition(":")[2], 16)


def _waiting(row: list[str], which: int) -> int:
    """Return the bytes in the sending (0) or receiving (1) queue of a socket."""
    return int(row[4].split(":")[which], 16)
