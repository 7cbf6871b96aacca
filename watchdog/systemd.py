"""`sd_notify` without a library: systemd hears when we are ready, how it goes, and that we are well."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from datetime import timedelta

import structlog

from watchdog.units import plain
from watchdog.vigil import Checkup

MICROSECOND = timedelta(microseconds=1)
log = structlog.get_logger()


class Systemd:
    """
    Tells the service manager at *address*.

    With *patience* (``WatchdogSec=``) it is told at every tick that we are well, and restarts us
    when it is not. A receiver's outage is none of that: no restart would mend it.
    """

    def __init__(self, address: str, patience: timedelta | None) -> None:
        self.patience = patience
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        self._ready = False
        self._status = ""

    def start(self) -> None:
        """Open the socket."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def ticked(self, checkup: Checkup) -> None:
        """Say after a tick what is new, and that we are well if so."""
        said = [] if self._ready else ["READY=1"]
        status = plain(checkup.unwell or checkup.stuck or checkup.headline)
        if status != self._status:
            said.append(f"STATUS={status}")
        if self.patience is not None and checkup.unwell is None:
            said.append("WATCHDOG=1")
        if said and self._say(said):
            self._ready, self._status = True, status

    def reloading(self) -> None:
        """Say that the rules file is read anew (``Type=notify-reload``)."""
        self._say(["RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}"])

    def reloaded(self) -> None:
        """Say that this is over, whatever came of it."""
        self._say(["READY=1"])

    async def stop(self) -> None:
        """Say that we are going."""
        self._say(["STOPPING=1"])
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _say(self, lines: list[str]) -> bool:
        """Send *lines*, and say whether they were taken; a manager that is busy hears them a tick later."""
        if self._socket is None:
            return False
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError as exc:
            log.warning("systemd_not_told", why=exc.strerror or str(exc))
            return False
        return True


def systemd_of(environment: Mapping[str, str], every: timedelta) -> Systemd | None:
    """
    Return whom to tell by *environment*, or None if we are not run by systemd.

    Ticks are all that proves us well: they must come twice within ``WatchdogSec=``, and a warning
    says so if *every* is too long for that.
    """
    address = environment.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@") or len(address) < 2:
        return None
    patience = None
    micros, whose = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if micros.isdigit() and int(micros) and whose in ("", str(os.getpid())):
        patience = int(micros) * MICROSECOND
        if every > patience / 2:
            log.warning(
                "watchdog_sec_too_short",
                every=every.total_seconds(),
                watchdog_sec=patience.total_seconds(),
                cure="set WatchdogSec= to at least twice `every`, better ten times",
            )
    return Systemd(address, patience)
