"""`watchdog init` as it is typed: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.drawn import ids, rows
from tests.init.conftest import some_work
from tests.process.conftest import typed
from watchdog.config import load
from watchdog.demo.server import EmbeddedServer

MAY = (
    "resetkeys resetchannels %R~* -@all +ping +info +client|setname +get +hmget +pttl +type +xinfo|stream"
    " +xinfo|groups +xinfo|consumers +xpending +xrange +xrevrange +scan"
)
"""What docs/reference/redis.md gives the watchdog's user."""
SECRET = "s3cret-of-ours"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REDIS_URL", raising=False)
    return tmp_path


def allow(client: Any, *what: str) -> None:
    """Let the user `watchdog` do *what*, and nothing else."""
    client.execute_command("ACL", "SETUSER", "watchdog", "reset", "on", f">{SECRET}", *what)


def signals(path: str = "rules.yaml") -> set[tuple[str, str, str]]:
    """Return the services, signals and labels of a file."""
    always = ("redis", "watchdog", "receiver")
    found = (spec.key for spec in load(Path(path)).signals if spec.key.kind not in always)
    return {(key.service, key.kind, " ".join(key.labels.values())) for key in found}


def lines(text: str) -> list[str]:
    """Return what a file says besides its comments, in which ages stand."""
    return [line for line in text.splitlines() if not line.lstrip().startswith("#")]


def test_it_writes_a_file_that_check_takes_and_says_what_to_do_next(
    server: EmbeddedServer, client: Redis
) -> None:
    """From a URL alone; what was guessed stands on standard error."""
    some_work(client)
    ran = typed("init", server.url)
    assert (ran.status, ran.out) == (0, "")
    assert ran.err.splitlines() == [
        "seen     1 stream, 1 consumer group, 1 heartbeat key",
        "guessed  2 services with 1 need, 1 group, 1 heartbeat",
        "left out no switch was seen; one that is only there while it is set has to be named: flag: {key: …}",
        "written  rules.yaml; nobody is told until `receivers` is filled in",
        "next     watchdog check",
        "next     watchdog audit",
        "next     watchdog run",
    ]
    assert signals() == {
        ("orders", "stream", "orders"),
        ("billing", "consumes", "billing orders"),
        ("billing", "heartbeat", "svc:billing:heartbeat"),
    }
    assert typed("check").status == 0
    assert typed("audit").status == 0


def test_it_overwrites_nothing_unless_told_to(server: EmbeddedServer, client: Redis, folder: Path) -> None:
    """A rules.yaml is worked on for years; asking for another costs nothing."""
    some_work(client)
    Path("rules.yaml").write_text("mine")
    assert typed("init", "redis://127.0.0.1:1").err == (  # before anybody is asked
        "rules.yaml is there already (--out OTHER.yaml writes another, --force overwrites it)\n"
    )
    assert typed("init", server.url).status == 2
    assert Path("rules.yaml").read_text() == "mine"
    assert "watchdog check --rules other.yaml" in typed("init", server.url, "--out", "other.yaml").err
    printed = typed("init", server.url, "--out", "-").out
    assert lines(printed) == lines(Path("other.yaml").read_text())
    assert typed("init", server.url, "--force").status == 0
    assert "# Written by `watchdog init`" in Path("rules.yaml").read_text()
    Path("rules.yaml").write_text("")  # as `watchdog init URL > rules.yaml` has it
    assert typed("init", server.url).status == 0
    assert "# Written by `watchdog init`" in Path("rules.yaml").read_text()


WRONG = """
  typed                            | status | said
  redis://127.0.0.1:1/0            | 3      | Redis at 127.0.0.1:1 cannot be reached: Connection refused (is the URL right, its
  http://127.0.0.1/                | 2      | URL: this is not a Redis URL (write redis://host:6379/0)
  redis://me:wrong@127.0.0.1:{port} | 3     | Redis at 127.0.0.1:{port} refuses the password or user: WRONGPASS
  redis://127.0.0.1:{port}/9       | 3      | Redis at 127.0.0.1:{port} is empty in this database (start
  redis://127.0.0.1:{port}/8       | 3      | Redis at 127.0.0.1:{port} has 1 key, but no stream and no heartbeat (start
  redis://127.0.0.1:{port}/nine    | 2      | URL: the database of a Redis URL is a number
"""


@pytest.mark.parametrize(("url", "status", "said"), rows(WRONG), ids=ids(WRONG))
def test_what_cannot_be_looked_at_is_one_sentence_with_a_cure(
    url: str, status: str, said: str, server: EmbeddedServer, client: Redis
) -> None:
    """Nothing is written, and no password is shown."""
    with Redis(port=server.port, db=8) as other:
        other.set("cache:1", "of somebody else")
    ran = typed("init", url.format(port=server.port))
    assert (ran.status, ran.err.startswith(said.format(port=server.port))) == (int(status), True), ran.err
    assert len(ran.err.splitlines()) == 1
    assert ":wrong@" not in ran.err
    assert not Path("rules.yaml").exists()


def test_a_password_is_never_written_down(server: EmbeddedServer, client: Redis) -> None:
    """The file asks for REDIS_URL; the user with the rights of the handbook can see all that is needed."""
    some_work(client)
    allow(client, *MAY.split())
    url = f"redis://watchdog:{SECRET}@127.0.0.1:{server.port}/0"
    ran = typed("init", url)
    text = Path("rules.yaml").read_text()
    assert SECRET not in ran.err + ran.out + text
    assert 'redis: {url: "${REDIS_URL}"}' in text
    assert "refused" not in text
    assert "export REDIS_URL=…" in ran.err
    assert typed("audit", environment={"REDIS_URL": url}).status == 0
    assert "export" not in typed("init", "--force", environment={"REDIS_URL": url}).err  # it is there already


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("-scan", "this user may not SCAN, so nothing can be found (allow it: ACL SETUSER … +scan)"),
        ("-xinfo|groups", "left out Redis refused XINFO GROUPS: consumer groups are missing here"),
        (
            "-xrevrange",
            "left out Redis refused XREVRANGE: silences, results and who writes what could not be",
        ),
        ("-get", "left out Redis refused GET: heartbeats and flags could not be read"),
    ],
)
def test_what_its_user_may_not_ask_is_said_with_what_that_costs(
    without: str, said: str, server: EmbeddedServer, client: Redis
) -> None:
    """The rest is written all the same; without SCAN there is no rest."""
    some_work(client)
    allow(client, *MAY.split(), without)
    ran = typed("init", f"redis://watchdog:{SECRET}@127.0.0.1:{server.port}/0")
    assert said in ran.err
    assert ran.status == (3 if without == "-scan" else 0)


def test_hostile_names_come_out_harmless(server: EmbeddedServer, client: Redis) -> None:
    """Line ends and escapes are left out and counted; quotes, braces and YAML's signs are only text."""
    tame = [
        'a"b',
        "a: b",
        "{x}",
        "- a",
        "#no",
        "${HOME}",
        "a\\n",
        "!!python/object",
        "*x",
        "é" * 255,
        "[1h]x",
    ]
    wild = [b"a\nb: {heartbeat: {key: x}}", b"\x1b[2Jx", b"\xff\xfe", b"x" * 513, "\u202ex".encode()]
    names: list[str | bytes] = [*tame, *wild]
    for name in names:
        client.xadd(name, {"f": "v"})
        client.xgroup_create(name, name, "$")
    ran = typed("init", server.url)
    text = Path("rules.yaml").read_text()
    found = {labels for _, kind, labels in signals() if kind == "consumes"}
    assert found == {f"{name} {name}" for name in tame}
    assert "5 keys with a name that no page could show" in ran.err
    assert all(sign.isprintable() for sign in text.replace("\n", "") + ran.err.replace("\n", ""))
    assert typed("check").status == 0


def test_logs_and_units_come_to_the_services_that_their_names_mean(
    server: EmbeddedServer, client: Redis, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`shop-billing.service` and `billing.log` are billing's; what fits nothing is said."""
    some_work(client)
    Path("billing.log").write_text(
        "2026-02-19 01:00:00,123 ERROR    - no\n2026-02-19 01:00:01,123 INFO     - yes\n"
    )
    Path("billing.log.1").write_text("old\n")
    tool = folder / "bin" / "systemctl"
    tool.parent.mkdir()
    listed = "shop-billing.service loaded active running x\nshop-web.service loaded active running x\nx@.service static\n"
    tool.write_text(f"#!{shutil.which('sh')}\nprintf '{listed}'\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tool.parent))
    ran = typed(
        "init", server.url, "--unit", "shop-*", "--log", str(folder / "*.log*"), "--log", "/nowhere/*.log"
    )
    assert {one for one in signals() if one[1] in ("unit", "log")} == {
        ("billing", "unit", "shop-billing.service"),
        ("web", "unit", "shop-web.service"),
        ("billing", "log", str(folder / "billing.log")),
    }
    assert "2 records at its end, 1 error, format" in Path("rules.yaml").read_text()
    assert "left out no log fits /nowhere/*.log" in ran.err


def test_many_streams_of_a_kind_become_one_pattern(server: EmbeddedServer, client: Redis) -> None:
    """A stream for each symbol is watched by `discover`, whoever comes next; nobody reads them, and that is well."""
    some_work(client)
    for number in range(30):
        client.xadd(f"ticks:[{number}]", {"price": "1"})
    assert "1 group" in typed("init", server.url).err
    config = load(Path("rules.yaml"))
    assert [plan.title for plan in config.discover] == ["ticks:*"]
    assert typed("audit").status == 0


def test_a_queue_that_is_a_list_is_said_not_to_be_watched(server: EmbeddedServer, client: Redis) -> None:
    """taskiq's ListQueueBroker, rq and Celery: nothing is made up for them."""
    some_work(client)
    client.lpush("taskiq", "x")
    assert "lists (taskiq): no signal watches a list" in typed("init", server.url).err


def test_only_what_fits_is_looked_at(server: EmbeddedServer, client: Redis) -> None:
    """On a server that many share."""
    some_work(client)
    client.xadd("other:stream", {"f": "v"})
    typed("init", server.url, "--match", "other:*")
    assert signals() == {("other", "stream", "other:stream")}
    ran = typed("init", server.url, "--match", "none:*", "--out", "none.yaml")
    assert "no stream and no heartbeat that fits none:* (" in ran.err


def test_it_changes_nothing(server: EmbeddedServer, client: Redis) -> None:
    """Every command it sends is one that Redis calls read-only, or that touches no key at all."""
    some_work(client)
    client.config_resetstat()
    assert typed("init", server.url).status == 0
    used: Mapping[str, Any] = client.info("commandstats")
    names = [name.removeprefix("cmdstat_") for name in used]
    keyless = {"info", "ping", "client|setname", "config|resetstat", "client|setinfo", "hello", "select"}
    flags = {str(name): reply["flags"] for name, reply in client.command().items()}
    assert [
        n
        for n in names
        if n not in keyless and "readonly" not in str(flags.get(n.partition("|")[0])) and "xinfo" not in n
    ] == []
