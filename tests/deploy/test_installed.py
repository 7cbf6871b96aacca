"""
The wheel, not the checkout: what is in it, what it does where nothing else of ours is, and how it runs.

On a machine with a systemd of its own it runs as the unit that is shipped, and as the image would run it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest
from packaging.requirements import Requirement
from pytest_httpserver import HTTPServer

from tests.deploy.machine import Machine, machine
from tests.deploy.test_image import read_image
from tests.deploy.wheels import ROOT, Installed, build, contents
from tests.process.conftest import until
from tests.signals.realsystemd import why_not
from watchdog import __version__
from watchdog.demo.server import free_port, start_server
from watchdog.web.pages.runbook import PAGES

ASK = """
import re, sys, urllib.error, urllib.request as u
def ask(path):
    return u.urlopen(u.Request("http://127.0.0.1:9821" + path, headers={"authorization": "Bearer " + sys.argv[1]}))
for path in [*sys.argv[2:], *re.findall('"(/static/[^"]+[.](?:css|js))', ask("/").read().decode())]:
    try:
        print(ask(path).status, path.partition("?")[0])
    except urllib.error.HTTPError as exc:
        print(exc.code, path)
"""
UNIT = "pipeline-watchdog.service"
IMAGE = "image.service"
IN_IMAGE = """
redis: {url: "redis://127.0.0.1:6379/0"}
state: "${STATE_DIRECTORY}/watchdog.db"
services: {orders: {heartbeat: {key: beat}}}
"""
RULES = """
redis: {url: "${REDIS_URL}"}
every: 1s
listen: "127.0.0.1:%d"
services: {disk: {command: {run: [/usr/lib/nagios/plugins/check_dummy, "0"]}}}
rules: [{alert: %s, when: command.status == ok, severity: critical, services: [disk]}]
receivers: {ops: {slack: {url: {file: "${CREDENTIALS_DIRECTORY}/secret_slack"}}}}
routes: [{to: [ops]}]
notifications: {group_wait: 0s}
"""


def shipped(folder: str) -> dict[str, Path]:
    """Return the files of the checkout below *folder* that are no leftovers, by their path in it."""
    found = [
        path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    return {str(path.relative_to(ROOT / folder)): path for path in found}


def test_the_wheel_has_every_file_of_the_package_and_none_of_the_tests(wheel: Path) -> None:
    """Modules, templates, styles, the demo's rules, runbooks, the unit: byte for byte."""
    built = contents(wheel)
    info = f"pipeline_watchdog-{__version__}"
    with ZipFile(wheel) as archive:
        for folder, place in {
            "watchdog": "watchdog",
            "docs/runbooks": "watchdog/runbook_pages",
            "deploy/systemd": f"{info}.data/data/share/pipeline-watchdog/systemd",
        }.items():
            for name, path in shipped(folder).items():
                assert archive.read(f"{place}/{name}") == path.read_bytes(), name
        metadata = message_from_bytes(archive.read(f"{info}.dist-info/METADATA"))
    assert {name.split("/")[0] for name in built} == {"watchdog", f"{info}.data", f"{info}.dist-info"}
    assert not [name for name in built if re.search(r"(^|/)(tests|bench)/|\.pyc$|\.db$|\.orig$", name)]
    assert (metadata["Name"], metadata["Version"]) == ("pipeline-watchdog", __version__)
    assert metadata["License-Expression"] == "MIT"
    assert len(metadata.get_payload()) > 1000, "the README is the page of the package"


def test_the_sdist_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """What a distribution builds of it is what we publish, bit for bit, at whatever time."""
    (tmp_path / "sdist").mkdir()
    (tmp_path / "wheel").mkdir()
    sdist = build("sdist", ROOT, tmp_path / "sdist")
    assert {"requirements.lock", "deploy/systemd/pipeline-watchdog.service", "tests/conftest.py"} <= set(
        contents(sdist)
    )
    subprocess.run(["tar", "xzf", str(sdist), "-C", str(tmp_path)], check=True, timeout=60)
    again = build("wheel", tmp_path / sdist.name.removesuffix(".tar.gz"), tmp_path / "wheel")
    assert contents(again) == contents(wheel)
    assert again.read_bytes() == wheel.read_bytes()


def test_the_installed_package_asks_for_what_is_locked(installed: Installed) -> None:
    """As `pip check` would: each requirement of the metadata is met by a version in the lock."""
    lock = dict(
        re.findall(
            r"^([A-Za-z0-9_.-]+)==(\S+)", (ROOT / "deploy/requirements.lock").read_text(), re.MULTILINE
        )
    )
    (metadata,) = installed.site.glob("pipeline_watchdog-*.dist-info/METADATA")
    asked = [
        Requirement(line) for line in message_from_bytes(metadata.read_bytes()).get_all("Requires-Dist", [])
    ]
    needed = [r for r in asked if r.marker is None]
    assert len(needed) > 15
    assert [r for r in needed if lock.get(r.name.lower(), "") not in r.specifier] == []


def test_commands_of_the_wheel(installed: Installed) -> None:
    """Each finds its files where the checkout cannot be seen: a wheel without its data would break here."""
    share = installed.folder / "share/pipeline-watchdog"
    rules = installed.folder / "rules.yaml"
    rules.write_text(
        "services: {orders: {heartbeat: {key: beat}}}\nreceivers: {ops: {webhook: {url: 'http://127.0.0.1:1'}}}\n"
    )
    told = ["--rules", str(rules)]
    each = {
        "--version": ["--version"],
        "check": ["check", *told],
        "schema": ["export", "schema"],
        "prometheus": ["export", "prometheus", *told],
        "alertmanager": ["export", "alertmanager", *told],
        "grafana": ["export", "grafana", *told, "--out", str(installed.folder / "grafana")],
        "runbook": ["runbook", "NoExecutions", *told],
        "demo": ["demo", "--list-faults"],
    }
    ran = dict(zip(each, installed.commands(*each.values()), strict=True))
    assert {name: (status, err) for name, (status, _, err) in ran.items() if status} == {}
    assert ran["--version"][1] == f"pipeline-watchdog {__version__}\n"
    assert "$schema" in json.loads(ran["schema"][1])
    assert ran["runbook"][1].lstrip("# ").startswith("NoExecutions")
    assert "W01" in ran["demo"][1]
    assert {path.name for path in (installed.folder / "grafana").iterdir()} == {
        "overview.json",
        "streams.json",
        "logs-units.json",
        "watchdog.json",
    }
    assert (share / "prometheus/watchdog.yml").read_bytes() == (
        ROOT / "prometheus/rules/watchdog.yml"
    ).read_bytes()


def test_a_service_imports_the_client_of_the_wheel_and_nothing_else(installed: Installed) -> None:
    """It is in the processes of others, who did not ask for a web server."""
    said = "import sys, watchdog.client; print([m for m in ('redis', 'pydantic', 'starlette', 'yaml') if m in sys.modules])"
    assert installed.python("-c", said).stdout == "[]\n"


@pytest.fixture(scope="module")
def host(installed: Installed) -> Iterator[Machine]:
    """A machine with the wheel and its unit."""
    if (why := why_not()) is not None:
        if "CI" in os.environ:
            pytest.fail(why)
        pytest.skip(why)
    with machine(installed) as booted:
        yield booted


def test_the_unit_as_it_is_shipped(host: Machine, httpserver: HTTPServer) -> None:
    """Starts when it has looked, has no rights, reads its secrets, pings, reloads, and stops at once."""
    httpserver.expect_request("/hook").respond_with_data("ok")
    port = free_port()
    host.write("/etc/pipeline-watchdog/credentials/slack", httpserver.url_for("/hook"))
    host.write("/etc/pipeline-watchdog/rules.yaml", RULES % (port, "Before"))
    with start_server() as redis:
        host.write("/etc/default/pipeline-watchdog", f"REDIS_URL=redis://127.0.0.1:{redis.port}/0\n")
        host.run("systemctl", "start", UNIT)

        assert httpx.get(f"http://127.0.0.1:{port}/-/ready").status_code == 200, (
            "READY=1 before the first tick"
        )
        began = host.show(UNIT)
        assert (began["ActiveState"], began["NRestarts"]) == ("active", "0")
        assert "works" in began["StatusText"] or "alert" in began["StatusText"], began["StatusText"]
        until(lambda: host.show(UNIT)["WatchdogTimestampMonotonic"] > began["WatchdogTimestampMonotonic"])

        status = host.run("cat", f"/proc/{began['MainPID']}/status")
        user = host.run("id", "-u", "pipeline-watchdog").strip()
        journal = host.run("getent", "group", "systemd-journal").split(":")[2]
        assert f"Uid:\t{user}\t{user}\t{user}\t{user}\n" in status
        assert user != "0"
        assert journal in re.findall(r"Groups:\t(.*)\n", status)[0].split()
        assert "CapEff:\t0000000000000000\n" in status
        assert "CapBnd:\t0000000000000000\n" in status
        assert "NoNewPrivs:\t1\n" in status
        until(lambda: httpserver.log)
        assert "Before" in httpserver.log[0][0].get_data(as_text=True)

        host.write("/etc/pipeline-watchdog/rules.yaml", RULES % (port, "After"))
        host.run("systemctl", "reload", UNIT)
        until(lambda: any("After" in asked.get_data(as_text=True) for asked, _ in httpserver.log))
        assert host.show(UNIT)["MainPID"] == began["MainPID"], "a reload is no restart"

        asked = time.monotonic()
        host.run("systemctl", "stop", UNIT)
        took = time.monotonic() - asked
    ended = host.show(UNIT)
    assert (ended["ActiveState"], ended["Result"], took < 2) == ("inactive", "success", True), took
    owners = host.run(
        "stat", "-c", "%U %a %n", "/var/lib/pipeline-watchdog/watchdog.db", "/var/lib/pipeline-watchdog"
    )
    assert owners.splitlines() == [
        "pipeline-watchdog 600 /var/lib/pipeline-watchdog/watchdog.db",
        "pipeline-watchdog 750 /var/lib/pipeline-watchdog",
    ]
    assert "Traceback" not in host.said()
    assert httpserver.url_for("/hook") not in host.said(), "the secret was logged"


def test_the_image_as_it_would_run(host: Machine) -> None:
    """Its command, user and environment on a read-only root: healthy by its own check, pages and all; ends at once."""
    image = read_image()
    host.run("systemd-sysusers", "--inline", f"u image {image.user}")
    host.write("/var/lib/mounted/rules.yaml", IN_IMAGE)
    host.write(f"/etc/systemd/system/{IMAGE}", image.unit("/var/lib/mounted"))
    host.run("rm", "-rf", image.workdir)
    host.run("install", "-d", "-o", image.user, "-m", "0750", image.workdir)
    host.run("systemctl", "start", IMAGE)
    pid = host.show(IMAGE)["MainPID"]

    def inside(*argv: str) -> subprocess.CompletedProcess[str]:
        within = ["nsenter", "-t", str(host.first), "-m", "-p", "--", "nsenter", "-t", pid, "-n", "--"]
        return subprocess.run([*within, *argv], capture_output=True, text=True, timeout=20, check=False)

    check = [
        "env",
        "-i",
        *(f"{k}={v}" for k, v in image.environment.items()),
        "/opt/python/bin/python3",
        *image.health[1:],
    ]

    def healthy() -> bool:
        assert host.show(IMAGE)["ActiveState"] == "active", host.said()
        return inside(*check).returncode == 0

    until(healthy)
    token = host.run("cat", f"{image.workdir}/watchdog.db.token").strip()
    until(lambda: inside("/opt/python/bin/python3", "-c", ASK, token, "/-/ready").stdout.startswith("200 "))
    told = inside(
        "/opt/python/bin/python3", "-c", ASK, token, "/metrics", f"{PAGES}NoExecutions"
    ).stdout.splitlines()
    assert len(told) == 4, told
    assert [line for line in told if not line.startswith("200 ")] == []
    status = host.run("cat", f"/proc/{pid}/status")
    assert f"Uid:\t{image.user}\t" in status
    assert host.run("ls", image.workdir).split()[0] == "watchdog.db"
    host.run("systemctl", "stop", IMAGE)
    assert inside(*check).returncode != 0
    assert host.show(IMAGE)["Result"] == "success"
    assert "Traceback" not in host.said()
