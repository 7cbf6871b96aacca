"""`watchdog settings`, as people and pre-commit type it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.process.conftest import Ran, typed
from watchdog.settings.files import Shelf
from watchdog.settings.requirements import Told, differences

ROOT = Path(__file__).parents[2]
RULES = """
redis: {url: "${UNSET_REDIS_URL}"}
services:
  execution:
    settings:
      file: [/etc/quantum/common.env, /etc/quantum/execution.env]
      require:
        APPLY_MODE: {one_of: [dry_run, testnet], reason: "no live orders", owner: risk}
        K_BLOCK_CRITICAL: 0.8
      forbid: [LIVE]
      agree: [["/etc/quantum/apply_layer.env:APPLY_MODE", APPLY_MODE]]
  apply_layer: {settings: {file: /etc/quantum/apply_layer.env, known: {file: /etc/quantum/apply_layer.env.example}}}
  elsewhere: {settings: {file: /etc/staging/execution.env, require: {APPLY_MODE: staging}}}
receivers: {ops: {slack: {url: "${UNSET_SECRET}"}}}
"""
GOOD = {
    "common.env": "K_BLOCK_CRITICAL=0.80\n",
    "execution.env": "APPLY_MODE=dry_run\n",
    "apply_layer.env": "APPLY_MODE=dry_run\n",
    "apply_layer.env.example": "#APPLY_MODE=\nHARVEST_MODE=\n",
}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository of good env files in which we stand, with its rules."""
    folder = tmp_path / "etc" / "quantum"
    folder.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / "rules.yaml").write_text(RULES)
    for name, text in GOOD.items():
        (folder / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return folder


def check(*names: str, options: tuple[str, ...] = ()) -> tuple[int, list[str]]:
    """Check files of the repository; return the exit status and what was said, without the folder."""
    ran = typed("settings", "check", *(f"etc/quantum/{name}" for name in names), *options)
    return ran.status, [line.replace("etc/quantum/", "") for line in (ran.out + ran.err).splitlines()]


def test_a_good_repository(repository: Path) -> None:
    """Nothing is said, of all files or of one of them, though no secret of the rules is set."""
    assert check("common.env", "execution.env", "apply_layer.env") == (0, [])
    assert check("execution.env") == (0, [])


BAD = [
    ("C03", "execution.env", "APPLY_MODE=dry_run # x\n", [
        "1:1: /apply_layer.env:APPLY_MODE=dry_run (apply_layer.env:1) and APPLY_MODE=dry_run # x"
        " (execution.env:1, its comment is part of the value) must be equal",
        "1:1: APPLY_MODE=dry_run # x (execution.env:1, its comment is part of the value) must be one of"
        " dry_run, testnet: no live orders (owner: risk)",
        "1:19: the comment behind APPLY_MODE is part of its value (put it in a line of its own)",
    ]),
    ("C01", "execution.env", "X=1\nAPPLY_MODE=dry_run\nLIVE=1\n", ["3:1: LIVE=1 (execution.env:3) is forbidden"]),
    ("C01 in an earlier file", "execution.env", "APPLY_MODE=dry_run\nK_BLOCK_CRITICAL=0.9\n", [
        "2:1: K_BLOCK_CRITICAL=0.9 (execution.env:2, over common.env:1) must be 0.8"
    ]),
    ("C02 across files", "execution.env", "APPLY_MODE=testnet\n", [
        "1:1: /apply_layer.env:APPLY_MODE=dry_run (apply_layer.env:1)"
        " and APPLY_MODE=testnet (execution.env:1) must be equal"
    ]),
    ("C04", "execution.env", "APPLY_MODE=dry_run\r\n Y=1\nlive\nY=2\n", [
        "1:19: 1 line ends in CRLF, and all but systemd take the CR for a part of the value"
        " (save it with the ends of line of Unix: sed -i 's/\\r$//')",
        "2:2: blanks in front of Y, which not every reader skips (remove them)",
        "3:1: a line without = is skipped (write KEY=value, or # in front of it)",
        "4:1: Y is set twice, in line 2 with another value; this one counts (remove one of them)",
    ]),
    ("C05", "apply_layer.env", "APPLY_MODE=dry_run\nHARVEST_MODES=x\n", [
        '2:1: HARVEST_MODES=x (apply_layer.env:2) is no key that anybody knows (did you mean "HARVEST_MODE"?)'
    ]),
    ("refused by systemd", "common.env", "K_BLOCK_CRITICAL=\0\n", [
        "1:18: a NUL byte, so systemd refuses the file as a whole (remove it)"
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "expected"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_commits(repository: Path, name: str, text: str, expected: list[str]) -> None:
    """Each is refused with place, what and cure, also if it is the only file of the commit."""
    (repository / name).write_bytes(text.encode())
    status, said = check(name)
    assert status == 1
    assert [f"{name}:{line}" for line in expected] == said


def test_what_is_not_there_is_left_to_the_sidecar(repository: Path) -> None:
    """Of a requirement that another, missing file may meet nothing is said; of a broken one it is."""
    (repository / "common.env").unlink()
    (repository / "apply_layer.env").unlink()
    assert check("execution.env") == (0, [])
    (repository / "execution.env").write_text("APPLY_MODE=live\n")
    status, said = check("execution.env")
    assert (status, len(said)) == (1, 1)


def test_the_path_most_alike_decides(repository: Path) -> None:
    """A file in another folder is judged by that folder's rules; without a folder all of its name count."""
    staging = repository.parent / "staging"
    staging.mkdir()
    (staging / "execution.env").write_text("APPLY_MODE=staging\n")
    assert check("../staging/execution.env") == (0, [])
    assert check("execution.env") == (0, [])


def test_without_rules(repository: Path, tmp_path: Path) -> None:
    """There are none, or they are somebody else's: a file is judged by itself."""
    (repository / "execution.env").write_text("APPLY_MODE=live\n")
    assert check("execution.env")[0] == 1
    (tmp_path / "rules.yaml").write_text("groups: []\n")
    assert check("execution.env") == (0, [])
    (tmp_path / "rules.yaml").unlink()
    assert check("execution.env") == (0, [])


def test_unusable(repository: Path, tmp_path: Path) -> None:
    """A file or rules that cannot be used: exit status 2 and one sentence each, and the rest is judged."""
    (repository / "execution.env").write_text("live\n")
    status, said = check("gone.env", "execution.env", options=("--rules", "rules.yaml"))
    assert status == 2
    assert "execution.env:1:1: a line without = is skipped (write KEY=value, or # in front of it)" in said
    assert said[-1] == "gone.env cannot be read: No such file or directory"
    expected = "none.yaml cannot be read: No such file or directory (--rules PATH names another)"
    assert check("common.env", options=("--rules", "none.yaml")) == (2, [expected])
    (tmp_path / "rules.yaml").write_text("services: {a: {settings: {file: x, requier: {A: 1}}}}\n")
    status, (said_first, *_) = check("common.env")
    assert status == 2
    assert said_first.startswith("rules.yaml:1:")
    assert 'did you mean "require"?' in said_first


def test_as_json(repository: Path) -> None:
    """For machines: file, line, column, kind, what, cure."""
    (repository / "common.env").write_text("K_BLOCK_CRITICAL=0.8\nlive\n")
    ran = typed("settings", "check", "etc/quantum/common.env", "--format", "json")
    assert (ran.status, ran.json) == (1, [{
        "file": "etc/quantum/common.env", "line": 2, "column": 1, "kind": "no-equals",
        "what": "a line without = is skipped", "cure": "write KEY=value, or # in front of it",
    }])  # fmt: skip


def test_the_hook_as_pre_commit_runs_it(repository: Path) -> None:
    """Its entry with the file names behind it, in a process of its own, on the files its pattern takes."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    named = [*GOOD, "execution.env.bak-0219", ".env", "env.py"]
    taken = [n for n in named if re.search(hook["files"], f"etc/{n}") and not re.search(hook["exclude"], n)]
    assert taken == ["common.env", "execution.env", "apply_layer.env", ".env"]
    (repository / "execution.env").write_text("APPLY_MODE=live\n")
    entry = Path(sys.executable).parent / hook["entry"].split()[0]
    command = [str(entry), *hook["entry"].split()[1:], *(f"etc/quantum/{name}" for name in taken[:3])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "etc/quantum/execution.env:1:1: APPLY_MODE=live" in done.stdout


@pytest.fixture
def public() -> Iterator[Path]:
    """Return a folder that everybody may pass and that is no repository."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_secrets_for_all(public: Path) -> None:
    """C08: on a server, the mode counts; git would not keep it."""
    path = public / "x.env"
    path.write_text("API_SECRET=hunter2\n")
    path.chmod(0o644)
    ran = typed("settings", "check", str(path))
    said = f"{path}:1:1: {path} holds API_SECRET and can be read by everybody (chmod o-r; its mode is 0644)\n"
    assert (ran.status, ran.out) == (1, said)
    path.chmod(0o600)
    assert typed("settings", "check", str(path)).status == 0
    path.chmod(0o644)
    (public / ".git").mkdir()
    assert typed("settings", "check", str(path)).status == 0


# ---- baseline and show ---------------------------------------------------------------------------------

TEXT = 'MODE="two words"\nAPI_SECRET=hunter2\nURL=redis://:hunter3@h/0\nODD="a\\"b\\\\c$d`e\n2"\nEMPTY=\n'


def accepted(path: Path, env: Path) -> list[str]:
    """Return how *env* differs from the baseline at *path*."""
    shelf = Shelf()
    was = {key: found.value for key, found in shelf.read(str(path)).text.settings.items()}
    now = {key: Told(found.value, "x") for key, found in shelf.read(str(env)).text.settings.items()}
    return list(differences(was, now))


def test_baseline(tmp_path: Path) -> None:
    """It accepts what is there now, holds no secret, is its owner's alone and leaves nothing else behind."""
    env, to = tmp_path / "x.env", tmp_path / "accepted"
    env.write_text(TEXT)
    ran = typed("settings", "baseline", str(env), "--to", str(to))
    assert ran == Ran(0, f"{to}: 5 settings accepted\n", "")
    assert "hunter" not in to.read_text()
    assert to.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["accepted", "x.env"]
    assert accepted(to, env) == []
    env.write_text(TEXT.replace("hunter2", "hunter9").replace("two", "three"))
    assert accepted(to, env) == [
        "MODE=three words (x) was two words",
        "API_SECRET=*** (x) was set to something else",
    ]


def test_baselines_of_many(tmp_path: Path) -> None:
    """Into a folder goes one of each; into a file they go together, the last counts."""
    (tmp_path / "a.env").write_text("A=1\nB=1\n")
    (tmp_path / "b.env").write_text("B=2\n")
    (tmp_path / "to").mkdir()
    names = [str(tmp_path / name) for name in ("a.env", "b.env")]
    assert typed("settings", "baseline", *names, "--to", str(tmp_path / "to")).status == 0
    assert accepted(tmp_path / "to" / "b.env", tmp_path / "b.env") == []
    assert typed("settings", "baseline", *names, "--to", str(tmp_path / "both")).status == 0
    assert accepted(tmp_path / "both", tmp_path / "a.env") == ["B=1 (x) was 2"]


def test_baselines_that_cannot_be(tmp_path: Path) -> None:
    """One sentence, exit status 2, and what was accepted before stays."""
    (tmp_path / "a.env").write_bytes(b"A=\xe9\n")
    (tmp_path / "old").write_text("A=1\n")
    ran = typed("settings", "baseline", str(tmp_path / "a.env"), "--to", str(tmp_path / "old"))
    said = f"{tmp_path}/a.env:1 is not UTF-8, so systemd refuses the file as a whole\n"
    assert ran == Ran(2, "", said)
    (tmp_path / "a.env").write_text("A=2\n")
    gone = tmp_path / "gone" / "b"
    ran = typed("settings", "baseline", str(tmp_path / "a.env"), "--to", str(gone))
    assert ran == Ran(2, "", f"{gone} cannot be written: No such file or directory\n")
    assert (tmp_path / "old").read_text() == "A=1\n"


def test_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the service gets and where it stands, of files or of a unit, without its secrets."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.env").write_text("MODE=live # x\nAPI_SECRET=hunter2\n")
    (tmp_path / "b.env").write_text("MODE=dry\n")
    files = typed("settings", "show", "a.env", "b.env")
    assert files == Ran(0, "MODE=dry  (b.env:1, over a.env:1)\nAPI_SECRET=***  (a.env:2)\n", "")
    (tmp_path / "systemctl").write_text(
        f"#!/bin/sh\necho LoadState=loaded\necho 'Environment=\"MODE=two words\" OTHER=1'\n"
        f"echo 'EnvironmentFiles={tmp_path}/a.env (ignore_errors=no)'\n"
    )
    (tmp_path / "systemctl").chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    unit = typed("settings", "show", "--unit", "x.service", "--format", "json", environment={"PATH": path})
    assert unit.json == [
        {
            "key": "MODE",
            "value": "live # x",
            "where": f"{tmp_path}/a.env:1",
            "over": "Environment= of x.service",
        },
        {"key": "OTHER", "value": "1", "where": "Environment= of x.service", "over": ""},
        {"key": "API_SECRET", "value": "***", "where": f"{tmp_path}/a.env:2", "over": ""},
    ]
    assert typed("settings", "show") == Ran(2, "", "name env files, or a service with --unit\n")
    assert typed("settings", "show", "gone.env").err == "gone.env cannot be read: No such file or directory\n"
