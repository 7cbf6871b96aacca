"""
What becomes of a command on a page: run for real wherever that is possible here, understood elsewhere.

`watchdog` runs in this process and curl, redis-cli and the like in a shell, at the desk of the page. What would
last, or change this machine, is held to what the repository has: targets, packages, units, files, modules.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from typer.main import get_command

from tests.process.conftest import typed
from watchdog.cli import app
from watchdog.demo.faults import FAULTS

from .pages import ROOT

LASTING = ("run", "top", "demo", "record", "pipeline", "heartbeat")
"""Commands that go on until somebody ends them."""
SAYS_HOW_IT_STANDS = ("audit", "check --connect")
"""Commands whose status is a verdict on the pipeline, which may be bad."""
HARMLESS = ("cat", "cd", "chmod", "curl", "diff", "echo", "export", "grep", "head", "jq", "ls", "mkdir")
SHELL = (*HARMLESS, "promtool", "amtool", "redis-cli", "pkill", "sed", "sort", "tail", "test", "touch", "tr")
"""Run in a shell."""
_FIGURES = {
    r"\b[0-9a-f]{16}\b": r"[0-9a-f]{16}",
    r"\d+(?:\.\d+)?(?:d|h|m|s|ms)(?: \d+(?:d|h|m|s))?\b": r"\d+(?:\.\d+)?(?:d|h|m|s|ms)(?: \d+(?:d|h|m|s))?",
    r"\d+(?:[-.,:T]\d+)*Z?": r"\d+(?:[-.,:T]\d+)*Z?",
}
"""What differs from run to run, and what it looks like: fingerprints, durations, numbers and times."""
_FIGURE = re.compile(f"({'|'.join(_FIGURES)})")
_OPERATORS = {"|", "||", "&&", ";", "&"}


class Place(Protocol):
    """Where commands are typed: with what files, environment and server."""

    @property
    def folder(self) -> Path:
        """Where the one who types is."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What the shell has besides."""

    @property
    def redis_port(self) -> int:
        """Where redis-cli asks."""

    def here(self, text: str) -> str:
        """Return *text* of a page with the places of this one in it."""


class Typed(NamedTuple):
    """A command with what the page says it prints; *shown* is empty where it says nothing."""

    line: str
    shown: list[str]


def typed_on(text: str, language: str) -> Iterator[Typed]:
    """Yield the commands of a block: in `console` after a `$`, in `sh` every line that is no comment."""
    pending: list[str] = []
    commands: list[Typed] = []
    for line in text.splitlines():
        if pending or language == "sh" or line.startswith("$ "):
            begun = not pending
            pending.append(line.removeprefix("$ ") if begun else line)
            if not line.endswith("\\") and _closed("\n".join(pending)):
                whole = "\n".join(pending)
                pending = []
                if words(whole):
                    commands.append(Typed(whole, []))
        else:
            assert commands, f"the block begins with what no command has printed: {line}"
            commands[-1].shown.append(line)
    assert not pending, f"the command has no end: {pending}"
    yield from commands


def words(line: str) -> list[str]:
    """Return the words of a command line, operators among them, without its comment."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    return list(lexer)


def _closed(line: str) -> bool:
    try:
        words(line)
    except ValueError:
        return False
    return True


def check(place: Place, command: Typed, *, elsewhere: bool) -> None:
    """
    Fail unless *command* does what its page says; *elsewhere* it need only be understood.

    What a page shows of the output must be part of it, whatever the figures.
    """
    line = place.here(command.line)
    parts = words(line)
    parts = parts[parts[0] == "sudo" :]
    program = parts[0]
    if program == "watchdog":
        understand(simple(parts)[1:])
        if elsewhere or parts[1] in LASTING:
            return
        said = _run_watchdog(place, line, parts)
    elif program in SHELL:
        if elsewhere:
            return
        said = _run_shell(place, line)
    else:
        understood = UNDERSTOOD.get(program)
        assert understood is not None, f"nobody checks {program}: {command.line}"
        understood(simple(parts))
        return
    for shown in command.shown:
        assert any(
            re.fullmatch(pattern(place.here(shown)), squeezed(there)) for there in said.splitlines()
        ), f"not printed by {command.line}: {shown}\nprinted:\n{said}"


def simple(parts: Sequence[str]) -> list[str]:
    """Return the first command of *parts*, without what its output is piped or written into."""
    for number, part in enumerate(parts):
        if part in _OPERATORS or part.startswith((">", "<")):
            return list(parts[:number])
    return list(parts)


def squeezed(line: str) -> str:
    """Return *line* with one blank wherever there are some, and what draws a column as one."""
    return " ".join(line.split())


def pattern(shown: str) -> str:
    """Return what matches *shown* whatever its figures; `…` stands for anything."""
    parts = _FIGURE.split(squeezed(shown))
    for number, part in enumerate(parts):
        if number % 2 == 0:
            parts[number] = re.escape(part).replace("…", ".*")
        else:
            parts[number] = next(like for what, like in _FIGURES.items() if re.fullmatch(what, part))
    return "".join(parts)


def understand(arguments: Sequence[str]) -> None:
    """Have the command line parse *arguments*, down to the last subcommand; a bare name need only exist."""
    command: Any = get_command(app)
    left = list(arguments)
    context = command.make_context("watchdog", [], resilient_parsing=True)
    while hasattr(command, "resolve_command"):
        name, command, left = command.resolve_command(context, left)
        if not left:
            return
        context = command.make_context(
            name, left, parent=context, resilient_parsing=hasattr(command, "commands")
        )


def commands_in_prose(text: str) -> Iterator[list[str]]:
    """Yield the arguments of each `watchdog …` that stands between backticks."""
    for span in re.findall(r"(?<!`)`watchdog ([^`]+)`", text):
        synopsis = re.split(r" [\[{]", " ".join(span.split()))[0]
        spelt = re.sub(r"\b[A-Z]{2,}\b|…", "x", synopsis)
        yield simple(words(spelt.replace("\\|", " |")))


def _run_watchdog(place: Place, line: str, parts: Sequence[str]) -> str:
    """Run the command in this process and what follows it, if anything does, in a shell."""
    first = len(simple(parts))
    arguments = [path for part in parts[1:first] for path in (sorted(glob.glob(part)) or [part])]
    ran = typed(*arguments, environment=place.environment)
    verdict = any(" ".join(arguments).startswith(name) for name in SAYS_HOW_IT_STANDS)
    assert ran.status == 0 or (verdict and ran.status < 4), f"{line}: status {ran.status}: {ran.err}{ran.out}"
    rest = list(parts[first:])
    if not rest:
        return ran.out + ran.err
    script = " ".join(
        part if part in _OPERATORS or part in {">", ">>"} else shlex.quote(part) for part in rest
    )
    return _run_shell(place, f"cat {script}" if rest[0] in {">", ">>", "|"} else script, ran.out)


def _run_shell(place: Place, line: str, given: str = "") -> str:
    for path in re.findall(r">>? *(\S+)", line):
        (place.folder / path).parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", line.replace("redis-cli", _asking(place))],
        input=given,
        env={**os.environ, **place.environment},
        cwd=place.folder,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, f"{line}: status {done.returncode}: {done.stderr}{done.stdout}"
    assert "-i" in line or not re.match(r'\{"status": ?"error"|\{"error"', done.stdout), done.stdout
    return done.stdout + done.stderr


def _asking(place: Place) -> str:
    return f"redis-cli -e -p {place.redis_port}"


# ---- understood only ---------------------------------------------------------------------------


def _make(parts: Sequence[str]) -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    for part in parts[1:]:
        name, given, value = part.partition("=")
        assert re.search(rf"^{name} \?=|\$\({name}\)" if given else rf"^{name}:", text, re.MULTILINE), part
        assert name != "FAULT" or value in FAULTS, part


def _module(parts: Sequence[str]) -> None:
    assert parts[1] == "-m", f"a page runs modules only: {parts}"
    if parts[2] in {"venv", "pip"}:
        return _pip(parts[2:]) if parts[2] == "pip" else None
    spec = importlib.util.find_spec(parts[2])
    assert spec is not None, f"there is no module {parts[2]}"
    sources = [ROOT.joinpath(*parts[2].split(".")).with_suffix(".py")]
    sources += ROOT.joinpath(*parts[2].split(".")).glob("**/*.py")
    known = "".join(path.read_text(encoding="utf-8") for path in sources if path.exists())
    for option in (part.partition("=")[0] for part in parts[3:] if part.startswith("--")):
        assert option in known or option.removeprefix("--").replace("-", "_") in known, option
    return None


def _pip(parts: Sequence[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for part in parts[1:]:
        found = re.fullmatch(r"([\w-]+)(?:\[([\w,]+)\])?(?:==[\d.]+)?", part)
        if part.startswith("-") or part in {"install", "-m"} or found is None:
            continue
        if found[1] == project["name"]:
            extras = set((found[2] or "").split(",")) - {""}
            assert extras <= set(project["optional-dependencies"]), part


def _repository_files(parts: Sequence[str]) -> None:
    """Whatever of the words is a path of this repository is there."""
    for part in parts[1:]:
        path = part.partition("=")[2] or part
        if re.match(r"(?:\./)?(?:deploy|docs|grafana|prometheus|watchdog|tests)/", path):
            assert (ROOT / path.removesuffix("/.")).exists(), f"there is no {path}"


def _debian(parts: Sequence[str]) -> None:
    needed = (ROOT / "tests" / "system-packages.sh").read_text(encoding="utf-8")
    bench = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "bench").rglob("*.py"))
    for package in (
        part for part in parts[1:] if not part.startswith("-") and part not in {"install", "update"}
    ):
        assert package in needed or package in bench, f"nobody here uses the package {package}"


def _systemctl(parts: Sequence[str]) -> None:
    verbs = {"cat", "daemon-reload", "enable", "disable", "is-active", "reload", "restart", "show", "start"}
    verb = next(part for part in parts[1:] if not part.startswith("-"))
    assert verb in verbs | {"status", "stop", "edit", "kill", "list-units", "list-timers"}, verb


def _exists(parts: Sequence[str]) -> None:
    """The program is no part of this repository; its name is all there is to check."""
    assert parts


UNDERSTOOD: Mapping[str, Callable[[Sequence[str]], None]] = {
    "make": _make,
    "python": _module,
    "python3": _module,
    "pip": _pip,
    "pipx": _pip,
    "apt-get": _debian,
    "systemctl": _systemctl,
    "docker": _repository_files,  # DEPLOY's own tests give the files to docker, kubectl and systemd-analyze
    "kubectl": _repository_files,
    "kustomize": _repository_files,
    "systemd-analyze": _repository_files,
    "install": _repository_files,
    "cp": _repository_files,
    "git": _exists,
    "journalctl": _exists,
    "prometheus": _exists,
    "useradd": _exists,
    "usermod": _exists,
    "adduser": _exists,
    "systemd-creds": _exists,
    "systemd-sysusers": _exists,
    "systemd-tmpfiles": _exists,
    "ln": _exists,
    "source": _exists,
    "ssh": _exists,
    "kill": _exists,
}
"""How those are checked that would last, change this machine, or need what is not here."""
