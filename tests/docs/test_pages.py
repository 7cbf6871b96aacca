"""Every command and every sample on the pages works, in the order in which it stands there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from watchdog.runbooks import runbook_names

from .commands import check, commands_in_prose, typed_on, understand
from .pages import DOCS, PAGES, Fence, fences, name
from .samples import SAMPLES
from .world import Desk, World, a_world, desk_in

TUTORIAL = DOCS / "tutorial"
CHECKED_ELSEWHERE = {
    DOCS / "runbooks": "tests/dropins/test_runbooks.py, on a server and with places filled in",
    DOCS / "examples" / "plugin": "tests/plugins, with the package installed",
    TUTORIAL: "tests/process/test_demo.py, on a real demo",
}
WITH_BLOCKS = [
    page for page in PAGES if any(fences(page)) and not any(page.is_relative_to(p) for p in CHECKED_ELSEWHERE)
]
COMMAND = re.compile(r"(?:\$ |watchdog |python -m |make )")
ALERT = re.compile(r"(?:^ +alert +|FIRING \w+ |\[)([A-Z][a-z]+[A-Z]\w+)(?=[: \]])", re.MULTILINE)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One for all pages."""
    with a_world(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture
def desk(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk of this page's own."""
    monkeypatch.chdir(tmp_path)
    for variable, value in world.environment.items():
        monkeypatch.setenv(variable, value)
    return desk_in(world, tmp_path)


def block_works(desk: Desk, fence: Fence) -> None:
    """Fail unless *fence* works; AssertionError as well if nobody knows how to check it."""
    if fence.language in {"console", "sh"}:
        elsewhere, _, why = fence.mark.partition(": ")
        assert why or elsewhere != "elsewhere", "why are these commands not run here?"
        for command in typed_on(fence.text, fence.language):
            check(desk, command, elsewhere=elsewhere == "elsewhere")
    elif fence.language == "text":
        no_command_hides_in(fence)
    else:
        checked = SAMPLES.get(fence.language)
        assert checked is not None, f"nobody checks a block in {fence.language or 'no language'}"
        checked(desk, fence)


def no_command_hides_in(fence: Fence) -> None:
    """What is merely shown is no command, and names alerts that exist."""
    for line in fence.text.splitlines():
        synopsis, options, _ = line.partition(" [OPTIONS]")
        if options:
            understand(synopsis.split()[1:])
        else:
            assert not COMMAND.match(line), f"a command is written as mere text: {line}"
    assert set(ALERT.findall(fence.text)) <= {*runbook_names(), "ALERT"}


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=name)
def test_every_block_of_a_page_works(page: Path, desk: Desk) -> None:
    """In their order, at one desk; the first that does not is named with its line."""
    for fence in fences(page):
        try:
            block_works(desk, fence)
        except Exception as exc:
            raise AssertionError(f"{fence.place}: {exc}") from exc


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_block_is_overlooked(page: Path) -> None:
    """Each line that opens or closes a block belongs to one that is checked."""
    marks = re.findall(r"^ *(?:```|~~~)", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(marks) == 2 * len(list(fences(page)))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_within_a_sentence_exist(page: Path) -> None:
    """With their options; what stands in capitals is a place to be filled in."""
    for arguments in commands_in_prose(page.read_text(encoding="utf-8")):
        understand(arguments)


WRONG = {
    "no language": ("", "", "echo here", "nobody checks"),
    "not run for no reason": ("sh", "elsewhere", "watchdog check", "why"),
    "no such command": ("sh", "", "watchdog chekc", "No such command"),
    "no such option": ("sh", "", "watchdog check --fast", "No such option"),
    "no such option of what lasts": ("sh", "", "watchdog run --fast", "No such option"),
    "no such program": ("sh", "", "whatever --now", "nobody checks whatever"),
    "ends badly": ("console", "", "$ watchdog explain NoSuchAlert", "status 1"),
    "ends badly behind a pipe": ("sh", "", "watchdog alerts | grep nobody", "status 1"),
    "not what it prints": ("console", "", "$ watchdog alerts\nall is well", "not printed by"),
    "no such target": ("sh", "", "make coffee", "coffee"),
    "no such fault": ("sh", "", "make demo FAULT=W99", "FAULT=W99"),
    "no such module": ("sh", "", "python -m bench.pole", "no module"),
    "no such extra": ("sh", "", "pip install 'pipeline-watchdog[tea]'", "tea"),
    "no such file": ("sh", "", "docker build -f deploy/docker/Nofile .", "there is no deploy/docker/Nofile"),
    "no such key": ("yaml", "", "services: {a: {heartbeat: {kye: k}}}", "kye"),
    "no such key in a part": ("yaml", "part of rules.yaml: services.a", "heartbeat: {kye: k}", "kye"),
    "for nobody": ("yaml", "for somebody", "a: b", "for somebody"),
    "no such figure": ("json", "GET /api/v1/status", '{"state": 1}', ".state"),
    "python that fails": ("python", "", "beat.work()", "beat"),
    "a beat that nobody gives": (
        "python",
        "",
        "from watchdog.client import Heartbeat\nHeartbeat(redis_client, 'x', ttl=9)\n# Heartbeat(c, \"x\")",
        "nobody has beaten at x",
    ),
    "no such section": ("ini", "", "[Servant]\na=b", "Servant"),
    "no such function": ("promql", "", "tiem() > 0", "tiem"),
    "a command as text": ("text", "", "$ watchdog alerts", "mere text"),
    "no such alert": ("text", "", "FIRING critical NoSuchAlert: it", "NoSuchAlert"),
}


@pytest.mark.parametrize(("language", "mark", "text", "told"), WRONG.values(), ids=WRONG)
def test_a_wrong_block_would_be_seen(language: str, mark: str, text: str, told: str, desk: Desk) -> None:
    """Each in its own way."""
    with pytest.raises(Exception, match=re.escape(told)):
        block_works(desk, Fence(DOCS / "README.md", 1, language, mark, f"{text}\n"))
