"""What comes over the wire as no client would send it: paths with tricks, bodies without end."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections.abc import AsyncIterator
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest
from starlette.responses import PlainTextResponse

from tests.drawn import ids, rows
from tests.web.conftest import TOKEN, Desk
from watchdog.clock import utc_now
from watchdog.web.app import build_app
from watchdog.web.server import WebServer, bind


@pytest.fixture
async def port(desk: Desk) -> AsyncIterator[int]:
    """Where the sidecar really listens."""
    await desk.tick()
    listener = bind("127.0.0.1", 0)
    web = WebServer(build_app(desk.sidecar), listener)
    web.start()
    yield listener.getsockname()[1]
    await web.stop()


async def said(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes as they are and return status, headers and body of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    writer.close()
    return int(first.split()[1]), headers, body


TRICKS = """
  path                                     | status
  /api/v1/status                           | 200
  /api/v1/status/                          | 404
  //api/v1/status                          | 404
  /api//v1/status                          | 404
  /API/V1/STATUS                           | 404
  /api/v1/./status                         | 404
  /api/v1/x/../status                      | 404
  /api/v1/x/%2e%2e/status                  | 404
  /%2e%2e/%2e%2e/etc/passwd                | 404
  /..%2f..%2fetc/passwd                    | 404
  /api/v1%2fstatus                         | 200
  /api/v1/status%00                        | 404
  /api/v1/silences/%00                     | 404
  /api/v1/silences/..%2falerts             | 404
  /api/v1/silences/%ff%fe                  | 404
  /api/v1/silences/%                       | 404
  /api/v1/silences/                        | 404
  /health/..%2f..%2fapi%2fv1%2fstatus      | 404
  /health/%3Cscript%3E                     | 404
  /health/worker%00                        | 404
  /health/                                 | 404
  /-/../api/v1/status                      | 404
  /metrics/../api/v1/status                | 404
  /api/v1/alerts?fingerprint=%00           | 422
  /api/v1/alerts?service=%00&service=%ff   | 200
  /?a=b                                    | 200
  http://evil.example/api/v1/status        | 404
"""


@pytest.mark.parametrize(("path", "status"), rows(TRICKS), ids=ids(TRICKS))
async def test_a_path_means_what_it_says_or_nothing(port: int, path: str, status: str) -> None:
    """No trick leads anywhere else, and none is repeated in the answer."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    code, headers, body = await said(port, request)
    assert str(code) == status
    if code >= 400:
        assert headers["content-type"] == "application/json"
        assert b"script" not in body
        assert set(headers) >= {"x-content-type-options", "cache-control"}
        assert "server" not in headers


async def test_a_long_path_leads_nowhere(port: int) -> None:
    """And is not repeated."""
    request = f"GET /api/v1/silences/{'a' * 60_000} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    assert (await said(port, request))[::2] == (404, b'{"error": "there is no such silence"}')


async def test_a_path_without_end_is_cut_off(port: int) -> None:
    """Whoever sends it gets a 400 or nothing; all others are served as before."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionError):
        writer.write(b"GET /")
        while not writer.transport.is_closing():
            writer.write(b"a" * 100_000)
            await writer.drain()
    writer.close()
    assert (await said(port, b"GET /-/ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"))[0] == 200


@pytest.mark.parametrize("path", ["/api/v1/status%0d%0aX: y", "/api/v1/alerts?service=%0d%0aX:%20y"])
async def test_no_line_of_an_answer_can_be_asked_for(port: int, path: str) -> None:
    """A line feed in the question is none in the headers of the answer."""
    encoded = path.replace(" ", "%20")
    request = f"GET {encoded} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    _, headers, _ = await said(port, request)
    assert "x" not in headers


def posted(headers: str, body: bytes) -> bytes:
    """Return a request to make a silence."""
    head = f"POST /api/v1/silences HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
    return f"{head}Content-Type: application/json\r\n{headers}\r\n\r\n".encode() + body


def in_chunks(body: bytes, size: int = 8_192) -> bytes:
    """Return *body* as chunks, without the one that ends it."""
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts)


MOST = 64 * 1024
SENT = {
    "with its length": posted(f"Content-Length: {MOST + 1}", b" " * (MOST + 1)),
    "with a length of terabytes": posted("Content-Length: 9999999999999", b" " * (MOST + 1)),
    "in chunks without an end": posted("Transfer-Encoding: chunked", in_chunks(b" " * (MOST + 1))),
}


@pytest.mark.parametrize("request_", SENT.values(), ids=SENT)
async def test_a_body_without_end_is_not_read_to_the_end(port: int, request_: bytes) -> None:
    """However it is sent; the connection is closed, since nobody reads the rest."""
    code, headers, body = await said(port, request_)
    assert (code, headers["connection"], body) == (
        413,
        "close",
        b'{"error": "the body is longer than 65536 bytes"}',
    )


async def test_a_body_of_just_that_size_is_read(port: int, desk: Desk) -> None:
    """In chunks as well."""
    json = b'{"matchers": [{"name": "service", "value": "x"}], "duration": "1h", "comment": "x"}'
    for headers, wrap in (("Content-Length: 65536", bytes), ("Transfer-Encoding: chunked", in_chunks)):
        end = b"0\r\n\r\n" if wrap is in_chunks else b""
        code, _, _ = await said(port, posted(headers, wrap(json.ljust(MOST)) + end))
        assert code == 200
    assert len(desk.sidecar.wishes.silences) == 2


async def test_without_a_token_no_body_is_read_at_all(port: int) -> None:
    """Who may not write cannot make anybody read."""
    request = b"POST /api/v1/silences HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 60000\r\n\r\n"
    code, _, _ = await said(port, request)
    assert code == 401


NO_METHODS = """
  asked for                       | status | allowed
  PUT /api/v1/silences            | 405    | GET HEAD POST
  PATCH /api/v1/silences/x        | 405    | DELETE GET HEAD
  POST /api/v1/alerts             | 405    | GET HEAD
  TRACE /api/v1/status            | 405    | GET HEAD
  POST /metrics                   | 405    | GET HEAD
  DELETE /                        | 405    | GET HEAD
  OPTIONS /api/v1/self-test       | 405    | POST
  BREW /api/v1/nowhere            | 404    | -
"""


@pytest.mark.parametrize(("asked", "status", "allowed"), rows(NO_METHODS), ids=ids(NO_METHODS))
async def test_a_method_that_does_nothing_says_which_do(
    port: int, asked: str, status: str, allowed: str
) -> None:
    """All that an address knows."""
    head = f"{asked} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    code, headers, body = await said(port, head.encode())
    assert (str(code), b"error" in body) == (status, True)
    assert sorted(headers.get("allow", "-").split(", ")) == allowed.split()


async def test_an_error_of_our_own_says_no_more_than_that(port: int, desk: Desk) -> None:
    """What went wrong is in the log; the answer has the form of all errors."""
    desk.sidecar.latest = "not a snapshot"  # type: ignore[assignment]
    code, headers, body = await said(port, b"GET /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert (code, headers["x-content-type-options"]) == (500, "nosniff")
    assert body == b'{"error": "this failed inside the watchdog (AttributeError); please report it"}'


# ---- while nobody asks --------------------------------------------------------------------------


class Turns(selectors.DefaultSelector):
    """Counts how often the loop comes round."""

    seen = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Count, and do as ever."""
        self.seen += 1
        return super().select(timeout)


def test_a_server_that_nobody_asks_sleeps() -> None:
    """In half a second its loop comes round for the `Date:` at most; looking for the end takes ten turns."""
    turns = Turns()

    async def turns_at_rest() -> int:
        web = WebServer(PlainTextResponse("yes"), bind("127.0.0.1", 0))
        web.start()
        await asyncio.sleep(0.05)
        before = turns.seen
        await asyncio.sleep(0.5)
        seen = turns.seen - before
        await web.stop()
        return seen

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(turns)) as runner:
        assert runner.run(turns_at_rest()) <= 5


async def test_answers_are_dated(port: int) -> None:
    """By the server's own clock."""
    _, headers, _ = await said(port, b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert abs(parsedate_to_datetime(headers["date"]) - utc_now()) < timedelta(seconds=5)
