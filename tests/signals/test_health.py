"""The health signal on real sockets."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from watchdog.model import Reading, SignalKey
from watchdog.signals.health import Health, HealthConfig, body_values, find, why

NOW = datetime(2026, 2, 19, 1, 50, 25, tzinfo=UTC)
EVENTBUS = {"status": "ok", "eventbus": "DOWN", "ready": True, "checks": [{"lag": 3}]}


def health(url: str, **keys: object) -> Health:
    """Return the signal for *url*."""
    config = HealthConfig.model_validate({"url": url, **keys})
    return Health(SignalKey("execution", "health", config.labels()), config, timedelta(hours=1))


def ask(url: str, **keys: object) -> Reading:
    """Look once."""
    return health(url, **keys).look_here(NOW)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Return a socket that connections can be made to, which is all it does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def url_of(server: socket.socket, scheme: str = "http") -> str:
    """Return the address of *server*."""
    return f"{scheme}://127.0.0.1:{server.getsockname()[1]}/health"


def answer_once(server: socket.socket, raw: bytes) -> None:
    """Accept one connection in a thread, answer it with *raw*, and close it."""

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(raw)

    threading.Thread(target=serve, daemon=True).start()


EXPECTATIONS = [
    ("none", {}, 1.0, None),
    ("met", {"status": "ok", "ready": True, "checks.0.lag": 3}, 1.0, None),
    ("written otherwise", {"ready": "True", "checks.0.lag": "3.0"}, 1.0, None),
    ("not met", {"eventbus": "UP"}, 0.0, 'eventbus is "DOWN", expected "UP"'),
    ("missing", {"redis": "UP"}, 0.0, 'redis is missing, expected "UP"'),
    (
        "several",
        {"ready": False, "checks.0.lag": 0, "status": None},
        0.0,
        'ready is true, expected false; checks.0.lag is 3, expected 0; status is "ok", expected null',
    ),
]


@pytest.mark.parametrize(
    ("expect", "up", "reason"), [e[1:] for e in EXPECTATIONS], ids=[e[0] for e in EXPECTATIONS]
)
def test_expectations(httpserver: HTTPServer, expect: dict[str, Any], up: float, reason: str | None) -> None:
    """A 200 with `"eventbus": "DOWN"` inside is up only for those who do not ask."""
    httpserver.expect_request("/health").respond_with_json(EVENTBUS)
    found = ask(httpserver.url_for("/health"), expect=expect)
    assert up == found.values["up"]
    assert ({} if reason is None else {"reason": reason}) == found.evidence


def test_measures_of_an_answer(httpserver: HTTPServer) -> None:
    """Numbers and truths of the body are measures; what lies in lists or is text is not."""
    body = {"errors_last_hour": 4, "ready": True, "db": {"pool.size": 2.5, "name": "x"}, "l": [1], "0bad": 1}
    httpserver.expect_request("/health").respond_with_json(body)
    found = dict(ask(httpserver.url_for("/health")).values)
    latency = found.pop("latency")
    assert isinstance(latency, float)
    assert 0 < latency < 5
    expected = {
        "up": 1.0,
        "status": 200.0,
        "body.errors_last_hour": 4.0,
        "body.ready": 1.0,
        "body.db.pool.size": 2.5,
    }
    assert expected == found


REPLIES = [
    ("not found", Response("nothing here", 404), {}, "it answers 404"),
    ("unavailable", Response('{"status": "bad"}', 503), {}, "it answers 503"),
    (
        "unavailable and wrong",
        Response('{"status": "bad"}', 503),
        {"status": "ok"},
        'it answers 503; status is "bad", expected "ok"',
    ),
    ("text", Response("OK"), {"status": "ok"}, "its answer is not JSON"),
    ("nested too deep", Response("[" * 100_000), {"status": "ok"}, "its answer is not JSON"),
    ("a list", Response("[1, 2]"), {"status": "ok"}, 'status is missing, expected "ok"'),
    ("too long", Response(b" " * (1 << 20) + b"{}"), {"a": 1}, "its answer is longer than 1 MiB"),
]


@pytest.mark.parametrize(("reply", "expect", "reason"), [r[1:] for r in REPLIES], ids=[r[0] for r in REPLIES])
def test_wrong_answers(httpserver: HTTPServer, reply: Response, expect: dict[str, Any], reason: str) -> None:
    """An answer that will not do is down, with its status and its reason."""
    httpserver.expect_request("/health").respond_with_response(reply)
    found = ask(httpserver.url_for("/health"), expect=expect)
    assert (0.0, float(reply.status_code)) == (found.values["up"], found.values["status"])
    assert {"reason": reason} == found.evidence


def test_text_is_enough_where_nothing_is_expected(httpserver: HTTPServer) -> None:
    """`OK` is a fine answer; it just holds no numbers."""
    httpserver.expect_request("/health").respond_with_data("OK")
    assert {"up", "latency", "status"} == set(ask(httpserver.url_for("/health")).values)


@pytest.mark.parametrize(("hops", "up"), [(0, 1.0), (3, 1.0), (4, 0.0)])
def test_redirects(httpserver: HTTPServer, hops: int, up: float) -> None:
    """Three redirects are followed, a fourth is a loop."""

    def serve(request: Request) -> Response:
        left = int(request.args["left"])
        return Response("OK") if not left else Response("", 302, {"Location": f"/health?left={left - 1}"})

    httpserver.expect_request("/health").respond_with_handler(serve)
    found = ask(httpserver.url_for(f"/health?left={hops}"))
    assert up == found.values["up"]
    assert ({} if up else {"reason": "it redirects more than 3 times"}) == found.evidence


def test_nobody_listens(listener: socket.socket) -> None:
    """A refused connection is down, and has neither a status nor a latency."""
    url = url_of(listener)
    listener.close()
    found = ask(url)
    assert found.values == {"up": 0.0}
    assert found.evidence == {"reason": "the connection is refused: nobody listens there"}
    assert found.known


NAMES = {
    ".".join(["a" * 60] * 5): "the name of its host is not known (DNS)",  # too long to be asked of anybody
    "a" * 64: "the name of its host is none that can exist",
}


@pytest.mark.parametrize(("host", "reason"), NAMES.items(), ids=["unknown", "impossible"])
def test_unresolved_names(host: str, reason: str) -> None:
    """A name that leads nowhere is down like everything that does not answer."""
    assert {"reason": reason} == ask(f"http://{host}/health").evidence


def test_accepts_but_never_answers(listener: socket.socket) -> None:
    """The kernel accepts on behalf of a process that hangs."""
    found = ask(url_of(listener), timeout="200ms")
    expected = {"reason": "it accepts the connection but does not answer within 200ms"}
    assert expected == found.evidence


def test_connection_is_not_even_accepted() -> None:
    """A full backlog is a process that has not accepted for long."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, socket.socket() as waiting:
        waiting.connect(server.getsockname())
        found = ask(url_of(server), timeout="200ms")
    assert found.evidence == {"reason": "no connection within 200ms"}


def test_answer_that_stops_halfway(listener: socket.socket) -> None:
    """A body shorter than announced is no whole answer, even with status 200."""
    answer_once(listener, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}")
    expected = {"reason": "it ends the connection without a whole HTTP answer"}
    assert expected == ask(url_of(listener)).evidence


def test_not_http(listener: socket.socket) -> None:
    """The wrong port may belong to something else altogether."""
    answer_once(listener, b"-ERR unknown command 'GET'\r\n")
    expected = {"reason": "it ends the connection without a whole HTTP answer"}
    assert expected == ask(url_of(listener)).evidence


def test_no_tls_there(listener: socket.socket) -> None:
    """https on a port that speaks plain HTTP."""
    answer_once(listener, b"HTTP/1.1 400 Bad Request\r\n\r\n")
    expected = {"reason": "TLS is not possible with it: wrong version number"}
    assert expected == ask(url_of(listener, "https")).evidence


def test_a_failure_without_a_known_cause() -> None:
    """What nobody foresaw is still told in a sentence."""
    assert why(httpx.DecodingError(""), timedelta(seconds=1)) == "it cannot be asked (DecodingError)"


def test_secrets_of_the_address_are_not_labels(httpserver: HTTPServer) -> None:
    """User and password are sent, but never shown."""
    httpserver.expect_request("/health", headers={"Authorization": "Basic bWU6cHc="}).respond_with_data("OK")
    url = f"http://me:pw@127.0.0.1:{httpserver.port}/health?token=abc#x"
    signal = health(url)
    assert {"url": f"http://127.0.0.1:{httpserver.port}/health"} == signal.key.labels
    assert signal.look_here(NOW).values["up"] == 1.0


def test_the_environments_proxy_is_left_aside(
    httpserver: HTTPServer, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that hangs says nothing about the service."""
    monkeypatch.setenv("HTTP_PROXY", url_of(listener))
    monkeypatch.setenv("NO_PROXY", "")
    httpserver.expect_request("/health").respond_with_data("OK")
    assert ask(httpserver.url_for("/health"), timeout="2s").values["up"] == 1.0


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8002/health", "ftp://127.0.0.1/", "http:///health", "http://a:b/"]
)
def test_refused_addresses(url: str) -> None:
    """An address that can never be asked is an error of the file."""
    with pytest.raises(ValidationError):
        HealthConfig.model_validate({"url": url})


def test_unknown_key_is_refused() -> None:
    """A typo in a key is an error of the file."""
    with pytest.raises(ValidationError):
        HealthConfig.model_validate({"url": "http://127.0.0.1/", "expects": {}})


def test_body_is_cut_at_fifty_numbers() -> None:
    """A service that lists everything does not become a thousand measures."""
    found = body_values({f"n{i}": i for i in range(200)})
    assert [f"body.n{i}" for i in range(50)] == list(found)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1" + "0" * 400, "-1e999"])
def test_numbers_that_are_none(text: str) -> None:
    """What no float can hold is left out."""
    assert body_values({"n": json.loads(text)}) == {}


PATHS = [("a.b", 1), ("a.c", 2), ("l.1", 5), ("l.1.x", "missing"), ("l.7", "missing"), ("x", "missing")]


@pytest.mark.parametrize(("path", "expected"), PATHS)
def test_paths(path: str, expected: object) -> None:
    """Dots descend, into lists by number, unless they are part of a name."""
    found = find({"a.b": 1, "a": {"b": 9, "c": 2}, "l": [4, 5]}, path)
    assert expected == (found if isinstance(found, int) else "missing")
