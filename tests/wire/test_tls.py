"""TLS: a server is trusted by its CA and its name, and may want to see a certificate of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.wire.servers import Papers, make_papers, redis_7, tls_server
from watchdog.demo.server import HOST, start_server
from watchdog.errors import SourceDownError
from watchdog.wire import Batch, open_wire

PING = Batch([("PING",)])


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    """Return fresh certificates."""
    return make_papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module")
def open_to_all(papers: Papers) -> Iterator[int]:
    """A server that shows a certificate of its own."""
    with tls_server(papers) as port:
        yield port


@pytest.fixture(scope="module")
def choosy(papers: Papers) -> Iterator[int]:
    """A server that wants a certificate of its clients."""
    with tls_server(papers, clients=True) as port:
        yield port


def ask(url: str, timeout: float = 5.0) -> str:
    """Return what a PING to *url* brings: PONG, or why there is none."""

    async def once() -> str:
        wire = open_wire(url, timeout)
        try:
            (reply,) = await wire.ask(PING)
            return str(reply.decode())
        except SourceDownError as exc:
            return str(exc)
        finally:
            await wire.close()

    return asyncio.run(once())


def test_trusted_by_its_ca(open_to_all: int, papers: Papers) -> None:
    """By address and by name."""
    found = [
        ask(f"rediss://{host}:{open_to_all}/0?ssl_ca_certs={papers('ca.crt')}")
        for host in (HOST, "localhost")
    ]
    assert found == ["PONG", "PONG"]


DISTRUST = {
    "the system's CAs do not know it": ("", "self-signed certificate in certificate chain"),
    "nor does a stranger's": ("?ssl_ca_certs=stranger.crt", "self-signed certificate in certificate chain"),
}


@pytest.mark.parametrize(("options", "why"), DISTRUST.values(), ids=DISTRUST)
def test_not_trusted(open_to_all: int, papers: Papers, options: str, why: str) -> None:
    """Nothing is sent to a server that cannot show who it is, the password least of all."""
    options = options.replace("stranger.crt", papers("stranger.crt"))
    told = ask(f"rediss://:topsecret@{HOST}:{open_to_all}/0{options}")
    assert told == f"Redis at {HOST}:{open_to_all} cannot be trusted: {why}"


def test_another_name(papers: Papers) -> None:
    """A certificate of somebody else does not do, unless the name is said not to matter."""
    with tls_server(papers, "other") as port:
        url = f"rediss://{HOST}:{port}/0?ssl_ca_certs={papers('ca.crt')}"
        told = ask(url)
        assert told.startswith(f"Redis at {HOST}:{port} cannot be trusted: IP address mismatch")
        assert ask(f"{url}&ssl_check_hostname=false") == "PONG"
        assert ask(f"rediss://{HOST}:{port}/0?ssl_cert_reqs=none") == "PONG"


def test_a_certificate_of_ours(choosy: int, papers: Papers) -> None:
    """Shown, we are let in; not shown, the sentence says that it is about TLS."""
    url = f"rediss://{HOST}:{choosy}/0?ssl_ca_certs={papers('ca.crt')}"
    ours = f"&ssl_certfile={papers('client.crt')}&ssl_keyfile={papers('client.key')}"
    assert ask(url + ours) == "PONG"
    told = ask(url)
    assert told.startswith(f"Redis at {HOST}:{choosy} ")
    assert "certificate required" in told or "does it want a certificate? add ssl_certfile" in told


MISSING = {
    "CA": "?ssl_ca_certs=/nowhere/file",
    "certificate": "?ssl_certfile=/nowhere/file",
    "key": "?ssl_certfile=/dev/null&ssl_keyfile=/nowhere/file",
}


@pytest.mark.parametrize("options", MISSING.values(), ids=MISSING)
def test_a_file_that_is_missing(open_to_all: int, options: str) -> None:
    """It is our own fault, and said so."""
    told = ask(f"rediss://{HOST}:{open_to_all}/0{options}")
    why = "cannot be asked over TLS: /nowhere/file cannot be read: No such file or directory"
    assert told == f"Redis at {HOST}:{open_to_all} {why}"


def test_plain_where_there_is_tls(open_to_all: int) -> None:
    """A plain question to a TLS port is told, and not waited for."""
    told = ask(f"redis://{HOST}:{open_to_all}/0")
    assert told == f"Redis at {HOST}:{open_to_all} closes the connection (does it want TLS? write rediss://)"


def test_tls_where_there_is_none(papers: Papers) -> None:
    """A server without TLS waits for the end of a line that never comes."""
    with start_server(redis_7()) as server:
        told = ask(f"rediss://{HOST}:{server.port}/0?ssl_ca_certs={papers('ca.crt')}", 0.3)
    assert told == f"Redis at {HOST}:{server.port} does not answer in time"
