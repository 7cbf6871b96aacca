"""The Dockerfile: read by hadolint, held to the locks, and taken apart for those who run what it says."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.programs import program
from tests.deploy.wheels import ROOT

DOCKERFILE = ROOT / "deploy/docker/Dockerfile"
_ENTRY = re.compile(r"^\w\S*==.*\n(?: .*\n)*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Image:
    """What the last stage says of how it is run."""

    environment: Mapping[str, str]
    user: str
    workdir: str
    command: list[str]
    health: list[str]

    def unit(self, rules: str) -> str:
        """Return it as a service: the same user, environment and command, a root that is only read, *rules* mounted."""
        environment = "\n".join(f"Environment={name}={value}" for name, value in self.environment.items())
        return f"""
[Service]
User={self.user}
Group={self.user}
{environment}
ExecStart=/opt/pipeline-watchdog/bin/{" ".join(self.command)}
WorkingDirectory={self.workdir}
ReadOnlyPaths=/
ReadWritePaths={self.workdir}
BindReadOnlyPaths={rules}:/etc/pipeline-watchdog
PrivateNetwork=yes
CapabilityBoundingSet=
NoNewPrivileges=yes
"""


def read_image() -> Image:
    """Read the last stage of the Dockerfile."""
    stage = DOCKERFILE.read_text().rpartition("\nFROM ")[2].replace("\\\n", " ")
    stage = re.sub(r"^#.*\n", "", stage, flags=re.MULTILINE)

    def said(instruction: str) -> str:
        (found,) = re.findall(rf"^{instruction}\s+(.*)$", stage, re.MULTILINE)
        return str(found)

    return Image(
        dict(pair.split("=", 1) for pair in said("ENV").split()),
        said("USER").partition(":")[0],
        said("WORKDIR"),
        json.loads(said("ENTRYPOINT")) + json.loads(said("CMD")),
        json.loads(said("HEALTHCHECK").partition(" CMD ")[2]),
    )


def lint(text: str) -> str:
    """Return what hadolint has against *text*."""
    argv = [program("hadolint"), "--no-color", "-"]
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout + done.stderr


MISTAKES = {
    "root": ("USER 65532:65532", "USER root", "DL3002"),
    "no version": ("FROM python:${PYTHON}\n", "FROM python\n", "DL3006"),
    "a cache in the layer": ("RUN pip wheel", "RUN apt-get install x && pip wheel", "DL3008"),
    "a shell": ('ENTRYPOINT ["watchdog"]', "ENTRYPOINT watchdog", "DL3025"),
}


def test_hadolint_has_nothing_against_it() -> None:
    """Not even a note, and no rule is switched off for it."""
    text = DOCKERFILE.read_text()
    assert lint(text) == ""
    assert "hadolint ignore" not in text


@pytest.mark.parametrize(("right", "wrong", "rule"), MISTAKES.values(), ids=MISTAKES)
def test_hadolint_would_notice(right: str, wrong: str, rule: str) -> None:
    """Else the test above would say nothing."""
    text = DOCKERFILE.read_text()
    assert right in text
    assert rule in lint(text.replace(right, wrong))


def test_the_image_is_of_one_version_and_not_root() -> None:
    """Both stages are of the same base, pinned to the patch; the user is a number, as Kubernetes wants it."""
    text = DOCKERFILE.read_text()
    assert re.search(r"^ARG PYTHON=3\.11\.\d+-slim-\w+$", text, re.MULTILINE), "the version CI runs"
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["python:${PYTHON}"] * 2
    image = read_image()
    assert image.user.isdigit()
    assert image.user != "0"
    assert image.environment["STATE_DIRECTORY"] == image.workdir == "/var/lib/pipeline-watchdog"
    assert image.health[:2] == ["python", "-ISc"], "no site-packages: it takes a tenth of a second"


def locked(path: str) -> dict[str, set[str]]:
    """Return the hashes of each NAME==VERSION in a lock."""
    entries = _ENTRY.findall((ROOT / path).read_text())
    return {entry.split()[0]: set(re.findall(r"sha256:\w+", entry)) for entry in entries}


@pytest.mark.parametrize("lock", ["deploy/requirements.lock", "deploy/docker/build.lock"])
def test_a_lock_is_a_part_of_the_whole_lock(lock: str) -> None:
    """The same versions with the same hashes, from nowhere in particular; `make lock` makes all of them."""
    whole, part = locked("requirements.lock"), locked(lock)
    assert len(part) > 4
    assert all(part.values())
    assert {name: hashes for name, hashes in part.items() if whole.get(name) != hashes} == {}
    assert "://" not in (ROOT / lock).read_text()


def test_what_the_build_copies_is_let_through() -> None:
    """Each pattern of .dockerignore that lets something in names something that is there, and the wheel needs no more."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    assert [path for path in let_in if not (ROOT / path).exists()] == []
    shared = re.findall(
        r'^"([^"]+)" = "(?:share|watchdog)/', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    needed = [*shared, "pyproject.toml", "README.md", "LICENSE", "watchdog", "deploy/docker/build.lock"]
    assert [n for n in needed if not any(Path(n).is_relative_to(path) for path in let_in)] == []
