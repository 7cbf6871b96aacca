"""`watchdog support`: all that a bug report needs, and no secret in any form."""

from __future__ import annotations

import base64
import gzip
import html
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.drawn import ids, rows
from tests.process.conftest import typed
from watchdog.demo.server import EmbeddedServer, start_server
from watchdog.support.bundle import LONGEST, Part, SupportError, packed, write
from watchdog.support.known import Known
from watchdog.support.rules import masked_rules

SECRETS = {
    "redis password": "r3dis!pa55/word",
    "sentinel password": "s3ntinel-pw",
    "slack path": "T0000/B1111/slackpathsecret",
    "webhook header": "Wh00kHeaderSecret",
    "webhook key in query": "qu3ryk3y",
    "hmac key": "hm4c+signing=key",
    "pagerduty key": "pd-routing-0123456789abcdef",
    "smtp password": 'sm"tp\\p4ss',
    "api token": "api-token-0123456789",
    "content of a file": "f1le-content-secret",
    "variable": "fr0m-the-environment",
    "default of a variable": "d3fault-secret",
    "command argument": "arg-s3cret",
    "command variable": "c0mmand-env-secret",
    "health header": "h3alth-header-secret",
    "comment": "0ld-commented-pw",
    "logged token": "eyJhbGciOi.eyJsb2dnZWQ.bearertoken",
    "unit's variable": "un1t-env-secret",
    "local token": "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9",
}
RULES = """\
# the password was {comment}
redis:
  main: {{url: "redis://watcher:{redis}@127.0.0.1:{port}/0"}}
  other: {{url: "redis+sentinel://:x9x9x9@127.0.0.1:1/m/0?sentinel_password={sentinel}"}}
state: "{state}"
listen: "127.0.0.1:{free}"
services:
  orders:
    heartbeat: {{key: "beat:orders", ttl: 30s, redis: main}}   # {comment}
    health: {{url: "http://127.0.0.1:1/health", headers: {{Authorization: "{health}"}}}}
    command: {{run: [/bin/true, --password, {argument}], env: {{PGPASSWORD: "{command}"}}}}
    log: {{path: "{log}"}}
rules:
  - {{alert: Gone, when: heartbeat.present == 0, severity: critical}}
receivers:
  ops: {{slack: {{url: "https://hooks.slack.com/services/{slack}"}}}}
  hook:
    webhook:
      url: "https://hooks.example.net/in?key={query}"
      headers: {{X-Key: "{header}"}}
      secret: "{hmac}"
  duty: {{pagerduty: {{routing_key: {{file: "{file}"}}}}}}
  duty2: {{pagerduty: {{routing_key: "{pagerduty}"}}}}
  mail: {{email: {{smtp: "127.0.0.1:25", from: a@example.net, to: [b@example.net], username: me, password: {smtp}}}}}
  var: {{webhook: {{url: "https://h.example.net/x", headers: {{K: "${{THE_KEY}}"}}}}}}
  dflt: {{webhook: {{url: "https://h.example.net/y", headers: {{K: "${{NOT_SET:-{default}}}"}}}}}}
api: {{tokens: "{token}"}}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """A Redis that wants a password."""
    users = [f"user watcher on >{SECRETS['redis password']} ~* &* +@all", "user default off"]
    with start_server(users=users) as started:
        yield started


@pytest.fixture
def rules(tmp_path: Path, server: EmbeddedServer) -> Path:
    """A rules file with a secret at every place that takes one."""
    named = dict(SECRETS)
    (tmp_path / "secret").write_text(named["content of a file"] + "\n")
    (tmp_path / "service.log").write_text(
        f"2026-02-19 01:00:00 ERROR Authorization: Bearer {named['logged token']}\n"
    )
    (tmp_path / "state.db.token").write_text(named["local token"] + "\n")
    path = tmp_path / "rules.yaml"
    path.write_text(
        RULES.format(
            comment=named["comment"], redis=quote(named["redis password"], safe=""), port=server.port,
            sentinel=named["sentinel password"], state=tmp_path / "state.db", free=1, health=named["health header"],
            argument=named["command argument"], command=named["command variable"], log=tmp_path / "service.log",
            slack=named["slack path"], query=named["webhook key in query"], header=named["webhook header"],
            hmac=named["hmac key"], file=tmp_path / "secret", pagerduty=named["pagerduty key"],
            smtp=json.dumps(named["smtp password"]), default=named["default of a variable"], token=named["api token"],
        )
    )  # fmt: skip
    return path


PROGRAMS = {
    "journalctl": "echo 'started with {token}'; echo 'Authorization: Bearer {logged}'; echo '{{\"why\": \"{smtp}\"}}'",
    "systemctl": """case "$1" in cat) echo 'Environment=A={unit}'; echo 'ExecStart=/bin/true';; *) echo 0;; esac""",
}


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """A host whose journal and unit hold secrets; what they say comes from real programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, script in PROGRAMS.items():
        said = script.format(
            token=SECRETS["api token"],
            logged=SECRETS["logged token"],
            smtp=json.dumps(SECRETS["smtp password"])[1:-1],
            unit=SECRETS["unit's variable"],
        )
        (folder / name).write_text(f"#!/bin/sh\n{said}\n")
        (folder / name).chmod(0o755)
    return {"THE_KEY": SECRETS["variable"], "PATH": f"{folder}:{os.environ['PATH']}"}


def opened(bundle: Path) -> dict[str, str]:
    """Return what is in the archive, by name."""
    with tarfile.open(bundle) as archive:
        files = {
            member.name.removeprefix("watchdog-support/"): archive.extractfile(member) for member in archive
        }
        return {name: file.read().decode() for name, file in files.items() if file is not None}


def disguises(secret: str) -> Iterator[str]:
    """Yield what a secret may look like in a text."""
    yield from (secret, json.dumps(secret)[1:-1], json.dumps(json.dumps(secret))[2:-2], repr(secret)[1:-1])
    yield from (quote(secret), quote(secret, safe=""), html.escape(secret), secret.encode().hex())
    for before in (b"", b"u", b"u:"):
        yield base64.b64encode(before + secret.encode() + b"::").decode()


def stands_in(form: str, text: str) -> bool:
    """Say whether *form*, or what of it hangs on the secret alone if it is BASE64, stands in *text*."""
    return (form[4:-6] if form.endswith(("Og==", "6", "Ojo=", "o6")) and len(form) > 16 else form) in text


def test_no_secret_is_in_it(rules: Path, environment: Mapping[str, str], tmp_path: Path) -> None:
    """Whatever the place, whatever the form; and all that a bug report needs is."""
    ran = typed(
        "support",
        "--rules",
        str(rules),
        "--out",
        str(tmp_path / "b.tgz"),
        "--with-evidence",
        environment=environment,
    )
    assert (ran.status, ran.out) == (0, f"{tmp_path / 'b.tgz'}\n"), ran.err
    found = opened(tmp_path / "b.tgz")
    assert found["check.txt"].startswith("ok: 1 services, ")
    whole = gzip.decompress((tmp_path / "b.tgz").read_bytes()).decode() + ran.err + ran.out
    leaked = [
        name for name, secret in SECRETS.items() if any(stands_in(form, whole) for form in disguises(secret))
    ]
    assert leaked == []
    wanted = (
        "MANIFEST.txt audit.json check.txt limits.txt log.txt rules.yaml servers.txt unit.txt versions.txt"
    )
    assert list(found) == wanted.split()
    assert "valkey_version" in found["servers.txt"] or "redis_version" in found["servers.txt"]
    assert "its clock is " in found["servers.txt"]
    assert "alert: Gone, when: heartbeat.present == 0" in found["rules.yaml"]
    assert "beat:orders" in found["rules.yaml"]
    assert "beat:orders" in found["audit.json"]
    assert "started with ***" in found["log.txt"]
    assert '"HeartbeatMissing"' in found["audit.json"] or '"Gone"' in found["audit.json"]
    assert "Max open files" in found["limits.txt"]
    assert (tmp_path / "b.tgz").stat().st_mode & 0o777 == 0o600


def test_it_says_what_it_left_out(rules: Path, environment: Mapping[str, str], tmp_path: Path) -> None:
    """On the terminal and in the manifest; evidence is not in it unless asked for."""
    ran = typed("support", "--rules", str(rules), "--out", str(tmp_path / "b.tgz"), environment=environment)
    found = opened(tmp_path / "b.tgz")
    assert "left out metrics.txt: the sidecar at http://127.0.0.1:1 cannot be reached" in ran.err
    assert "left out state.json: there is no state file " in ran.err
    assert "metrics.txt      the sidecar at http://127.0.0.1:1 cannot be reached" in found["MANIFEST.txt"]
    assert '"evidence"' not in found["audit.json"]
    assert "comments of rules.yaml" in found["MANIFEST.txt"]


BROKEN = """
  file                                       | rules.yaml in the bundle
  services: {{a: {{heartbeet: {{}}}}}}, slack: "{slack}" | left out
  receivers: {{ops: {{slak: {{url: "{slack}"}}}}}} | masked
  (missing)                                  | left out
"""


@pytest.mark.parametrize(("text", "expected"), rows(BROKEN), ids=ids(BROKEN))
def test_a_file_that_is_wrong_is_what_bugs_are_about(tmp_path: Path, text: str, expected: str) -> None:
    """There is a bundle all the same, and what is wrong stands in it."""
    secret = "https://hooks.slack.com/services/T0/B0/zzzsecretzzz"
    rules = tmp_path / "rules.yaml"
    if text != "(missing)":
        rules.write_text(text.replace("{{", "{").replace("}}", "}").replace("{slack}", secret) + "\n")
    ran = typed("support", "--rules", str(rules), "--out", str(tmp_path / "b.tgz"), environment={"PATH": ""})
    assert ran.status == 0
    found = opened(tmp_path / "b.tgz")
    assert "zzzsecretzzz" not in "".join(found.values()) + ran.err
    assert ("rules.yaml" in found) is (expected == "masked")
    assert {"MANIFEST.txt", "check.txt", "versions.txt"} <= found.keys()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """Not even a bundle."""
    (tmp_path / "b.tgz").write_text("mine")
    ran = typed("support", "--rules", str(tmp_path / "none"), "--out", str(tmp_path / "b.tgz"))
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == f"there is something at {tmp_path / 'b.tgz'} already (name another file with --out)\n"
    assert (tmp_path / "b.tgz").read_text() == "mine"


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    """Below something that is no folder, as in one that is read-only, there is nothing to clear away either."""
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SupportError, match=r"cannot be written: Not a directory \(name another place"):
        write(b"bundle", tmp_path / "file" / "b.tgz")


# ---- the archive -------------------------------------------------------------------------------


def test_the_same_parts_make_the_same_archive() -> None:
    """Whenever, and in whatever order they come."""
    parts = [Part("b.txt", "of b", "text"), Part("a.txt", "of a", why="it is away")]
    known = Known.of([])
    assert packed(parts, known, "1") == packed(parts[::-1], known, "1")


def test_it_is_bounded() -> None:
    """A log keeps its end, everything else its beginning."""
    parts = [
        Part("log.txt", "", ("a" * 99 + "\n") * 2_500 + ("b" * 99 + "\n") * 2_500, from_end=True),
        Part("x", "", "c" * 9 * LONGEST),
    ]
    data = gzip.decompress(packed(parts, Known.of([]), "1")).decode()
    assert len(data) < 3 * LONGEST
    assert ("aaa" in data, "bbb" in data, "ccc" in data) == (False, True, True)


class Sieve(Known):
    """Hides nothing, as if hiding were broken."""

    def hide(self, text: str) -> str:
        """Return *text* as it is."""
        return text


@pytest.mark.parametrize("disguise", range(11))
def test_the_last_guard_stands_alone(disguise: int) -> None:
    """A secret that was not hidden, in whatever form: nothing is written."""
    secret = 'pl4nted "sëcret"/+key'
    form = list(disguises(secret))[disguise]
    part = Part("versions.txt", "", f"before {form} after")
    with pytest.raises(SupportError, match=r"versions\.txt would hold a secret of yours"):
        packed([part], Sieve.of([secret]), "1")
    assert form not in gzip.decompress(packed([part], Known.of([secret]), "1")).decode()


# ---- the rules file ----------------------------------------------------------------------------

MASKED = """
  written                                          | shown
  a: b  # pw hunter2                               | a: b  #
  every: 5s                                        | every: 5s
  redis: redis://u:pw@h:1/0                        | redis: "redis://h:1/0"
  redis: {url: "redis://h:1/0"}                    | redis: {url: "redis://h:1/0"}
  redis: "${URL:-redis://:pw@h:1}"                 | redis: "${URL:-***}"
  receivers: {x: {webhook: {url: "${HOOK}"}}}      | receivers: {x: {webhook: {url: "${HOOK}"}}}
  receivers: {x: {webhook: {secret: abc}}}         | receivers: {x: {webhook: {secret: "***"}}}
  receivers: {x: {p: {routing_key: {file: /r/k}}}} | receivers: {x: {p: {routing_key: {file: /r/k}}}}
  headers: {file: hunter2}                         | headers: {file: "***"}
  headers: {X-Pin: 1234}                           | headers: {X-Pin: "***"}
  run: [/bin/x, -p, hunter2]                       | run: [/bin/x, "***", "***"]
  stream: {key: orders}                            | stream: {key: orders}
  password: 1234                                   | password: "***"
  url: https://h/path?key=1                        | url: "https://h***"
  summary: "token=hunter2 is bad"                  | summary: "token=*** is bad"
  when: executions.offered[30m] > 0                | when: executions.offered[30m] > 0
"""


@pytest.mark.parametrize(("written", "shown"), rows(MASKED), ids=ids(MASKED))
def test_what_is_shown_of_the_rules(written: str, shown: str) -> None:
    """Lines stand where they stood."""
    assert masked_rules(f"\n{written}\nlast: 1\n") == f"\n{shown}\nlast: 1\n"


def test_a_text_of_several_lines_keeps_their_number() -> None:
    """So that what `check` says of a line is found."""
    text = "receivers:\n  x: |  # pw hunter2\n    several\n    lines\n  y: {z: 'a\n      b'}\nlast: 1\n"
    shown = masked_rules(text)
    assert shown is not None
    assert shown.splitlines()[-1] == "last: 1"
    assert len(shown.splitlines()) == len(text.splitlines())
    assert "hunter2" not in shown
    assert "several" not in shown


def test_our_own_rules_file_can_be_read_when_masked() -> None:
    """What is masked is masked as values, so the file is still one."""
    shown = masked_rules(Path("rules.yaml").read_text())
    assert shown is not None
    assert masked_rules(shown) == shown
