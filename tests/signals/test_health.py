"""The health signal on real sockets: W13, X01, X03, and every other way of not being well."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.drawn import ids, rows
from tests.wire.servers import Papers, make_papers
from watchdog.endpoints.certificates import end_of
from watchdog.endpoints.dialing import Address, Resolver, UnansweredError
from watchdog.endpoints.documents import complaints, find, numbers, parse_expectations
from watchdog.errors import CollectError
from watchdog.model import Reading, SignalKey
from watchdog.signals.health import Health, HealthConfig

NOW = datetime(2026, 2, 19, 1, 50, 25, tzinfo=UTC)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
Serve = Callable[[socket.socket], None]


def health(url: str, **keys: object) -> Health:
    """Return the signal for *url*."""
    config = HealthConfig.model_validate({"url": url, **keys})
    return Health(SignalKey("execution", "health", config.labels()), config, timedelta(hours=1))


def ask(url: str, **keys: object) -> Reading:
    """Look once."""
    return health(url, **keys).look_here(NOW)


def told(reading: Reading) -> tuple[object, object, object]:
    """Return whether it is up, the problem in one word, and in a sentence."""
    return reading.values["up"], reading.values["problem"], reading.evidence.get("reason")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Return a socket that connections can be made to, which is all it does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def url_of(server: socket.socket, scheme: str = "http") -> str:
    """Return the address of *server*."""
    return f"{scheme}://127.0.0.1:{server.getsockname()[1]}/health"


@contextmanager
def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Run a server that has *serve* do whatever it likes with each connection; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                    with tls.wrap_socket(connection, server_side=True) if tls else connection as talk:
                        serve(talk)
                except ConnectionError:
                    continue  # the one that asked has had enough
                except OSError:
                    if server.fileno() < 0:
                        return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield url_of(server, "https" if tls else "http")
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.fixture(scope="module")
def canned() -> list[bytes]:
    """Return what the loudmouth says next."""
    return [OK]


@pytest.fixture(scope="module")
def loudmouth(canned: list[bytes]) -> Iterator[str]:
    """A server that says whatever is canned, whatever it is asked."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(canned[0])

    with serving(serve) as url:
        yield url


def saying(raw: bytes) -> Serve:
    """Return a server that hears the question and says *raw*."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(raw)

    return serve


def dripping(raw: bytes, pause: float) -> Serve:
    """Return a server that says *raw* byte by byte."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        for i in range(len(raw)):
            connection.sendall(raw[i : i + 1])
            time.sleep(pause)

    return serve


# ---- what it says ------------------------------------------------------------------------------

BODY = {
    "status": "ok", "eventbus": "DOWN", "ready": True, "last_error": None, "checks": [{"lag": 3}, {"lag": 9}],
    "db": {"pool.size": 2.5},
}  # fmt: skip
EXPECTATIONS = """
  expect                                                | reason
  {}                                                    |
  {status: ok, ready: true, checks.0.lag: 3}            |
  {ready: "True", checks.0.lag: "3.0", "db.pool.size": 2.5} |
  {last_error: null, no_such: null}                     |
  {status: [ok, degraded], checks.0.lag: "< 5"}         |
  {db: {"pool.size": ">= 2"}, checks: {1: {lag: 9}}}    |
  {checks.*.lag: "> 0"}                                 |
  {eventbus: UP}                                        | eventbus is "DOWN", expected "UP"
  {redis: UP}                                           | redis is missing, expected "UP"
  {checks.*.lag: "< 5"}                                 | checks.1.lag is 9, expected < 5
  {status: [up, degraded]}                              | status is "ok", expected one of "up", "degraded"
  {ready: false, status: null}                          | ready is true, expected false; status is "ok", expected null
  {status: "> 5"}                                       | status is "ok", expected > 5
  {checks.*.state: UP}                                  | checks.*.state is missing, expected "UP"
"""


@pytest.mark.parametrize(("expect", "reason"), rows(EXPECTATIONS), ids=ids(EXPECTATIONS))
def test_expectations(httpserver: HTTPServer, expect: str, reason: str) -> None:
    """X01: a 200 with `"eventbus": "DOWN"` inside is up only for those who do not ask."""
    httpserver.expect_request("/health").respond_with_json(BODY)
    found = ask(httpserver.url_for("/health"), expect=yaml.safe_load(expect))
    expected = (0.0, "expectation", reason) if reason else (1.0, "ok", None)
    assert expected == told(found)


def test_fails_open(httpserver: HTTPServer) -> None:
    """X03: a rejected API key is 200 and `healthy`; the count of errors gives it away, and is a measure."""
    httpserver.expect_request("/health").respond_with_json({"status": "healthy", "errors_last_hour": 120})
    found = ask(httpserver.url_for("/health"), expect={"errors_last_hour": "< 10"})
    assert told(found) == (0.0, "expectation", "errors_last_hour is 120, expected < 10")
    assert found.values["body.errors_last_hour"] == 120.0


def test_measures_of_an_answer(httpserver: HTTPServer) -> None:
    """Numbers and truths of the body are measures; what lies in lists is one if it is asked for."""
    body = {"errors_last_hour": 4, "ready": True, "db": {"pool.size": 2.5, "name": "x"}, "l": [1], "0bad": 1}
    httpserver.expect_request("/health").respond_with_json(body)
    found = dict(ask(httpserver.url_for("/health"), numbers=["l.0"]).values)
    latency = found.pop("latency")
    assert isinstance(latency, float)
    assert 0 < latency < 5
    expected = {
        "up": 1.0,
        "problem": "ok",
        "status": 200.0,
        "body.errors_last_hour": 4.0,
        "body.ready": 1.0,
        "body.db.pool.size": 2.5,
        "body.l.0": 1.0,
    }
    assert expected == found


def test_a_number_that_has_to_be_there_is_unknown_without(httpserver: HTTPServer) -> None:
    """A rule on a field that a deploy renamed would never fire again: so the signal is not known."""
    httpserver.expect_request("/health").respond_with_json({"errors": "none"})
    signal = health(httpserver.url_for("/health"), numbers=["errors"])
    found = signal.look_here(NOW)
    assert (found.known, found.values["up"], found.values["body.errors"]) == (False, 1.0, None)
    assert found.evidence == {"unknown": "no number in the answer: errors"}
    assert "body.errors" in signal.config.offered()


REPLIES: Sequence[tuple[str, Response, dict[str, Any], str, str]] = [
    ("not found", Response("nothing here", 404), {}, "status", "it answers 404"),
    ("unavailable", Response('{"status": "bad"}', 503), {}, "status", "it answers 503"),
    (
        "unavailable and wrong",
        Response('{"status": "bad"}', 503),
        {"expect": {"status": "ok"}},
        "status",
        'it answers 503; status is "bad", expected "ok"',
    ),
    ("not that one", Response("{}", 200), {"status": [204, 301]}, "status", "it answers 200, expected 204 or 301"),
    ("text", Response("OK"), {"expect": {"status": "ok"}}, "body", "its answer is not JSON"),
    ("too deep", Response("[" * 100_000), {"expect": {"a": 1}}, "body", "its answer is not JSON"),
    ("a list", Response("[1, 2]"), {"expect": {"a": 1}}, "expectation", "a is missing, expected 1"),
    ("too long", Response(b" " * (1 << 20) + b"{}"), {"expect": {"a": 1}}, "body", "its answer is longer than 1 MiB"),
    (
        "a bomb",
        Response(gzip.compress(bytes(1 << 24)), headers={"Content-Encoding": "gzip"}),
        {"expect": {"a": 1}},
        "body",
        "its answer is compressed (gzip) although it was asked not to be",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "keys", "problem", "reason"), [r[1:] for r in REPLIES], ids=[r[0] for r in REPLIES]
)
def test_wrong_answers(
    httpserver: HTTPServer, reply: Response, keys: dict[str, Any], problem: str, reason: str
) -> None:
    """An answer that will not do is down, with its status and its reason."""
    httpserver.expect_request("/health").respond_with_response(reply)
    found = ask(httpserver.url_for("/health"), **keys)
    assert told(found) == (0.0, problem, reason)
    assert found.values["status"] == float(reply.status_code)


@pytest.mark.parametrize("reply", [Response("OK"), Response("", 204), Response(b" " * (1 << 21))])
def test_anything_is_enough_where_nothing_is_expected(httpserver: HTTPServer, reply: Response) -> None:
    """`OK`, nothing at all or two megabytes: a fine answer that just holds no numbers."""
    httpserver.expect_request("/health").respond_with_response(reply)
    found = ask(httpserver.url_for("/health"))
    assert told(found) == (1.0, "ok", None)
    assert set(found.values) == {"up", "problem", "latency", "status"}


def test_statuses_that_are_well(httpserver: HTTPServer) -> None:
    """Whoever expects a redirect gets to see it, and does not follow it."""
    httpserver.expect_request("/health").respond_with_response(Response("", 302, {"Location": "/login"}))
    found = ask(httpserver.url_for("/health"), status=302)
    assert (found.values["up"], found.values["status"]) == (1.0, 302.0)


def test_the_body_is_evidence_without_what_harms(httpserver: HTTPServer) -> None:
    """Short, on one line, no control signs, no secrets, ours included."""
    said = 'down\x1b[2J\n{"api_key": "abc123", "echo": "Bearer my-own-token"} ' + "x" * 5000
    httpserver.expect_request("/health").respond_with_data(said, 500)
    found = ask(httpserver.url_for("/health"), headers={"X-Token": "my-own-token"})
    body = str(found.evidence["body"])
    assert body.startswith('down�[2J {"api_key": ***, "echo": "Bearer ***"} xxx')
    assert (len(body), body[-1]) == (200, "…")


def test_what_seems_a_secret_is_not_shown_as_a_complaint(httpserver: HTTPServer) -> None:
    """An expectation that fails must not put a password into a page."""
    httpserver.expect_request("/health").respond_with_json({"db": {"password": "hunter2"}})
    found = ask(httpserver.url_for("/health"), expect={"db": {"password": None}})
    assert "hunter2" not in str(found.evidence)
    assert found.evidence["reason"] == "db.password is ***, expected null"


# ---- no answer ---------------------------------------------------------------------------------


def held(connection: socket.socket) -> None:
    """Hear the question and say nothing until the other side has had enough."""
    while connection.recv(65536):
        pass


def reset(connection: socket.socket) -> None:
    """Break off without a goodbye."""
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


HEAD = b"HTTP/1.1 200 OK\r\n"
FAILURES: Sequence[tuple[str, Serve, str, str]] = [
    ("never answers", held, "no_answer", "it accepts the connection but does not answer within 200ms"),
    ("a byte at a time", dripping(OK, 0.05), "unfinished", "its answer is not complete within 200ms"),
    ("a body at its leisure", dripping(HEAD + b"\r\n" + b" " * 99, 0.02), "unfinished", "its answer is not complete within 200ms"),
    ("hangs up", lambda c: None, "cut_off", "the connection broke off: Connection reset by peer"),
    ("hears and hangs up", saying(b""), "cut_off", "it ends the connection without an answer"),
    ("resets", reset, "cut_off", "the connection broke off: Connection reset by peer"),
    ("stops halfway", saying(HEAD + b"Content-Length: 100\r\n\r\n{}"), "cut_off", "it ends the connection without a whole HTTP answer"),
    ("stops in the head", saying(HEAD), "cut_off", "it ends the connection without a whole HTTP answer"),
    ("a Redis", saying(b"-ERR unknown command 'GET'\r\n"), "not_http", "what answers there does not speak HTTP"),
    ("an SSH server", saying(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), "not_http", "what answers there does not speak HTTP"),
    ("TLS", saying(b"\x15\x03\x01\x00\x02\x02\x46"), "not_http", "it speaks TLS (write https:// in the url)"),
    ("two lengths", saying(HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}"), "not_http", "its answer is not valid HTTP"),
    ("another protocol", saying(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"), "not_http", "its answer is not valid HTTP"),
    ("huge headers", saying(HEAD + b"X: " + b"y" * (1 << 17)), "not_http", "its headers are longer than 64 KiB"),
    ("endless interim answers", saying(b"HTTP/1.1 103 Wait\r\n\r\n" * 500_000), "unfinished", "its answer is not complete within 200ms"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("serve", "problem", "reason"), [f[1:] for f in FAILURES], ids=[f[0] for f in FAILURES]
)
def test_failures_are_told_apart(serve: Serve, problem: str, reason: str) -> None:
    """Each has its word and its sentence, and none takes longer than the time-out (W13)."""
    with serving(serve) as url:
        began = time.monotonic()
        found = ask(url, timeout="200ms")
        took = time.monotonic() - began
    if problem == "cut_off" and "broke off" in reason:  # who is quicker decides what we hear first
        reason = str(found.evidence["reason"])
    assert told(found) == (0.0, problem, reason)
    assert set(found.values) == {"up", "problem"}
    assert found.known
    assert took < 2


def slowly(connection: socket.socket) -> None:
    """Think before answering."""
    connection.recv(65536)
    time.sleep(0.15)
    connection.sendall(OK)


TWINS: Sequence[tuple[str, Serve]] = [
    ("slow to answer", slowly),
    ("in pieces", dripping(OK, 0.002)),
    ("ends with the connection", saying(HEAD + b"\r\n{}")),
    ("in chunks", saying(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")),
    ("HTTP/1.0", saying(b"HTTP/1.0 200 OK\r\n\r\n{}")),
    ("an interim answer first", saying(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)),
    ("large headers", saying(HEAD + b"X: " + b"y" * 30_000 + b"\r\nContent-Length: 2\r\n\r\n{}")),
]  # fmt: skip


@pytest.mark.parametrize("serve", [t[1] for t in TWINS], ids=[t[0] for t in TWINS])
def test_healthy_twins_of_failures(serve: Serve) -> None:
    """Slow, odd or old-fashioned is not down."""
    with serving(serve) as url:
        assert told(ask(url, timeout="5s", expect={"a": None})) == (1.0, "ok", None)


def test_an_endless_answer_is_left_at_a_megabyte() -> None:
    """Nobody waits for the end of what has none."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(HEAD + b"\r\n")
        while True:
            connection.sendall(bytes(65536))

    with serving(serve) as url:
        found = ask(url, timeout="5s")
    assert told(found) == (1.0, "ok", None)


def test_nobody_listens(listener: socket.socket) -> None:
    """A refused connection is down, and has neither a status nor a latency."""
    url = url_of(listener)
    listener.close()
    found = ask(url)
    assert found.values == {"up": 0.0, "problem": "refused"}
    assert found.evidence == {"reason": "the connection is refused: nobody listens there"}
    assert found.known


def test_connection_is_not_even_accepted() -> None:
    """A full backlog is a process that has not accepted for long."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, socket.socket() as waiting:
        waiting.connect(server.getsockname())
        found = ask(url_of(server), timeout="200ms")
    assert told(found) == (0.0, "no_connection", "no connection within 200ms")


def test_a_unix_socket(tmp_path: Path) -> None:
    """Services that listen on no port at all."""
    path = str(tmp_path / "app.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                saying(OK)(connection)

        threading.Thread(target=serve, daemon=True).start()
        signal = health("http://app/health", socket=path)
        assert signal.look_here(NOW).values["up"] == 1.0
    assert dict(signal.key.labels) == {"url": "http://app/health", "socket": path}
    Path(path).unlink()
    assert told(signal.look_here(NOW)) == (0.0, "no_connection", "no connection: No such file or directory")


RAW = st.lists(
    st.sampled_from(
        [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 ", b"HTTP/1.1 100 Continue\r\n\r\n", b"Content-Length: 3\r\n",
         b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n", b"Location: /\r\n", b"\r\n", b"\n",
         b"3\r\n{}x\r\n", b"0\r\n\r\n", b"ffffffffffffffffffff\r\n", b"{}", b"\x00\xff", b": x\r\n", b"302 Found\r\n"]
    ), max_size=7,
).map(b"".join)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RAW)
def test_any_bytes_may_be_answered(canned: list[bytes], loudmouth: str, raw: bytes) -> None:
    """Whatever comes back is up or down, for a reason, and never a crash."""
    canned[:] = [raw]
    up, problem, reason = told(ask(loudmouth, timeout="2s"))
    assert (up == 1.0) == (problem == "ok") == (reason is None)


# ---- names -------------------------------------------------------------------------------------

NAMES = {
    ".".join(["a" * 60] * 5): "the name of its host is not known (DNS)",  # too long to be asked of anybody
    "a" * 64: "the name of its host is none that can exist",
}


@pytest.mark.parametrize(("host", "reason"), NAMES.items(), ids=["unknown", "impossible"])
def test_unresolved_names(host: str, reason: str) -> None:
    """A name that leads nowhere is down like everything that does not answer."""
    assert told(ask(f"http://{host}/health")) == (0.0, "dns", reason)


def test_a_look_up_that_hangs_is_waited_for_in_time_and_only_once() -> None:
    """A dead name server holds a look for its time-out, not for its own; threads do not pile up."""
    answered, asked = threading.Event(), []

    def slow(host: str, port: int) -> list[Address]:
        asked.append(host)
        answered.wait(10)
        return [Address(socket.AF_INET, ("127.0.0.1", port))]

    resolver = Resolver(slow)
    for _ in range(3):
        with pytest.raises(UnansweredError, match="not found in time") as failure:
            resolver.addresses("a.example", 80, time.perf_counter() + 0.02)
        assert failure.value.problem == "dns"
    answered.set()
    found = resolver.addresses("a.example", 80, time.perf_counter() + 5)
    assert (found, asked) == ([Address(socket.AF_INET, ("127.0.0.1", 80))], ["a.example"])


def test_the_second_address_of_a_name(httpserver: HTTPServer, listener: socket.socket) -> None:
    """`localhost` is often ::1 first, where nobody listens."""
    httpserver.expect_request("/health").respond_with_data("OK")
    signal = health(f"http://two.example:{httpserver.port}/health")
    places = [("127.0.0.1", 1), ("127.0.0.1", httpserver.port)]
    signal._resolver = Resolver(lambda host, port: [Address(socket.AF_INET, place) for place in places])
    assert signal.look_here(NOW).values["up"] == 1.0


# ---- redirects ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("hops", "up"), [(0, 1.0), (3, 1.0), (4, 0.0)])
def test_redirects(httpserver: HTTPServer, hops: int, up: float) -> None:
    """Three redirects are followed, a fourth is a loop."""

    def serve(request: Request) -> Response:
        left = int(request.args["left"])
        return Response("OK") if not left else Response("", 302, {"Location": f"/health?left={left - 1}"})

    httpserver.expect_request("/health").respond_with_handler(serve)
    found = ask(httpserver.url_for(f"/health?left={hops}"))
    expected = (1.0, "ok", None) if up else (0.0, "redirects", "it redirects more than 3 times")
    assert expected == told(found)


HEARD = """
  sent on to                    | Authorization | X-Key
  http://127.0.0.1:{own}/there  | Basic bWU6cHc= | secret-key
  http://127.0.0.1:{other}/x    | -              | -
  http://localhost:{own}/there  | -              | -
"""


@pytest.mark.parametrize(("target", "authorization", "key"), rows(HEARD), ids=ids(HEARD))
def test_what_is_secret_is_told_only_whom_it_is_meant_for(
    httpserver: HTTPServer, target: str, authorization: str, key: str
) -> None:
    """A redirect to another host, or another port of it, gets neither password nor headers of ours."""
    heard = b""

    def serve(connection: socket.socket) -> None:
        nonlocal heard
        heard = connection.recv(65536)
        connection.sendall(OK)

    def there(request: Request) -> Response:
        nonlocal heard
        heard = str(request.headers).encode()
        return Response("{}")

    with serving(serve) as other:
        where = target.format(own=httpserver.port, other=other.split(":")[2].split("/")[0])
        httpserver.expect_request("/health").respond_with_response(Response("", 307, {"Location": where}))
        httpserver.expect_request("/there").respond_with_handler(there)
        url = f"http://me:pw@127.0.0.1:{httpserver.port}/health"
        found = ask(url, headers={"X-Key": "secret-key"})
    lines = dict(line.split(": ", 1) for line in heard.decode().splitlines() if ": " in line)
    assert (lines.get("Authorization", "-"), lines.get("X-Key", "-")) == (authorization, key)
    assert (found.values["up"], found.evidence) == (1.0, {"answered_by": where})


@pytest.mark.parametrize("location", ["mailto:a@b.example", "ftp://a/", "http://a:b/", "file:///etc/passwd"])
def test_redirects_to_nowhere(location: str) -> None:
    """Only the web is followed."""
    raw = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    with serving(saying(raw)) as url:
        assert ask(url).values["problem"] == "redirects"


def test_a_question_with_a_body_is_not_sent_on(httpserver: HTTPServer) -> None:
    """What was meant for one address is not posted to another."""
    httpserver.expect_request("/health", method="POST", data='{"q": 1}').respond_with_response(
        Response("", 307, {"Location": "http://elsewhere.example/"})
    )
    found = ask(httpserver.url_for("/health"), method="POST", body='{"q": 1}')
    assert told(found) == (0.0, "status", "it answers 307")


# ---- TLS ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    """Return a CA, what it signed, and a certificate that ended yesterday."""
    found = make_papers(tmp_path_factory.mktemp("papers"))
    Path(found("old.ext")).write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:TRUE\n")
    for arguments in (
        ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=old",
         "-keyout", found("old.key"), "-out", found("old.csr")),
        ("x509", "-req", "-in", found("old.csr"), "-signkey", found("old.key"), "-days", "-1",
         "-extfile", found("old.ext"), "-out", found("old.crt")),
    ):  # fmt: skip
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)
    return found


def context_of(papers: Papers, name: str, *, clients: bool = False) -> ssl.SSLContext:
    """Return how a server talks TLS that shows the certificate of *name*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers(f"{name}.crt"), papers(f"{name}.key"))
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(papers("ca.crt"))
    return context


CERTIFICATES = """
  shown  | tls                                   | problem     | reason                                                  | days
  server | {ca: ca.crt}                          | ok          |                                                         | 2
  server | {verify: false}                       | ok          |                                                         | 2
  other  | {ca: ca.crt, name: elsewhere.example} | ok          |                                                         | 2
  old    | {verify: false}                       | ok          |                                                         | -1
  server | {}                                    | certificate | unable to get local issuer certificate                  | 2
  server | {ca: stranger.crt}                    | certificate | unable to get local issuer certificate                  | 2
  other  | {ca: ca.crt}                          | certificate | IP address mismatch, certificate is not valid for '127.0.0.1'. | 2
  old    | {ca: old.crt}                         | certificate | certificate has expired                                 | -1
  old    | {}                                    | certificate | self-signed certificate                                 | -1
"""


@pytest.mark.parametrize("case", rows(CERTIFICATES), ids=ids(CERTIFICATES))
def test_certificates(papers: Papers, case: tuple[str, ...]) -> None:
    """Which are accepted, why not, and when each ends: also one that is not accepted."""
    shown, tls, problem, reason, days = case
    keys = {k: papers(v) if k == "ca" else v for k, v in yaml.safe_load(tls).items()}
    now = datetime.now(UTC)
    with serving(saying(OK), context_of(papers, shown)) as url:
        found = health(url, tls=keys).look_here(now)
    why = f"its TLS certificate is not accepted: {reason}" if reason else None
    assert told(found) == (float(problem == "ok"), problem, why)
    left = found.values["certificate"]
    assert isinstance(left, float)
    assert abs(left - int(days) * 86_400) < 600
    assert found.evidence["certificate_ends"]


def test_our_own_certificate(papers: Papers) -> None:
    """A server that wants one gets it; without, it is TLS that fails, not the service."""
    ours = {"ca": papers("ca.crt"), "cert": papers("client.crt"), "key": papers("client.key")}
    with serving(saying(OK), context_of(papers, "server", clients=True)) as url:
        assert ask(url, tls=ours).values["up"] == 1.0
        refused = ask(url, tls={"ca": papers("ca.crt")})
    assert refused.values["up"] == 0.0
    assert refused.values["problem"] in ("tls", "cut_off")
    assert "certificate" in refused.values


def test_no_tls_there() -> None:
    """https on a port that speaks plain HTTP, or nothing at all."""
    with serving(saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url:
        found = ask(url.replace("http", "https"))
    assert told(found) == (0.0, "tls", "TLS is not possible with it: wrong version number")
    with serving(held) as url:
        found = ask(url.replace("http", "https"), timeout="100ms")
    assert told(found) == (0.0, "tls", "it accepts the connection but no TLS within 100ms")


def test_unreadable_papers_of_ours_are_unknown_not_down(papers: Papers, tmp_path: Path) -> None:
    """What keeps us from asking says nothing of the service."""
    (tmp_path / "empty").write_text("")
    with serving(saying(OK), context_of(papers, "server")) as url:
        with pytest.raises(CollectError, match=r"the TLS file \S+/none cannot be read: No such file"):
            ask(url, tls={"ca": str(tmp_path / "none")})
        with pytest.raises(CollectError, match="holds no certificate"):
            ask(url, tls={"ca": str(tmp_path / "empty")})
        with pytest.raises(CollectError, match="are no certificate and key"):
            ask(url, tls={"cert": papers("client.crt"), "key": papers("other.key")})


@given(st.binary(max_size=200))
def test_any_bytes_may_be_shown_as_a_certificate(der: bytes) -> None:
    """Nothing crashes, and nothing but a certificate has an end."""
    assert end_of(der) is None
    assert end_of(b"\x30\x84" + der) is None


# ---- secrets, surroundings, the file -----------------------------------------------------------


def test_secrets_of_the_address_are_not_labels(httpserver: HTTPServer) -> None:
    """User and password are sent, but never shown."""
    httpserver.expect_request("/health", headers={"Authorization": "Basic bWU6cHc="}).respond_with_data("OK")
    url = f"http://me:pw@127.0.0.1:{httpserver.port}/health?token=abc#x"
    signal = health(url)
    assert {"url": f"http://127.0.0.1:{httpserver.port}/health"} == signal.key.labels
    assert signal.look_here(NOW).values["up"] == 1.0


def test_headers_are_sent_and_never_shown(httpserver: HTTPServer, tmp_path: Path) -> None:
    """From the file itself or from one of their own."""
    (tmp_path / "token").write_text("Bearer s3cret-token\n")
    wanted = {"Authorization": "Bearer s3cret-token", "X-Version": "2", "Host": "inner.example"}
    httpserver.expect_request("/health", headers=wanted).respond_with_data("OK")
    signal = health(
        httpserver.url_for("/health"),
        headers={"Authorization": {"file": str(tmp_path / "token")}, "X-Version": 2, "Host": "inner.example"},
    )
    assert signal.look_here(NOW).values["up"] == 1.0
    assert "s3cret" not in f"{signal.config!r}{signal.config.model_dump_json()}"


def test_the_environments_proxy_is_left_aside(
    httpserver: HTTPServer, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that hangs says nothing about the service."""
    monkeypatch.setenv("HTTP_PROXY", url_of(listener))
    monkeypatch.setenv("NO_PROXY", "")
    httpserver.expect_request("/health").respond_with_data("OK")
    assert ask(httpserver.url_for("/health"), timeout="2s").values["up"] == 1.0


REFUSED = [
    ({"url": ""}, "web address"),
    ({"url": "127.0.0.1:8002/health"}, "web address"),
    ({"url": "ftp://127.0.0.1/"}, "web address"),
    ({"url": "http:///health"}, "web address"),
    ({"url": "http://a:b/"}, "not an address"),
    ({"expects": {}}, "expects"),
    ({"expect": {"a": {}}}, "a expects nothing"),
    ({"expect": {"a": []}}, "compared with nothing"),
    ({"expect": {"a": [{}]}}, "compared with nothing"),
    ({"status": 42}, "status"),
    ({"headers": {"X Key": "a"}}, "no name of a header"),
    ({"headers": {"X-Key": "a\nb"}}, "cannot be sent"),
    ({"tls": {"verify": False}}, "tls is for https"),
    ({"url": "https://a/", "tls": {"key": "k"}}, "give cert as well"),
    ({"method": "get"}, "method"),
    ({"numbers": ["0.a"]}, "numbers"),
]


@pytest.mark.parametrize(("keys", "why"), REFUSED, ids=[str(keys) for keys, _ in REFUSED])
def test_what_can_never_be_asked_is_an_error_of_the_file(keys: dict[str, Any], why: str) -> None:
    """Said when the file is read, in words."""
    with pytest.raises(ValidationError, match=why):
        HealthConfig.model_validate({"url": "http://127.0.0.1/", **keys})


def test_only_https_has_a_certificate_that_rules_may_ask_for() -> None:
    """A rule on the certificate of a plain address could never fire."""
    assert "certificate" not in health("http://a/").config.offered()
    assert "certificate" in health("https://a/").config.offered()


# ---- documents ---------------------------------------------------------------------------------


def test_body_is_cut_at_fifty_numbers() -> None:
    """A service that lists everything does not become a thousand measures."""
    found = numbers({f"n{i}": i for i in range(200)})
    assert [f"n{i}" for i in range(50)] == list(found)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1" + "0" * 400, "-1e999"])
def test_numbers_that_are_none(text: str) -> None:
    """What no float can hold is left out."""
    assert numbers({"n": json.loads(text)}) == {}


PATHS = [("a.b", 1), ("a.c", 2), ("l.1", 5), ("l.1.x", "missing"), ("l.7", "missing"), ("x", "missing")]


@pytest.mark.parametrize(("path", "expected"), PATHS)
def test_paths(path: str, expected: object) -> None:
    """Dots descend, into lists by number, unless they are part of a name."""
    found = find({"a.b": 1, "a": {"b": 9, "c": 2}, "l": [4, 5]}, path)
    assert expected == (found if isinstance(found, int) else "missing")


NAME = st.text("ab.*0²", max_size=4)
SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
DOCUMENT = st.recursive(SCALAR, lambda d: st.lists(d, max_size=3) | st.dictionaries(NAME, d, max_size=3))
WANTED = st.dictionaries(NAME, SCALAR | st.lists(SCALAR, min_size=1, max_size=3), max_size=4)


@settings(max_examples=60)
@given(DOCUMENT, WANTED)
def test_any_document_can_be_compared_with_any_expectation(document: object, wanted: dict[str, Any]) -> None:
    """No crash; what is there as it is expected is no complaint, and numbers are finite."""
    expectations = parse_expectations(wanted)
    assert all(isinstance(sentence, str) for sentence in complaints(document, expectations))
    assert all(abs(number) < 1e300 for number in numbers(document).values())
