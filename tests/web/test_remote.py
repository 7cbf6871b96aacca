"""How commands find the running sidecar, with which token, and what they make of its answers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from tests.drawn import ids, rows
from watchdog.errors import ConfigError
from watchdog.remote import REFUSED, UNREACHABLE, Remote, RemoteError, Whereabouts, find_sidecar

SERVICES = "services: {a: {heartbeat: {key: k}}}\n"
LISTENS = """
  rules                             | address
  -                                 | http://127.0.0.1:9821
  listen: "127.0.0.1:80"            | http://127.0.0.1:80
  listen: "0.0.0.0:9000"            | http://127.0.0.1:9000
  listen: "[::]:9000"               | http://[::1]:9000
  listen: "[::1]:9000"              | http://[::1]:9000
  listen: "10.1.2.3:9000"           | http://10.1.2.3:9000
  listen: "${LISTEN:-localhost:1}"  | http://localhost:1
"""


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A rules file in a directory of its own, which is the present one."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "rules.yaml"
    path.write_text(SERVICES)
    return path


def found(rules: Path, environment: Mapping[str, str] | None = None, file: Path | None = None) -> Whereabouts:
    """Return where the sidecar of *rules* is."""
    return find_sidecar(rules, None, file, environment or {})


@pytest.mark.parametrize(("line", "address"), rows(LISTENS), ids=ids(LISTENS))
def test_the_rules_say_where_it_is(rules: Path, line: str, address: str) -> None:
    """What listens everywhere is asked at home."""
    rules.write_text(SERVICES + line.removeprefix("-"))
    assert found(rules).url == address


def test_the_rest_of_the_rules_does_not_matter(rules: Path) -> None:
    """Whoever asks has another environment than the sidecar, and may ask while somebody edits the file."""
    rules.write_text(
        f'listen: "127.0.0.1:1"\nstate: s\nreceivers: {{ops: {{slack: {{url: "${{SLACK}}"}}}}}}\nsevices: 1\n{SERVICES}'
    )
    Path("s.token").write_text("made-by-the-sidecar\n")
    assert found(rules) == ("http://127.0.0.1:1", "made-by-the-sidecar", "s.token is empty")


def test_a_token_is_looked_for_from_near_to_far(rules: Path) -> None:
    """An option, the environment, the rules, the file that the sidecar made."""
    given = rules.with_name("given")
    given.write_text("# ours\nana: from-the-option\n")
    rules.write_text(f'{SERVICES}state: s\napi: {{tokens: "ops: from-the-rules"}}')
    Path("s.token").write_text("from-the-sidecar")
    environment = {"WATCHDOG_TOKEN": " from-the-environment\n"}
    assert found(rules, environment, given).token == "from-the-option"
    assert found(rules, environment).token == "from-the-environment"
    assert found(rules, {"WATCHDOG_TOKEN": ""}).token == "from-the-rules"
    rules.write_text(f"{SERVICES}state: s")
    assert found(rules).token == "from-the-sidecar"


NO_TOKEN = """
  rules                            | why
  state: s                         | s.token: No such file or directory
  state: null                      | rules.yaml has neither api.tokens nor a state file
  api: {tokens: "# none"}          | api.tokens has none
  api: {tokens: "${NOBODY_SET_IT}"} | api.tokens: this secret is empty (give the text itself or {file: path})
  api: {tokens: {file: gone}}      | api.tokens: the secret in gone cannot be read: No such file or directory
"""


@pytest.mark.parametrize(("line", "why"), rows(NO_TOKEN), ids=ids(NO_TOKEN))
def test_where_there_is_no_token_it_is_known_why(rules: Path, line: str, why: str) -> None:
    """Reading at home needs none; said only when the sidecar wants one."""
    rules.write_text(SERVICES + line)
    assert found(rules)[1:] == (None, why)


def test_with_address_and_token_no_rules_are_needed(tmp_path: Path) -> None:
    """From another host there are none."""
    nowhere = tmp_path / "rules.yaml"
    asked = find_sidecar(nowhere, "https://ops.example/watchdog", None, {"WATCHDOG_TOKEN": "t"})
    assert asked == ("https://ops.example/watchdog", "t", "")
    without = find_sidecar(nowhere, "https://ops.example", None, {})
    assert without[1:] == (None, f"{nowhere} cannot be read")
    with pytest.raises(ConfigError, match="No such file or directory"):
        find_sidecar(nowhere, None, None, {"WATCHDOG_TOKEN": "t"})


BROKEN = """
  rules            | error
  listen: nowhere  | "nowhere" is not host:port (write 127.0.0.1:9821)
  [1, 2]           | the file has no services
  {                | not YAML
"""


@pytest.mark.parametrize(("text", "error"), rows(BROKEN), ids=ids(BROKEN))
def test_rules_that_do_not_say_are_told_so(rules: Path, text: str, error: str) -> None:
    """With the place, as `watchdog check` does."""
    rules.write_text(text)
    with pytest.raises(ConfigError) as raised:
        found(rules)
    assert error in str(raised.value)


@pytest.mark.parametrize("url", ["127.0.0.1:9821", "ftp://x", "http://", "http://[::1", "http://x:port", ""])
def test_an_address_that_is_none(rules: Path, url: str) -> None:
    """Said with what one looks like."""
    with pytest.raises(RemoteError) as raised:
        find_sidecar(rules, url, None, {})
    assert (str(raised.value), raised.value.status) == (
        "--url is not an http(s) URL (write http://127.0.0.1:9821)",
        UNREACHABLE,
    )


def test_an_address_with_a_password_is_refused(rules: Path) -> None:
    """It would be sent instead of the token, and shown in errors."""
    with pytest.raises(RemoteError) as raised:
        find_sidecar(rules, "http://ana:secret@ops.example", None, {})
    assert str(raised.value) == "--url holds a name or password (give a token with --token-file)"


def test_a_token_file_that_cannot_be_used(rules: Path) -> None:
    """Missing, or without a token."""
    for text, why in (
        (None, "cannot be read: No such file or directory"),
        ("# none\n", "has no token in it"),
    ):
        if text is not None:
            Path("given").write_text(text)
        with pytest.raises(RemoteError, match=why):
            found(rules, {}, Path("given"))


# ---- its answers -------------------------------------------------------------------------------


@pytest.fixture
def remote(httpserver: HTTPServer) -> Iterator[Remote]:
    """A sidecar that answers as told."""
    with Remote(Whereabouts(httpserver.url_for(""), "żółć", "")) as asked:
        yield asked


def test_what_is_asked_arrives_as_meant(remote: Remote, httpserver: HTTPServer) -> None:
    """With the token in UTF-8, and without what is not given."""
    httpserver.expect_request("/a").respond_with_json({"ok": 1})
    assert remote.get("/a", x=None, y=["1", "ü&="]) == {"ok": 1}
    assert remote.post("/a", {"b": None}) == {"ok": 1}
    assert remote.delete("/a") == {"ok": 1}
    asked = [request for request, _ in httpserver.log]
    assert (asked[0].args.getlist("y"), "x" in asked[0].args) == (["1", "ü&="], False)
    assert [request.method for request in asked] == ["GET", "POST", "DELETE"]
    token = asked[0].headers["Authorization"].encode("latin-1").decode()
    assert token == "Bearer żółć"


def test_no_proxy_of_the_environment_gets_the_token(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sidecar is asked itself."""
    httpserver.expect_request("/a").respond_with_json({})
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with Remote(Whereabouts(httpserver.url_for(""), "t", "")) as asked:
        assert asked.get("/a") == {}


ANSWERS = """
  status | type             | body                        | said
  404    | application/json | {"error": "there is none"}  | the sidecar says no: there is none
  422    | application/json | {"error": "a\\u001b[2Jb"}   | the sidecar says no: a�[2Jb
  200    | text/html        | <html>                      | what answers at ADDRESS is no watchdog (status 200)
  502    | text/html        | <html>                      | what answers at ADDRESS is no watchdog (status 502)
  500    | application/json | {}                          | what answers at ADDRESS is no watchdog (status 500)
  500    | application/json | [1]                         | what answers at ADDRESS is no watchdog (status 500)
  302    | text/plain       | -                           | what answers at ADDRESS is no watchdog (status 302)
"""


@pytest.mark.parametrize("row", rows(ANSWERS), ids=ids(ANSWERS))
def test_answers_one_cannot_use_are_one_sentence(
    remote: Remote, httpserver: HTTPServer, row: tuple[str, ...]
) -> None:
    """It names who answered; no redirection takes the token elsewhere."""
    status, type_, body, said = row
    headers = {"location": "http://127.0.0.1:1/"}
    httpserver.expect_request("/a").respond_with_data(body, int(status), headers, content_type=type_)
    with pytest.raises(RemoteError) as raised:
        remote.get("/a")
    address = httpserver.url_for("").rstrip("/")
    assert str(raised.value) == said.replace("ADDRESS", address)
    assert raised.value.status == (REFUSED if "says no" in said else UNREACHABLE)


def test_a_refusal_for_want_of_a_token_says_where_it_was_looked_for(httpserver: HTTPServer) -> None:
    """Only then does it matter."""
    httpserver.expect_request("/a").respond_with_json({"error": "this needs a token"}, 401)
    why = "s.token: Permission denied"
    with (
        Remote(Whereabouts(httpserver.url_for(""), None, why)) as asked,
        pytest.raises(RemoteError) as raised,
    ):
        asked.get("/a")
    assert str(raised.value) == f"the sidecar says no: this needs a token; no token was found: {why}"
    assert "Authorization" not in httpserver.log[0][0].headers


def test_nobody_there_is_one_sentence_and_exit_status_three() -> None:
    """With what to do about it."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with (
        Remote(Whereabouts(f"http://127.0.0.1:{port}", "t", "")) as asked,
        pytest.raises(RemoteError) as raised,
    ):
        asked.get("/")
    cure = "is `watchdog run` running? else say where it is with --url"
    assert str(raised.value) == f"the sidecar at http://127.0.0.1:{port} cannot be reached ({cure})"
    assert raised.value.status == UNREACHABLE
    assert os.environ.get("WATCHDOG_TOKEN") is None
