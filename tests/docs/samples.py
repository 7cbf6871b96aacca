"""What becomes of a sample on a page: it is loaded, run or compared by whoever it is meant for."""

from __future__ import annotations

import configparser
import json
import re
import secrets
import shlex
import subprocess
import tomllib
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

import redis
import yaml

from watchdog.config import Config, parse

from .commands import Typed, check, understand
from .pages import ROOT, Fence
from .world import TOKEN, Desk

SMALLEST = "services: {orders: {heartbeat: {key: beat}}}\n"
SECTIONS = {"Unit", "Service", "Install", "Timer", "Socket", "Path", "Journal"}


class EndError(Exception):
    """Ends a sample that would go on for ever."""


def sample_yaml(desk: Desk, fence: Fence) -> None:
    """
    Load a sample for whoever it is meant for: by its mark, or else as a whole rules file.

    `file: PATH` keeps it for the commands that follow; `part of rules.yaml: A.B` puts it where it belongs.
    """
    kind, _, detail = fence.mark.partition(": ")
    text = desk.here(fence.text)
    desk.give_secrets(text)
    if kind == "file":
        desk.lay(detail, fence.text)
        if "alert_rule_test" not in text and detail.endswith((".yaml", ".yml")) and "rules" in detail:
            _rules(desk, text)
    elif kind == "part of rules.yaml":
        _rules(desk, spliced(text, detail))
    elif kind in OF_OTHERS:
        OF_OTHERS[kind](desk, fence, text)
    else:
        assert kind in {"", "yaml"}, f"nobody checks what is marked {fence.mark}"
        _rules(desk, text)


def _rules(desk: Desk, text: str) -> Config:
    return parse(text, environment=desk.world.environment)


def spliced(text: str, path: str) -> str:
    """Return a small rules file with *text* below the keys of *path* (`services.orders`, or `at its top`)."""
    keys = path.split(".") if path != "at its top" else []
    indent = "  " * len(keys)
    above = "".join(f"{'  ' * depth}{key}:\n" for depth, key in enumerate(keys))
    body = "".join(f"{indent}{line}" for line in text.splitlines(keepends=True))
    whole = above + body
    return whole if re.search(r"^(services|discover):", whole, re.MULTILINE) else SMALLEST + whole


def _rule_tests(desk: Desk, fence: Fence, text: str) -> None:
    tests = yaml.safe_load(text)
    assert tests.get("tests"), fence.place
    desk.lay("rules_test.yaml", fence.text)


def _workflow(desk: Desk, _fence: Fence, text: str) -> None:
    """Each step is checked as a command of the page is."""
    steps = yaml.safe_load(text)
    for step in steps if isinstance(steps, list) else []:
        for line in str(step["run"]).splitlines():
            check(desk, Typed(line, []), elsewhere=True)


def _pre_commit(_desk: Desk, _fence: Fence, text: str) -> None:
    offered = {hook["id"] for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
    for repo in yaml.safe_load(text)["repos"]:
        assert {hook["id"] for hook in repo["hooks"]} <= offered


def _prometheus(desk: Desk, fence: Fence, text: str) -> None:
    path = desk.folder / "prometheus.yml"
    path.write_text(re.sub(r"^rule_files:.*\n(?: +-.*\n)*", "", text, flags=re.MULTILINE), encoding="utf-8")
    _ask(["promtool", "check", "config", "--lint=none", str(path)], fence)


def _alertmanager(desk: Desk, fence: Fence, text: str) -> None:
    path = desk.folder / "alertmanager.yml"
    path.write_text(text, encoding="utf-8")
    _ask(["amtool", "check-config", str(path)], fence)


def _ask(argv: list[str], fence: Fence) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, f"{fence.place}: {done.stdout}{done.stderr}"


def _manifest(_desk: Desk, fence: Fence, text: str) -> None:
    """Of Kubernetes or compose: those that are deployed stand in deploy/ and are checked there."""
    assert all(isinstance(document, dict) for document in yaml.safe_load_all(text)), fence.place


OF_OTHERS: Mapping[str, Callable[[Desk, Fence, str], None]] = {
    "rule tests": _rule_tests,
    "github": _workflow,
    "pre-commit": _pre_commit,
    "prometheus": _prometheus,
    "alertmanager": _alertmanager,
    "kubernetes": _manifest,
    "compose": _manifest,
}
"""YAML for other programs than the watchdog, by its mark."""


def sample_json(desk: Desk, fence: Fence) -> None:
    """Compare with what the sidecar answers to the request in the mark: every key that is shown is there."""
    shown = json.loads(desk.here(fence.text).replace("…", ""))
    method, _, path = fence.mark.partition(" ")
    assert method == "GET", f"{fence.place}: the mark above must name the request whose answer this is"
    request = urllib.request.Request(f"http://127.0.0.1:{desk.world.port}{desk.here(path)}")
    request.add_header("Authorization", f"Bearer {TOKEN}")
    with urllib.request.urlopen(request, timeout=5) as answer:
        lacks = missing(shown, json.load(answer))
    assert not lacks, f"{fence.place}: the answer has no such {', '.join(lacks)}"


def missing(shown: Any, real: Any, at: str = "") -> list[str]:
    """Return where *real* lacks what is *shown*, or has something of another type."""
    if isinstance(shown, dict) and isinstance(real, dict):
        gone = [f"{at}.{key}" for key in shown if key not in real]
        return gone + [
            m for key in shown if key in real for m in missing(shown[key], real[key], f"{at}.{key}")
        ]
    if isinstance(shown, list) and isinstance(real, list):
        return [m for one in shown[:1] for m in (missing(one, real[0], f"{at}[]") if real else [])]
    numbers = (int, float)
    same = type(shown) is type(real) or (isinstance(shown, numbers) and isinstance(real, numbers))
    return [] if same or shown is None or real is None else [at]


def sample_python(desk: Desk, fence: Fence) -> None:
    """Run it, with what its page takes for granted; `from PATH` says in which file it stands, letter by letter."""
    kind, _, path = fence.mark.partition(" ")
    if kind == "from":
        assert fence.text.strip() in (ROOT / path).read_text(encoding="utf-8"), f"{path} has no such lines"
        return
    with redis.Redis.from_url(desk.world.server.url, decode_responses=True) as client:
        handled: list[Any] = []
        looks = iter([[], ["first", "second"]])

        def read_some(_client: Any) -> list[Any]:
            try:
                return next(looks)
            except StopIteration:
                raise EndError from None

        given = {
            "redis_client": client,
            "entries": lambda: ["first", "second"],
            "read_some": read_some,
            "handle": handled.append,
            "secrets": secrets,
            "entry": {"traceparent": f"00-{'4b' * 16}-{'b7' * 8}-01"},
            "answer": {"decision": "EXECUTE"},
            "stream": "answers",
            "redis": client,
            "__name__": "sample",
        }
        try:
            exec(compile(desk.here(fence.text), fence.place, "exec"), given)
        except EndError:
            assert handled
        for key in re.findall(r'Heartbeat\(\w+, "([^"]+)"', fence.text):
            assert client.delete(key), f"{fence.place}: nobody has beaten at {key}"


def sample_ini(_desk: Desk, fence: Fence) -> None:
    """It parses as a unit file, and what it starts is a command of ours."""
    parsed = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=False)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(fence.text)
    others = set(parsed.sections()) - SECTIONS
    assert not others, f"{fence.place}: systemd has no section {', '.join(others)}"
    for section in parsed.values():
        for key in ("ExecStart", "ExecStartPre", "ExecReload"):
            program, *arguments = shlex.split(section.get(key, "")) or [""]
            if program.endswith("watchdog"):
                understand(arguments)


def sample_toml(_desk: Desk, fence: Fence) -> None:
    """It parses."""
    assert tomllib.loads(fence.text), fence.place


def sample_promql(desk: Desk, fence: Fence) -> None:
    """Each line is an expression that promtool understands."""
    rules = [{"alert": f"Line{n}", "expr": line} for n, line in enumerate(fence.text.splitlines()) if line]
    path = desk.folder / "expressions.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "page", "rules": rules}]}), encoding="utf-8")
    _ask(["promtool", "check", "rules", "--lint=none", str(path)], fence)


def sample_dockerfile(_desk: Desk, fence: Fence) -> None:
    """It begins with an image and uses instructions that exist."""
    known = {"FROM", "RUN", "COPY", "ENV", "USER", "WORKDIR", "ENTRYPOINT", "CMD", "EXPOSE", "ARG", "LABEL"}
    known |= {"HEALTHCHECK", "VOLUME"}
    lines = [line for line in fence.text.replace("\\\n", " ").splitlines() if line and line[0] not in "# "]
    assert {line.split()[0] for line in lines} <= known, fence.place


def sample_acl(desk: Desk, fence: Fence) -> None:
    """A real server takes it."""
    with redis.Redis.from_url(desk.world.server.url) as client:
        for line in fence.text.splitlines():
            assert client.execute_command(*line.split())


SAMPLES: Mapping[str, Callable[[Desk, Fence], None]] = {
    "yaml": sample_yaml,
    "json": sample_json,
    "python": sample_python,
    "ini": sample_ini,
    "toml": sample_toml,
    "promql": sample_promql,
    "dockerfile": sample_dockerfile,
    "acl": sample_acl,
}
