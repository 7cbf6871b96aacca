"""What `make reference` writes: pages, man page and completions, byte for byte what the code says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.completion import completion_init  # type: ignore[attr-defined]
from typer.core import TyperGroup
from typer.main import get_command

from tests.process.conftest import typed
from watchdog import __version__
from watchdog.builtin import BUILTIN
from watchdog.cli import app
from watchdog.commands.describing import described
from watchdog.commands.table import TABLE
from watchdog.export.pages import MADE, MORE, reference_pages
from watchdog.filekeys import all_keys
from watchdog.manual import Command, Option, commands_page, man_page, roff
from watchdog.signals import SIGNALS

ROOT = Path(__file__).parents[2]
COMMANDS = described()
PAGES = {
    **{f"docs/reference/{name}": text for name, text in reference_pages().items()},
    "docs/reference/commands.md": commands_page(COMMANDS, MADE),
    "deploy/man/watchdog.1": man_page(COMMANDS, __version__),
}


@pytest.mark.parametrize("path", PAGES)
def test_what_is_made_from_the_code_is_as_the_code_says(path: str) -> None:
    """After a change: `make reference`."""
    assert (ROOT / path).read_text(encoding="utf-8") == PAGES[path]


COMPLETIONS = {"bash": "watchdog.bash", "zsh": "_watchdog", "fish": "watchdog.fish"}


@pytest.mark.parametrize("shell", COMPLETIONS)
def test_the_completion_of_each_shell_is_what_the_command_prints(shell: str) -> None:
    """So a package needs no running program to have it."""
    path = ROOT / "deploy" / "completions" / COMPLETIONS[shell]
    assert path.read_text(encoding="utf-8") == typed("--show-completion", shell).out


# ---- nothing is missing ------------------------------------------------------------------------


def test_every_signal_measure_key_and_rule_has_its_place() -> None:
    """By its name, under its signal."""
    pages = reference_pages()
    sections = dict(re.findall(r"## `(\w+)`\n(.*?)(?=\n## |\Z)", pages["signals.md"], re.DOTALL))
    assert set(sections) == set(SIGNALS) == set(MORE)
    for kind, signal in SIGNALS.items():
        assert {*signal.MEASURES} <= set(re.findall(r"^\| `([\w.*]+)` \|", sections[kind], re.MULTILINE))
    rows = dict(
        re.findall(r"^\| \[`(\w+)`\]\(\.\./runbooks/\1\.md\) \| (.*?) \| ", pages["alerts.md"], re.MULTILINE)
    )
    assert rows == {alert: "<br>".join(f"`{c}`" for c in rule["when"]) for alert, rule in BUILTIN.items()}
    told = "".join(pages.values())
    assert [key.path for key in all_keys() if f"`{key.name}`" not in told] == []


def test_every_command_and_option_is_on_the_page_and_in_the_manual() -> None:
    """Those of commands within commands, too."""
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    manual = PAGES["deploy/man/watchdog.1"].replace("\\-", "-")
    for command in (each for top in COMMANDS for each in top.all()):
        assert f"\n## {command.words}\n" in PAGES["docs/reference/commands.md"]
        assert f".SS {command.words} " in manual
        assert [option.written for option in command.options if f".B {option.written}\n" not in manual] == []
    assert {command.words for command in COMMANDS} == {f"watchdog {name}" for name in TABLE}
    below = {each.words for top in COMMANDS for each in top.below}
    assert {"watchdog silence add", "watchdog export schema", "watchdog settings check"} <= below


# ---- the man page ------------------------------------------------------------------------------


def test_groff_has_nothing_to_say_against_the_manual() -> None:
    """With all its warnings on."""
    page = ROOT / "deploy" / "man" / "watchdog.1"
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", page], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (".SH of a user's", r"\&.SH of a user\(aqs"),
        (r"a\b-c", r"a\eb\-c"),
        ("`x` … é", r"\(gax\(ga \[u2026] \[u00E9]"),
    ],
    ids=["a request", "a backslash", "signs beyond ASCII"],
)
def test_no_text_is_taken_for_a_request(text: str, written: str) -> None:
    """Whatever a help text begins with or holds."""
    assert roff(text) == written


def test_a_bar_does_not_end_a_cell() -> None:
    """Not even one in code."""
    command = Command("w x", "[OPTIONS]", ("Does a|b.",), (), (Option("--format <a|b>", "how"),), "")
    assert "| `--format <a\\|b>` | how |" in commands_page([command], "")


# ---- completion --------------------------------------------------------------------------------

RULES = """\
services: {orders: {heartbeat: {key: k}}, "$(evil)": {heartbeat: {key: j}}, outbox: }
rules: [{alert: Own, when: heartbeat.age > 1m}]
receivers: {ops: {webhook: {url: http://x}}}
"""
COMPLETED = [
    ("sil", ["silence"]),
    ("alerts --service o", ["orders", "outbox"]),
    ("alerts --service ''", ["orders", "outbox"]),
    ("alerts --receiver ''", ["ops"]),
    ("alerts --alert Ow", ["Own"]),
    ("ack HeartbeatM", ["HeartbeatMissing"]),
    ("runbook NoEx", ["NoExecutions"]),
    ("test-receiver o", ["ops"]),
    ("demo --fault W01", ["W01"]),
    ("explain si", ["signal"]),
    ("explain signal co", ["command", "consumes"]),
    ("explain measure log.err", ["log.error_ratio", "log.errors"]),
    ("explain receiver sl", ["slack"]),
    ("silence ad", ["add"]),
    ("check --for", ["--format"]),
]


@pytest.mark.parametrize(("typed_so_far", "offered"), COMPLETED, ids=[text for text, _ in COMPLETED])
def test_a_shell_completes_names_of_commands_rules_and_the_file(
    typed_so_far: str, offered: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As bash asks; what would mean something to a shell is not offered."""
    (tmp_path / "rules.yaml").write_text(RULES)
    monkeypatch.chdir(tmp_path)
    words = f"watchdog {typed_so_far}"
    said = completed(words)
    assert said == offered


def completed(words: str) -> list[str]:
    """Return what the program answers to bash."""
    completion_init()
    ran = typed(
        environment={
            "_WATCHDOG_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        }
    )
    return ran.out.split()


def test_bash_itself_completes(tmp_path: Path) -> None:
    """With the file that a package installs, and the program as a user starts it."""
    program = tmp_path / "watchdog"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from watchdog.cli import main; main()" "$@"\n')
    program.chmod(0o755)
    script = f"source {ROOT}/deploy/completions/watchdog.bash; COMP_WORDS=(watchdog deliv); COMP_CWORD=1; "
    script += '_watchdog_completion watchdog; echo "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == "deliveries\n"
