"""The embedded server: starts, answers, ends, and never outlives us."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis

from watchdog.demo.server import HOST, PortTakenError, ServerError, bundled_binary, free_port, start_server
from watchdog.pipeline.runtime import connect

from .conftest import eventually

pytestmark = pytest.mark.redis

DEBIAN = "/usr/bin/redis-server"


@pytest.mark.parametrize("binary", [None, DEBIAN], ids=["bundled", "debian"])
def test_a_server_starts_and_stops(binary: str | None) -> None:
    """It answers once `start_server` returns, persists nothing, and leaves nothing behind."""
    assert shutil.which(DEBIAN), "redis-server is needed (apt-get install redis-server)"
    with start_server(binary) as started:
        client: Any = connect(started.url)
        assert client.ping()
        assert client.config_get("save", "appendonly") == {"save": "", "appendonly": "no"}
        assert started.directory.is_dir()
    assert started.process.returncode == 0
    assert not started.directory.exists()
    started.stop()


def test_users_and_arguments() -> None:
    """ACL lines replace the open default user, and further arguments reach the server."""
    users = ["user default off", "user reader on >secret ~* +@read +@connection +config|get"]
    with start_server(users=users, extra=["--maxmemory", "50mb"]) as started:
        with pytest.raises(redis.exceptions.AuthenticationError):
            connect(started.url).get("x")
        client: Any = connect(started.url.replace("//", "//reader:secret@"))
        assert client.get("x") is None
        assert client.config_get("maxmemory") == {"maxmemory": str(50 * 1024**2)}
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.set("x", "1")


def test_the_environment_reaches_the_server(tmp_path: Path) -> None:
    """What is set for the server comes on top of what we have ourselves."""
    wrapper = tmp_path / "server"
    wrapper.write_text(
        f'#!/bin/sh\necho "$GREETING" "$PATH" > {tmp_path}/said\nexec {bundled_binary()} "$@"\n'
    )
    wrapper.chmod(0o755)
    with start_server(str(wrapper), environment={"GREETING": "hello"}):
        assert (tmp_path / "said").read_text() == f"hello {os.environ['PATH']}\n"


def test_a_server_that_cannot_start_says_why() -> None:
    """The error ends with what the server itself said."""
    with pytest.raises(ServerError, match=r"(?s)ended with status 1:.*nonsense"):
        start_server(extra=["--nonsense", "1"])


def test_a_binary_that_is_none_says_so() -> None:
    """What cannot be executed is an error that names it."""
    with pytest.raises(ServerError, match="ended with status 203:\n/nonexistent: No such file"):
        start_server("/nonexistent")


def test_a_taken_port_is_an_error() -> None:
    """A port that was asked for and is taken is not replaced by another one."""
    with socket.socket() as taken:
        taken.bind((HOST, free_port()))
        taken.listen()
        with pytest.raises(PortTakenError):
            start_server(port=taken.getsockname()[1])


async def test_the_server_dies_with_its_parent() -> None:
    """A parent that is killed takes the server with it."""
    script = (
        "import sys; from watchdog.demo.server import start_server; server = start_server();"
        "print(server.process.pid, server.directory, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid, directory = parent.stdout.readline().split()
    try:
        assert not gone(int(pid))
        os.kill(parent.pid, signal.SIGKILL)
        parent.communicate()
        await eventually(lambda: gone(int(pid)), "the server is gone")
    finally:
        shutil.rmtree(directory.decode())


def gone(pid: int) -> bool:
    """Say whether a process has ended; one that nobody waited for has too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
