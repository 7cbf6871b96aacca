"""compose.yaml and what it mounts: held to the specification's schema, and read by the programs it starts."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from tests.deploy.wheels import ROOT
from tests.dropins.conftest import run
from watchdog.config import parse

DEPLOY = ROOT / "deploy"
COMPOSE: Mapping[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: Mapping[str, Any] = COMPOSE["services"]
VALIDATOR = jsonschema_rs.Draft7Validator(
    json.loads((Path(__file__).parent / "schemas/compose.json").read_text())
)


def test_it_is_what_compose_takes() -> None:
    """No key that the specification does not know."""
    assert [error.message for error in VALIDATOR.iter_errors(COMPOSE)] == []


def test_compose_itself_reads_it() -> None:
    """With every merge, variable and path followed, and every service of the file in what comes out."""
    status, said = run("docker-compose", "--file", str(DEPLOY / "compose.yaml"), "config", "--services")
    assert (status, sorted(said.split())) == (0, sorted(SERVICES))


MISTAKES: Mapping[str, Callable[[Any], object]] = {
    "a misspelt key": lambda c: c["services"]["redis"].update(readonly=True),
    "a misspelt health check": lambda c: c["services"]["grafana"]["healthcheck"].update(retrys=1),
    "a secret without a file": lambda c: c["secrets"]["slack-url"].update(path="x"),
    "a condition that is none": lambda c: c["services"]["grafana"]["depends_on"]["prometheus"].update(
        condition="up"
    ),
    "a network's misspelt key": lambda c: c["networks"]["inside"].update(internally=True),
}


@pytest.mark.parametrize("spoil", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_noticed(spoil: Callable[[Any], object]) -> None:
    """Else the test above would say nothing."""
    spoilt = copy.deepcopy(COMPOSE)
    spoil(spoilt)
    assert not VALIDATOR.is_valid(spoilt)


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_careful(name: str) -> None:
    """Read-only, without capabilities, on loopback, of a version, and what it refers to is there."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert re.search(r":v?\d+\.\d+\.\d+(-\w+)?$", service["image"]), "no version, or one that moves"
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in service.get("ports", []))
    assert "healthcheck" in service or "build" in service, "the image has its own"
    assert set(service.get("networks", [])) <= set(COMPOSE["networks"])
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    for volume in service.get("volumes", []):
        source, _, rest = volume.partition(":")
        if source.startswith("."):
            assert (DEPLOY / source).exists(), source
            assert rest.endswith(":ro"), "what is ours is only read"
        else:
            assert source in COMPOSE["volumes"]


def test_no_secret_is_in_the_files() -> None:
    """They come from a folder of their own, which is in no commit and no image."""
    assert {secret["file"] for secret in COMPOSE["secrets"].values()} == {
        f"./secrets/{n}" for n in COMPOSE["secrets"]
    }
    assert "/deploy/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*", "all but what is named stays outside"
    words = re.compile(r"(?i)passw|secret|token|slack")
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            assert not words.search(key) or value.startswith("/run/secrets/")
    assert SERVICES["redis"]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_the_rules_are_right_and_reach_who_is_there(tmp_path: Path) -> None:
    """Every host is a service, every port the one that it has."""
    (tmp_path / "slack-url").write_text("https://hooks.slack.example/x")
    text = (DEPLOY / "compose/watchdog/rules.yaml").read_text()
    config = parse(text, environment={"SECRETS": str(tmp_path), "STATE_DIRECTORY": str(tmp_path)})
    assert config.warnings == ()
    asked = re.findall(r"\w+://([a-z]\w*):(\d+)", text)
    for name in ("prometheus.yml", "datasources/prometheus.yaml"):
        asked += re.findall(r"[\"/]([a-z]\w*):(\d+)\b", (DEPLOY / "compose" / name).read_text())
    ports = {n: str(s.get("ports", ["::6379"])[0]).rpartition(":")[2] for n, s in SERVICES.items()}
    assert {host for host, _ in asked} == {"redis", "alertmanager", "watchdog", "prometheus"}
    assert [(host, port) for host, port in asked if ports[host] != port] == []


def test_prometheus_and_alertmanager_take_what_they_are_given(tmp_path: Path) -> None:
    """Laid out as in their containers, by their own tools."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/watchdog.yml").write_text((ROOT / "prometheus/rules/watchdog.yml").read_text())
    (tmp_path / "prometheus.yml").write_text((DEPLOY / "compose/prometheus.yml").read_text())
    for argv in (
        ("promtool", "check", "config", str(tmp_path / "prometheus.yml")),
        ("amtool", "check-config", str(DEPLOY / "compose/alertmanager.yml")),
    ):
        status, said = run(*argv)
        assert status == 0, said


SAME = {
    "compose/prometheus.yml": (
        "prometheus/prometheus.yml",
        {"alertmanager:": "127.0.0.1:", "watchdog:98": "127.0.0.1:98"},
    ),
    "compose/alertmanager.yml": (
        "prometheus/alertmanager.yml",
        {"/run/secrets/slack-url": "/etc/prometheus/slack-webhook-url"},
    ),
    "compose/datasources/prometheus.yaml": (
        "grafana/provisioning/datasources/prometheus.yml",
        {"//prometheus:": "//127.0.0.1:"},
    ),
}


@pytest.mark.parametrize(("ours", "theirs", "names"), [(o, *t) for o, t in SAME.items()], ids=SAME)
def test_what_is_said_twice_is_said_alike(ours: str, theirs: str, names: Mapping[str, str]) -> None:
    """Only the names of hosts and files differ from the ready-made ones."""
    text = (DEPLOY / ours).read_text()
    for name, local in names.items():
        assert name in text
        text = text.replace(name, local)
    assert yaml.safe_load(text) == yaml.safe_load((ROOT / theirs).read_text())
