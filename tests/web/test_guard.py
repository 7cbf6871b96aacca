"""Who may ask for what."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from tests.drawn import ids, rows
from tests.web.conftest import TOKEN, Ask, Desk, config_in
from watchdog.web.guard import Access, Asked, access_to, admit, is_loopback
from watchdog.web.pages.rendering import POLICY

LINK = "link: https://watchdog.example/ops/"
ASKED = {
    "api": ("GET", "/api/v1/alerts"),
    "page": ("GET", "/"),
    "health": ("GET", "/health/worker"),
    "metrics": ("GET", "/metrics"),
    "probe": ("GET", "/-/ready"),
    "write": ("POST", "/api/v1/silences"),
}
ADMITTED = """
  listens   | peer             | Host                  | more              | api | page | health | metrics | probe | write
  127.0.0.1 | 127.0.0.1        | 127.0.0.1:9821        | -                 | all | all  | all    | all     | all   | 401
  127.0.0.1 | 127.0.0.1        | localhost:9821        | -                 | all | all  | all    | all     | all   | 401
  127.0.0.1 | 127.0.0.1        | LOCALHOST.            | -                 | all | all  | all    | all     | all   | 401
  ::1       | ::1              | [::1]:9821            | -                 | all | all  | all    | all     | all   | 401
  localhost | ::ffff:127.0.0.1 | 192.0.2.7             | -                 | all | all  | all    | all     | all   | 401
  127.0.0.1 | 127.0.0.1        | watchdog.example      | -                 | all | all  | all    | all     | all   | 401
  127.0.0.1 | 127.0.0.1        | -                     | -                 | all | all  | all    | all     | all   | 401
  127.0.0.1 | 127.0.0.1        | evil.example          | -                 | 403 | 403  | little | 403     | little | 403
  127.0.0.1 | 127.0.0.1        | localhost.evil.example | -                | 403 | 403  | little | 403     | little | 403
  127.0.0.1 | 127.0.0.1        | 127.0.0.1.evil.example | -                | 403 | 403  | little | 403     | little | 403
  127.0.0.1 | 127.0.0.1        | [::1                  | -                 | 403 | 403  | little | 403     | little | 403
  127.0.0.1 | 127.0.0.1        | evil.example          | token             | all | all  | all    | all     | all   | all
  127.0.0.1 | 127.0.0.1        | 127.0.0.1             | x-forwarded-for   | 401 | 401  | little | little  | little | 401
  127.0.0.1 | 127.0.0.1        | 127.0.0.1             | forwarded         | 401 | 401  | little | little  | little | 401
  127.0.0.1 | 192.0.2.7        | 127.0.0.1             | -                 | 401 | 401  | little | little  | little | 401
  127.0.0.1 | 127.0.0.1        | 127.0.0.1             | wrong             | all | all  | all    | all     | all   | 401
  0.0.0.0   | 127.0.0.1        | 127.0.0.1             | -                 | 401 | 401  | little | little  | little | 401
  0.0.0.0   | 192.0.2.7        | evil.example          | -                 | 401 | 401  | little | little  | little | 401
  0.0.0.0   | 192.0.2.7        | 192.0.2.1             | wrong             | 401 | 401  | little | little  | little | 401
  0.0.0.0   | 192.0.2.7        | 192.0.2.1             | token             | all | all  | all    | all     | all   | all
  0.0.0.0   | 192.0.2.7        | 192.0.2.1             | password          | all | all  | all    | all     | all   | 401
  0.0.0.0   | 192.0.2.7        | 192.0.2.1             | wrong password    | 401 | 401  | little | little  | little | 401
  127.0.0.1 | 127.0.0.1        | 127.0.0.1             | password          | all | all  | all    | all     | all   | 401
  192.0.2.1 | 192.0.2.1        | 192.0.2.1             | -                 | 401 | 401  | little | little  | little | 401
"""


def said(access: Access, what: str, peer: str, host: str, more: str) -> str:
    """Return what somebody gets who asks: all, little, or the status of a refusal."""
    headers = {} if host == "-" else {"host": host}
    if more in ("token", "wrong"):
        headers["authorization"] = f"Bearer {TOKEN if more == 'token' else TOKEN[::-1]}"
    elif more in ("password", "wrong password"):
        password = f"me:{TOKEN if more == 'password' else TOKEN[::-1]}"
        headers["authorization"] = f"Basic {base64.b64encode(password.encode()).decode()}"
    elif more != "-":
        headers[more] = "127.0.0.1"
    try:
        visitor = admit(Asked(*ASKED[what], Headers(headers), peer), access)
    except HTTPException as exc:
        return str(exc.status_code)
    return "all" if visitor.trusted else "little"


@pytest.mark.parametrize("row", rows(ADMITTED), ids=ids(ADMITTED))
def test_who_may_ask_for_what(row: tuple[str, ...], tmp_path: Path) -> None:
    """Reading is open at home, to whoever calls by a name of ours; everything else takes a token."""
    listens, peer, host, more, *answers = row
    config = config_in(tmp_path, LINK)
    access = access_to(config, listens, config.tokens)
    expected = dict(zip(ASKED, answers, strict=True))
    assert {what: said(access, what, peer, host, more) for what in ASKED} == expected


def test_where_nobody_has_a_token_nobody_may_write() -> None:
    """And the refusal says what to do about it; an empty token is nobody's."""
    access = Access({}, at_home=True, names=frozenset({"localhost"}))
    for authorization in ("Bearer ", "Bearer", "Bearer x", ""):
        headers = Headers({"host": "localhost", "authorization": authorization})
        with pytest.raises(HTTPException, match=r"nobody has a token \(set api.tokens") as refused:
            admit(Asked("DELETE", "/api/v1/silences/1", headers, "127.0.0.1"), access)
        assert refused.value.status_code == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "post", "SEARCH", ""])
def test_every_method_that_is_not_known_to_read_takes_a_token(method: str) -> None:
    """At whatever address."""
    access = Access({TOKEN: "ana"}, at_home=True, names=frozenset())
    for path in ("/api/v1/silences", "/", "/metrics", "/-/ready", "/health/worker", "/nowhere"):
        with pytest.raises(HTTPException) as refused:
            admit(Asked(method, path, Headers({"host": "127.0.0.1"}), "127.0.0.1"), access)
        assert (refused.value.status_code, refused.value.headers) == (401, {"www-authenticate": "Bearer"})


ASKS = """
  path             | method | says
  /                | GET    | Bearer, Basic
  /services/worker | GET    | Bearer, Basic
  /runbooks/Quiet  | HEAD   | Bearer, Basic
  /live            | GET    | Bearer, Basic
  /api/v1/alerts   | GET    | Bearer
  /                | POST   | Bearer
"""


@pytest.mark.parametrize(("path", "method", "says"), rows(ASKS), ids=ids(ASKS))
def test_a_browser_is_told_that_it_may_ask_for_a_password(path: str, method: str, says: str) -> None:
    """For pages, and never for what changes something: a browser would send it with a forged request."""
    access = Access({TOKEN: "ana"}, at_home=False, names=frozenset())
    with pytest.raises(HTTPException) as refused:
        admit(Asked(method, path, Headers({"host": "192.0.2.1"}), "192.0.2.7"), access)
    asks = (refused.value.headers or {})["www-authenticate"]
    assert ", ".join(word for word in ("Bearer", "Basic") if word in asks) == says


LOOPBACK = """
  host             | answer
  127.0.0.1        | True
  127.8.9.1        | True
  ::1              | True
  ::ffff:127.0.0.1 | True
  localhost        | True
  0.0.0.0          | False
  ::               | False
  10.0.0.1         | False
  ::ffff:10.0.0.1  | False
  example.com      | False
"""


@pytest.mark.parametrize(("host", "answer"), rows(LOOPBACK), ids=ids(LOOPBACK))
def test_what_nobody_else_can_reach(host: str, answer: str) -> None:
    """An address of this very host; all addresses are none."""
    assert str(is_loopback(host)) == answer


PLAIN = "default-src 'none'; frame-ancestors 'none'"
CAREFUL = {
    "cache-control": "no-store",
    "content-security-policy": PLAIN,
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/-/ready", "/health/worker", "/api/v1/alerts", "/nowhere"]
)
async def test_every_answer_is_marked_as_data_and_not_to_be_kept(ask: Ask, path: str) -> None:
    """Whatever stands in it, no browser makes a page of it but of pages; refusals as well."""
    answer = await ask("GET", path)
    policy = POLICY if path == "/" else PLAIN
    expected = {**CAREFUL, "content-security-policy": policy}
    assert {name: answer.headers.get(name) for name in CAREFUL} == expected
    refused = await ask("POST", path, token=None)
    assert {name: refused.headers.get(name) for name in CAREFUL} == CAREFUL


async def test_a_stranger_hears_of_a_service_only_how_it_stands(desk: Desk, ask: Ask) -> None:
    """Enough for a load balancer; no alerts, no signals."""
    await desk.tick()
    stranger = await ask("GET", "/health/worker", token=None, headers={"x-forwarded-for": "192.0.2.7"})
    assert (stranger.status_code, stranger.json()) == (503, {"service": "worker", "status": "critical"})
    at_home = await ask("GET", "/health/worker", token=None)
    assert set(at_home.json()) == {"service", "status", "at", "alerts", "signals"}
