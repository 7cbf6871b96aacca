"""The command signal on real programs: plugins as they are, and all the ways of not being one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.process.conftest import until
from watchdog.errors import CollectError
from watchdog.model import Reading, SignalKey
from watchdog.programs import LARGEST_BYTES, Program
from watchdog.signals.command import Command, CommandConfig

NOW = datetime(2026, 2, 19, 1, 50, 25, tzinfo=UTC)
CHECK = """\
#!/bin/sh
# A plugin after the guidelines' example: state and figures of a queue.
case "$1" in
  few)  echo "QUEUE OK - 3 jobs | jobs=3;10;20;0 'oldest job'=1500ms;;;0"; exit 0 ;;
  many) echo "QUEUE WARNING - 12 jobs | jobs=12;10;20;0"; echo "mail: 7"; echo "fax: 5"; exit 1 ;;
  full) echo "QUEUE CRITICAL - 25 jobs | jobs=25;10;20;0"; exit 2 ;;
esac
echo "QUEUE UNKNOWN - no queue called $1"; exit 3
"""


def command(*run: str, **keys: Any) -> Command:
    """Return the signal that runs *run*."""
    config = CommandConfig.model_validate({"run": list(run), **keys})
    return Command(SignalKey("mail", "command", config.labels()), config, timedelta(hours=1))


def look(*run: str, **keys: Any) -> Reading:
    """Look once."""
    return command(*run, **keys).look_here(NOW)


def sh(script: str, **keys: Any) -> Reading:
    """Look once at what a shell does."""
    return look("/bin/sh", "-c", script, **keys)


def why(*run: str, **keys: Any) -> str:
    """Return why a look says nothing."""
    with pytest.raises(CollectError) as failure:
        look(*run, **keys)
    return str(failure.value)


@pytest.fixture
def check(tmp_path: Path) -> str:
    """Return a plugin of somebody else's."""
    path = tmp_path / "check_queue"
    path.write_text(CHECK)
    path.chmod(0o755)
    return str(path)


def test_a_plugin_says_what_it_says(check: str) -> None:
    """The status, the figures in base units, the text as evidence: each of three states."""
    found = look(check, "few")
    took = dict(found.values).pop("took")
    assert isinstance(took, float)
    assert found.values == {"status": "ok", "took": took, "perf.jobs": 3.0, "perf.oldest_job": 1.5}
    assert found.evidence == {"exit_status": 0, "text": "QUEUE OK - 3 jobs"}
    found = look(check, "many")
    assert found.values["status"] == "warning"
    assert found.evidence == {
        "exit_status": 1,
        "text": "QUEUE WARNING - 12 jobs",
        "details": "mail: 7\nfax: 5",
    }
    assert look(check, "full").values["status"] == "critical"


def test_a_plugin_that_cannot_tell_is_an_unknown_signal(check: str) -> None:
    """Its own words are the reason."""
    assert why(check, "nosuch") == "QUEUE UNKNOWN - no queue called nosuch"
    assert why("/bin/sh", "-c", "exit 3") == "it says UNKNOWN, and not why"


def test_plugins_as_they_are() -> None:
    """Debian's own, unchanged: `apt-get install monitoring-plugins-basic`."""
    folder = Path("/usr/lib/nagios/plugins")
    if not folder.is_dir():
        pytest.fail("the plugins are missing: apt-get install monitoring-plugins-basic")
    dummy = look(str(folder / "check_dummy"), "1", "a word of warning")
    assert (dummy.values["status"], dummy.evidence["text"]) == ("warning", "WARNING: a word of warning")
    load = look(str(folder / "check_load"), "-w", "900,900,900", "-c", "999,999,999")
    assert load.values["status"] == "ok"
    assert {"perf.load1", "perf.load5", "perf.load15"} <= set(load.values)
    assert why(str(folder / "check_tcp"), "-p", "nonsense").startswith(
        "check_tcp: Port must be a positive integer"
    )


ENDS = [
    ("killed", "kill -9 $$", "it was ended by SIGKILL"),
    ("crashed", "kill -SEGV $$", "it was ended by SIGSEGV"),
    ("not found", "exec 2>&1; no-such-program", "exit status 127: what it runs was not found: /bin/sh: 1: no-such-program: not found"),
    ("not executable", "exec 2>&1; /dev/null", "exit status 126: what it runs is not executable: /bin/sh: 1: /dev/null: Permission denied"),
    ("inner crash", "echo hm; exit 139", "exit status 139: what it runs was ended by SIGSEGV: hm"),
    ("no plugin", "echo usage: >&2; exit 64", "exit status 64 is none of 0, 1, 2 and 3: usage:"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "reason"), [e[1:] for e in ENDS], ids=[e[0] for e in ENDS])
def test_what_no_plugin_says_is_unknown(script: str, reason: str) -> None:
    """An exit status outside the protocol is no verdict on the service."""
    assert why("/bin/sh", "-c", script) == reason


def test_what_cannot_be_started_says_why(tmp_path: Path) -> None:
    """Not there, not executable, no interpreter, no program, no folder: found by looking."""
    for name, text in (("plain", "x"), ("orphan", "#!/no/such/python\n"), ("text", "hello")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o644 if name == "plain" else 0o755)
    path = str(tmp_path)
    assert why(f"{path}/none") == f"there is no program {path}/none"
    assert why("no-such-plugin") == "there is no program no-such-plugin"
    assert why(f"{path}/plain") == f"{path}/plain is not executable for the watchdog's user"
    assert (
        why(f"{path}/orphan")
        == f"{path}/orphan cannot be started: the interpreter in its first line is missing"
    )
    assert why(f"{path}/text").startswith(f"{path}/text is no program: its first line does not name")
    assert why("/bin/true", cwd=f"{path}/away") == f"it cannot be started: there is no folder {path}/away"


def gone(pidfile: Path) -> bool:
    """Say whether the process whose number is in *pidfile* has ended."""
    try:
        return Path(f"/proc/{int(pidfile.read_text())}/stat").read_text().rpartition(") ")[2][0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize(
    "script",
    ["sleep 60", "sleep 60 >/dev/null 2>&1", 'trap "" TERM INT HUP; sleep 60', "exec >&- 2>&-; sleep 60"],
    ids=["plain", "without output", "deaf to signals", "with its output closed"],
)
def test_time_is_up_for_all_it_started(tmp_path: Path, script: str) -> None:
    """The plugin and its children are killed; nothing piles up."""
    child = tmp_path / "child"
    began = time.monotonic()
    reason = why("/bin/sh", "-c", f"sh -c '{script}' & echo $! > {child}; wait", timeout="150ms")
    assert reason == "it did not end within 150ms and was killed"
    assert time.monotonic() - began < 2
    until(lambda: gone(child))


def test_its_twin_that_is_slow_but_in_time() -> None:
    """A plugin that takes its time is no fault."""
    assert sh("sleep 0.1; echo OK", timeout="5s").values["status"] == "ok"


def test_a_child_left_behind_is_neither_waited_for_nor_left_alive(tmp_path: Path) -> None:
    """A plugin that forgets its helper ends when it ends itself."""
    child = tmp_path / "child"
    found = sh(f"sleep 60 & echo $! > {child}; echo OK - done; exit 1", timeout="20s")
    assert (found.values["status"], found.evidence["text"]) == ("warning", "OK - done")
    assert isinstance(found.values["took"], float)
    assert found.values["took"] < 5
    until(lambda: gone(child))


@pytest.mark.parametrize("loud", ["yes", "setsid yes"], ids=["in its group", "in a session of its own"])
def test_a_child_that_prints_for_ever_is_not_listened_to(loud: str) -> None:
    """What counts is that the plugin itself has ended."""
    found = sh(f"echo OK; {loud} & exit 1", timeout="20s")
    assert found.values["status"] == "warning"
    assert str(found.evidence["text"]) == "OK"


def test_output_is_bounded() -> None:
    """A megabyte is kept, what comes after is read and thrown away, so that nobody blocks on it."""
    found = sh("head -c 5000000 /dev/zero | tr '\\0' x; exit 2", timeout="20s")
    assert found.values["status"] == "critical"
    assert len(str(found.evidence["text"])) == 300
    flood = Program(["head", "-c", "5000000", "/dev/zero"], {"PATH": os.environ["PATH"]}, None)
    assert len(flood.run(timedelta(seconds=20)).out) == LARGEST_BYTES
    assert why("yes", timeout="100ms") == "it did not end within 100ms and was killed"


def test_what_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own environment and PATH, HOME, TZ and LC_ALL=C; no input, its folder, no shell."""
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "https://hooks.example/secret")
    monkeypatch.setenv("HOME", "/root")
    (tmp_path / "token").write_text("hunter22\n")
    found = sh(
        "env -u PWD -u OLDPWD | sort; pwd; cat; test $(ps -o sid= -p $$) = $$ && echo own session",
        env={"PORT": 8080, "TOKEN": {"file": str(tmp_path / "token")}, "PATH": "/usr/bin:/bin"},
        cwd=str(tmp_path),
    )
    lines = f"{found.evidence['text']}\n{found.evidence['details']}".splitlines()
    assert lines[:5] == ["HOME=/root", "LC_ALL=C", "PATH=***", "PORT=8080", "TOKEN=***"]
    assert lines[-2:] == [str(tmp_path), "own session"]
    assert not [line for line in lines if "SLACK" in line]
    assert look("/bin/echo", "$HOME; *", "`id`").evidence["text"] == "$HOME; * `id`"


def test_what_it_prints_is_shown_harmless() -> None:
    """No control signs, no secrets, no page of text."""
    found = sh(r"printf 'DOWN \033[2J password=hunter2 \377\n\033]0;x\007second\n'; exit 2")
    assert found.evidence["text"] == "DOWN �[2J password=*** �"
    assert found.evidence["details"] == "�]0;x�second"


def test_it_never_runs_twice_at_once(tmp_path: Path) -> None:
    """One that hangs in the kernel after SIGKILL is not joined by another."""
    signal = command("/bin/true")
    with subprocess.Popen(["/bin/sleep", "60"]) as hanging:
        signal._program._stuck = hanging  # nothing but a broken disk makes a real one
        with pytest.raises(CollectError, match="hangs in the kernel"):
            signal.look_here(NOW)
        hanging.kill()
    assert signal.look_here(NOW).values["status"] == "ok"


def test_other_looks_go_on_meanwhile(tmp_path: Path) -> None:
    """Two commands in two threads do not wait for each other."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[Reading] = []
    slow = threading.Thread(target=lambda: found.append(sh(f"read line < {pipe}; exit 1", timeout="20s")))
    slow.start()
    assert sh("true").values["status"] == "ok"
    assert not found
    pipe.write_text("go on\n")
    slow.join(10)
    assert [reading.values["status"] for reading in found] == ["warning"]


def test_nothing_is_left_when_the_watchdog_ends(tmp_path: Path) -> None:
    """A check that is running when the process ends is killed with it."""
    child = tmp_path / "child"
    code = f"""
import threading, time, os
from datetime import timedelta
from watchdog.programs import Program
run = Program(["/bin/sh", "-c", "echo $$ > {child}.new; mv {child}.new {child}; sleep 60"], dict(os.environ), None).run
threading.Thread(target=run, args=(timedelta(seconds=50),), daemon=True).start()
while not os.path.exists("{child}"):
    time.sleep(0.01)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)
    until(lambda: gone(child))


# ---- the file ----------------------------------------------------------------------------------


def test_names() -> None:
    """The program's file name, or the one it is given; never its arguments, which may hold secrets."""
    assert dict(command("/usr/lib/nagios/plugins/check_load", "-w", "1").config.labels()) == {
        "command": "check_load"
    }
    assert dict(command("/bin/sh", "-c", "x", name="queue").config.labels()) == {"command": "queue"}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "run"),
    ({"run": []}, "run"),
    ({"run": [""]}, "has no name"),
    ({"run": "check_load -w '5 6'"}, r"write run: \[check_load, …\], part by part"),
    ({"run": ["a", "b\0c"]}, "NUL"),
    ({"run": ["a"], "env": {"A": ""}}, "empty"),
    ({"run": ["a"], "env": {"A": {"file": "/no/such"}}}, "cannot be read"),
    ({"run": ["a"], "timeout": "0s"}, "timeout"),
    ({"run": ["a"], "shell": True}, "shell"),
    ({"run": ["a"], "timeout": "2m"}, "write every: 2m"),
]


@pytest.mark.parametrize(("keys", "reason"), REFUSED, ids=[str(keys) for keys, _ in REFUSED])
def test_mistakes_are_errors_of_the_file(keys: dict[str, Any], reason: str) -> None:
    """Said when the file is read, with the cure."""
    with pytest.raises(ValidationError, match=reason):
        CommandConfig.model_validate(keys)


def test_numbers_are_arguments() -> None:
    """YAML reads 5 as a number; a program is given its digits."""
    assert CommandConfig.model_validate({"run": ["check", "-w", 5, True]}).run == ("check", "-w", "5", "true")
    assert CommandConfig.model_validate({"run": "/bin/true"}).run == ("/bin/true",)
