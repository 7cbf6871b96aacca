"""Real deployments for tests: a cluster, a master with its replica and a Sentinel, certificates."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from tests.groups.wire import SERVERS
from watchdog.demo.server import HOST, EmbeddedServer, free_port, start_server, tethered
from watchdog.errors import SourceDownError
from watchdog.wire import Batch, Wire

WITHIN_SECONDS = 20.0


def until(true: Callable[[], object], what: str) -> None:
    """Wait until *true* is; fail with *what* if it does not become so."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {WITHIN_SECONDS:.0f}s for this in vain: {what}")
        time.sleep(0.01)


async def until_asked(wire: Wire, batch: Batch, right: object) -> bool:
    """Ask *batch* again and again until the replies are *right*, or this is true of them; say whether they became so."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(SourceDownError):
            replies = await wire.ask(batch)
            if right(replies) if callable(right) else replies == right:
                return True
        await asyncio.sleep(0.05)
    return False


def program(name: str) -> str:
    """Return the path of a program; a missing one fails, it never skips."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is missing: see tests/system-packages.sh")
    return found


def redis_7() -> str:
    """Return Debian's server, which has TLS and needs no configuration file."""
    binary = SERVERS["redis-7.0"].binary()
    assert binary is not None
    return binary


def client_of(server: EmbeddedServer) -> Any:
    """Return a plain client of one server, its commands untyped."""
    return redis.Redis(host=HOST, port=server.port, decode_responses=True)


# ---- a cluster ---------------------------------------------------------------------------------


@dataclass
class Cluster:
    """Masters by their number, each with an equal share of the slots in order; replicas behind them."""

    servers: list[EmbeddedServer]
    replicas: list[EmbeddedServer] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Return the URL of the cluster by its first master."""
        return f"redis+cluster://{HOST}:{self.servers[0].port}"

    def place(self, number: int) -> str:
        """Return host and port of master *number*."""
        return f"{HOST}:{self.servers[number].port}"

    def key(self, number: int, prefix: str = "stream") -> str:
        """Return a key that master *number* has."""
        return next(key for key in self.keys(number, prefix))

    def keys(self, number: int, prefix: str = "stream") -> Iterator[str]:
        """Yield keys that master *number* has."""
        share = REDIS_CLUSTER_HASH_SLOTS // len(self.servers) + 1
        candidates = (f"{prefix}:{i}" for i in range(100_000))
        return (key for key in candidates if key_slot(key.encode()) // share == number)

    def client(self, number: int) -> Any:
        """Return a plain client of master *number*."""
        return client_of(self.servers[number])

    def tell(self, *command: Any) -> None:
        """Tell all nodes the same."""
        for server in (*self.servers, *self.replicas):
            with client_of(server) as client:
                client.execute_command(*command)


@contextmanager
def cluster(masters: int = 3, replicas: int = 0, full_coverage: bool = True) -> Iterator[Cluster]:
    """Run a cluster of *masters*, the first of which have one of *replicas* each."""
    with ExitStack() as stack:
        # fmt: off
        nodes = [
            stack.enter_context(start_server(redis_7(), extra=(
                "--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
                "--cluster-port", str(free_port()), "--repl-diskless-sync-delay", "0",
                "--cluster-require-full-coverage", "yes" if full_coverage else "no",
                "--cluster-allow-replica-migration", "no",
            )))
            for _ in range(masters + replicas)
        ]
        # fmt: on
        built = Cluster(nodes[:masters], nodes[masters:])
        _join(built)
        yield built


def _join(built: Cluster) -> None:
    everyone = [client_of(server) for server in (*built.servers, *built.replicas)]
    share = REDIS_CLUSTER_HASH_SLOTS // len(built.servers) + 1
    with ExitStack() as stack:
        for client in everyone:
            stack.enter_context(client)
        for number, client in enumerate(everyone):
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < len(built.servers):
                last = min((number + 1) * share, REDIS_CLUSTER_HASH_SLOTS) - 1
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", number * share, last)
        first = everyone[0]
        for server in (*built.servers[1:], *built.replicas):
            bus = int(client_of(server).config_get("cluster-port")["cluster-port"])
            first.execute_command("CLUSTER", "MEET", HOST, server.port, bus)
        for client in everyone:
            until(partial(lambda c: _known(c) == len(everyone), client), "all nodes know each other")
        for replica, master in zip(everyone[len(built.servers) :], everyone, strict=False):
            replica.execute_command("CLUSTER", "REPLICATE", master.execute_command("CLUSTER", "MYID"))
            until(
                partial(lambda r: r.info("replication").get("master_link_status") == "up", replica),
                "a replica",
            )
        for client in everyone:
            until(
                partial(lambda c: c.cluster("info")["cluster_state"] == "ok", client), "the cluster is well"
            )
        for client in everyone:
            until(
                partial(lambda c: len(_slaves(c)) == len(built.replicas), client),
                "who replicates whom is known",
            )


def _known(client: Any) -> int:
    return sum("handshake" not in row[2] and row[7] == "connected" for row in _nodes(client))


def _slaves(client: Any) -> list[str]:
    return [row[0] for row in _nodes(client) if "slave" in row[2]]


def _nodes(client: Any) -> list[list[str]]:
    """Return the rows of CLUSTER NODES: id, address, flags, master, ping, pong, epoch, state, slots."""
    return [line.split(" ") for line in str(client.execute_command("CLUSTER", "NODES")).splitlines()]


# ---- Sentinel ----------------------------------------------------------------------------------


@dataclass
class Watched:
    """A master, its replica and the Sentinel that watches them."""

    master: EmbeddedServer
    replica: EmbeddedServer
    sentinel: int

    def url(self, login: str = "", name: str = "mymaster", path: str = "/0", options: str = "") -> str:
        """Return the URL of the master by its Sentinel."""
        return f"redis+sentinel://{login}{HOST}:{self.sentinel}/{name}{path}{options}"

    def failover(self) -> None:
        """Kill the master, and return when Sentinel has made the replica one."""
        with redis.Redis(host=HOST, port=self.sentinel, decode_responses=True) as sentinel:
            heard = sentinel.pubsub()
            heard.subscribe("+switch-master")
            assert heard.get_message(timeout=WITHIN_SECONDS)
            self.master.process.kill()
            told = heard.get_message(timeout=WITHIN_SECONDS)
            assert told is not None, "Sentinel did not fail over"
            heard.close()


@contextmanager
def watched(password: str = "", sentinel_password: str = "") -> Iterator[Watched]:
    """Run a master, a replica and a Sentinel; each wants its *password*, if one is given."""
    auth = ("--requirepass", password, "--masterauth", password) if password else ()
    quick = ("--repl-diskless-sync-delay", "0", *auth)
    with ExitStack() as stack:
        master = stack.enter_context(start_server(redis_7(), extra=quick))
        follows = ("--replicaof", HOST, str(master.port))
        replica = stack.enter_context(start_server(redis_7(), extra=(*quick, *follows)))
        with redis.Redis(host=HOST, port=replica.port, password=password or None) as client:
            until(lambda: client.info("replication")["master_link_status"] == "up", "the replica follows")
        lines = [
            f"sentinel monitor mymaster {HOST} {master.port} 1",
            "sentinel down-after-milliseconds mymaster 300",
            "sentinel failover-timeout mymaster 2000",
            *([f"sentinel auth-pass mymaster {password}"] if password else []),
            *([f"requirepass {sentinel_password}"] if sentinel_password else []),
        ]
        port = stack.enter_context(_sentinel(lines))
        with redis.Redis(host=HOST, port=port, password=sentinel_password or None) as sentinel:
            until(
                lambda: sentinel.execute_command("SENTINEL", "REPLICAS", "mymaster"),
                "Sentinel knows the replica",
            )
        yield Watched(master, replica, port)


@contextmanager
def _sentinel(lines: Sequence[str]) -> Iterator[int]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="watchdog-sentinel-") as folder:
        config = Path(folder) / "sentinel.conf"
        config.write_text(
            "\n".join([f"port {port}", f"bind {HOST}", f"dir {folder}", *lines, ""]), encoding="utf-8"
        )
        process = subprocess.Popen(
            tethered([redis_7(), str(config), "--sentinel"]), stdout=subprocess.DEVNULL
        )
        try:
            until(lambda: _listens(port), "Sentinel listens")
            yield port
        finally:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with redis.Redis(host=HOST, port=port) as client, contextlib.suppress(redis.ConnectionError):
        with contextlib.suppress(redis.AuthenticationError):
            client.ping()
        return True
    return False


# ---- certificates ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Papers:
    """A folder with two CAs, ours and a stranger's, and what ours has signed."""

    folder: Path

    def __call__(self, name: str) -> str:
        """Return the path of a file in it."""
        return str(self.folder / name)


SUBJECTS: Mapping[str, str] = {
    "server": f"IP:{HOST},DNS:localhost",
    "other": "DNS:elsewhere.example",
    "client": "DNS:watchdog",
}


def make_papers(folder: Path) -> Papers:
    """Write the keys and certificates with openssl."""

    def openssl(*arguments: str) -> None:
        subprocess.run([program("openssl"), *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for ca in ("ca", "stranger"):
        openssl(
            "req",
            "-x509",
            *key,
            "-days",
            "2",
            "-subj",
            f"/CN={ca}",
            "-keyout",
            f"{ca}.key",
            "-out",
            f"{ca}.crt",
        )
    for name, subject in SUBJECTS.items():
        openssl("req", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (folder / f"{name}.ext").write_text(f"subjectAltName={subject}\n", encoding="utf-8")
        signed_by = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial")
        openssl(
            "x509", "-req", "-in", f"{name}.csr", *signed_by, "-days", "2", "-extfile", f"{name}.ext",
            "-out", f"{name}.crt",
        )  # fmt: skip
    return Papers(folder)


@contextmanager
def tls_server(papers: Papers, name: str = "server", *, clients: bool = False) -> Iterator[int]:
    """Run a server that shows the certificate of *name*; yield the port where *clients* may need one too."""
    port = free_port()
    # fmt: off
    extra = (
        "--tls-port", str(port), "--tls-cert-file", papers(f"{name}.crt"),
        "--tls-key-file", papers(f"{name}.key"), "--tls-ca-cert-file", papers("ca.crt"),
        "--tls-auth-clients", "yes" if clients else "no",
    )
    # fmt: on
    with start_server(redis_7(), extra=extra):
        yield port
