"""The settings signal on real env files."""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from watchdog.alerts import Alert
from watchdog.config import parse
from watchdog.errors import CollectError
from watchdog.fields import means
from watchdog.fleet import Fleet
from watchdog.history import History
from watchdog.judging import Judge
from watchdog.model import Labels, Reading, SignalKey
from watchdog.settings.envfiles import read_env
from watchdog.settings.files import Shelf, unreadable_for
from watchdog.settings.requirements import Expectations, Told, violated
from watchdog.settings.secrecy import accept, mask
from watchdog.signals.settings import Settings, SettingsConfig
from watchdog.systemctl.environment import words

NOW = datetime(2026, 2, 19, 1, 50, 25, tzinfo=UTC)

MEANT = [
    (True, "True", True),
    (True, "true", True),
    (True, "1", False),
    ("True", "true", True),
    (False, "FALSE", True),
    (0.8, "0.80", True),
    (10, "10", True),
    (10, "ten", False),
    ("live", "live", True),
    ("live", "LIVE", False),
    ("", "", True),
    ("nan", "nan", True),
]


@pytest.mark.parametrize(("wanted", "found", "same"), MEANT)
def test_values_that_mean_the_same(wanted: bool | int | float | str, found: str, same: bool) -> None:
    """Numbers by their size, truths however spelt, words letter by letter."""
    assert same == means(wanted, found)


ENV = """\
APPLY_MODE=dry_run
DRY_RUN=true # temporary
K_BLOCK_CRITICAL=0.80
TESTNET=true

BINANCE_TESTNET=false
P33_STALE_THRESHOLD_SEC=300
BINANCE_API_SECRET=hunter2
REDIS_URL=redis://:hunter3@127.0.0.1:6379/0
OTHER_SEC=300.0
HARVEST_SHADOW_MODE=live
"""
VIOLATIONS = [
    ("as it is", {"require": {"APPLY_MODE": "dry_run", "K_BLOCK_CRITICAL": 0.8}}, []),
    (
        "another value",
        {"require": {"APPLY_MODE": {"value": "live", "reason": "go-live of May", "owner": "risk"}}},
        ["APPLY_MODE=dry_run (x.env:1) must be live: go-live of May (owner: risk)"],
    ),
    (
        "inline comment",
        {"require": {"DRY_RUN": True}},
        ["DRY_RUN=true # temporary (x.env:2, its comment is part of the value) must be true"],
    ),
    ("not set", {"require": {"K_MODE": "live"}}, ["K_MODE (not set) must be live"]),
    ("one of", {"require": {"APPLY_MODE": {"one_of": ["dry_run", "testnet"]}}}, []),
    (
        "none of",
        {"require": {"APPLY_MODE": {"one_of": ["live", "testnet"]}}},
        ["APPLY_MODE=dry_run (x.env:1) must be one of live, testnet"],
    ),
    ("matches", {"require": {"APPLY_MODE": {"pattern": "dry_.*"}}}, []),
    (
        "matches in part",
        {"require": {"APPLY_MODE": {"pattern": "dry"}}},
        ["APPLY_MODE=dry_run (x.env:1) must match dry"],
    ),
    ("in range", {"require": {"K_BLOCK_CRITICAL": {"range": [0.5, 0.9]}}}, []),
    (
        "out of range",
        {"require": {"K_BLOCK_CRITICAL": {"range": [0, 0.5]}, "APPLY_MODE": {"range": [0, 1]}}},
        [
            "K_BLOCK_CRITICAL=0.80 (x.env:3) must lie between 0 and 0.5",
            "APPLY_MODE=dry_run (x.env:1) must lie between 0 and 1",
        ],
    ),
    (
        "temporary, before its end",
        {"require": {"P33_STALE_THRESHOLD_SEC": {"value": 300, "until": date(2026, 2, 19)}}},
        [],
    ),
    (
        "temporary, and stayed",
        {"require": {"P33_STALE_THRESHOLD_SEC": {"value": 300, "until": "2026-02-18", "owner": "ops"}}},
        ["P33_STALE_THRESHOLD_SEC=300 (x.env:7) was to end on 2026-02-18 (owner: ops)"],
    ),
    (
        "temporary, and gone",
        {"require": {"P33_STALE_THRESHOLD_SEC": {"value": 900, "until": "2026-02-18"}}},
        [],
    ),
    ("forbidden key", {"forbid": ["TESTNET", "LIVE"]}, ["TESTNET=true (x.env:4) is forbidden"]),
    (
        "forbidden value",
        {"forbid": ["TESTNET=True", "APPLY_MODE=live"]},
        ["TESTNET=true (x.env:4) is forbidden"],
    ),
    (
        "forbidden for a reason",
        {"forbid": [{"key": "TESTNET", "value": True, "reason": "we are live", "owner": "risk"}]},
        ["TESTNET=true (x.env:4) is forbidden: we are live (owner: risk)"],
    ),
    (
        "must differ, and do not",
        {
            "agree": [
                {"differ": ["DRY_RUN", "TESTNET", "LIVE"], "reason": "one of them"},
                {"differ": ["A", "B"]},
            ]
        },
        [],
    ),
    (
        "the same where it must differ",
        {"agree": [{"differ": ["P33_STALE_THRESHOLD_SEC", "OTHER_SEC"], "reason": "why"}]},
        ["P33_STALE_THRESHOLD_SEC=300 (x.env:7) and OTHER_SEC=300.0 (x.env:10) must differ: why"],
    ),
    (
        "equal for a reason",
        {"agree": [{"equal": ["TESTNET", "BINANCE_TESTNET"], "owner": "risk"}]},
        ["TESTNET=true (x.env:4) and BINANCE_TESTNET=false (x.env:6) must be equal (owner: risk)"],
    ),
    (
        "C05 a key nobody knows",
        {
            "known": ["APPLY_MODE", "DRY_RUN", "HARVEST_MODE", "BINANCE_TESTNET", "BINANCE_API_SECRET"],
            "require": {"K_BLOCK_CRITICAL": 0.8, "P33_STALE_THRESHOLD_SEC": 300},
            "forbid": ["TESTNET=no"],
            "agree": [["REDIS_URL", "REDIS_URL"]],
        },
        [
            "OTHER_SEC=300.0 (x.env:10) is no key that anybody knows (correct it, or add it to `known`)",
            'HARVEST_SHADOW_MODE=live (x.env:11) is no key that anybody knows (did you mean "HARVEST_MODE"?)',
        ],
    ),
    (
        "C05 a required key written wrong",
        {"require": {"HARVEST_MODE": "live"}},
        ["HARVEST_MODE (not set) must be live (HARVEST_SHADOW_MODE is set: was HARVEST_MODE meant?)"],
    ),
    (
        "contradiction",
        {"agree": [["TESTNET", "BINANCE_TESTNET"]]},
        ["TESTNET=true (x.env:4) and BINANCE_TESTNET=false (x.env:6) must be equal"],
    ),
    (
        "one of two",
        {"agree": [["TESTNET", "USE_TESTNET"], ["NEITHER", "NOR"]]},
        ["TESTNET=true (x.env:4) and USE_TESTNET (not set) must be equal"],
    ),
    (
        "secret",
        {"require": {"BINANCE_API_SECRET": "hunter4"}},
        ["BINANCE_API_SECRET=*** (x.env:8) must be ***"],
    ),
    (
        "password in an address",
        {"forbid": ["REDIS_URL"]},
        ["REDIS_URL=redis://***@127.0.0.1:6379/0 (x.env:9) is forbidden"],
    ),
]


@pytest.mark.parametrize(("keys", "expected"), [v[1:] for v in VIOLATIONS], ids=[v[0] for v in VIOLATIONS])
def test_violations(keys: dict[str, Any], expected: list[str]) -> None:
    """Each is a sentence with key, value, place, what it must be, why and for whom."""
    rules = Expectations.model_validate(keys)
    found = {key: Told(s.value, "x.env", s.line) for key, s in read_env(ENV).settings.items()}
    known = rules.keys_known(frozenset()) if rules.known is not None else None
    assert expected == [v.sentence for v in violated(rules, found, {}, known, NOW.date())]


SECRETS = [
    ("BINANCE_API_SECRET", "hunter2", "***"),
    ("SLACK_WEBHOOK_URL", "https://hooks.slack.com/x", "***"),
    ("BYPASS_RISK", "true", "true"),
    ("API_KEY", "", ""),
    ("NAMELESS", "dGhpc0lzQVJhbmRvbVRva2VuMTIz", "***"),
    ("COMMIT", "da39a3ee5e6b4b0d3255bfef95601890afd80709", "***"),
    ("STREAM", "quantum:stream:apply.plan", "quantum:stream:apply.plan"),
    ("NAME", "intent_bridge_consumer_group_number_1", "intent_bridge_consumer_group_number_1"),
    ("DATABASE_URL", "postgres://me:hunter2@db/x", "postgres://***@db/x"),
    ("OPTIONS", "user=a password=hunter2", "user=a password=***"),
    ("BELL", "a\x07\x1b[31mb", "a��[31mb"),
]


@pytest.mark.parametrize(("key", "found", "shown"), SECRETS)
def test_what_may_be_shown(key: str, found: str, shown: str) -> None:
    """A secret by its key, by its looks or inside a URL is not; a switch is none whatever its name."""
    assert shown == mask(key, found)


# ---- files ---------------------------------------------------------------------------------------------


def write(path: Path, text: str, at: float = NOW.timestamp() - 7200) -> Path:
    """Write an env file, two hours ago unless *at* some other time."""
    path.write_text(text)
    os.utime(path, (at, at))
    return path


@pytest.fixture
def env(tmp_path: Path) -> Path:
    """Return an env file written two hours ago."""
    return write(tmp_path / "execution.env", ENV)


def signal(*paths: Path | str, **keys: object) -> Settings:
    """Return the signal for the files at *paths*."""
    config = SettingsConfig.model_validate({"file": [str(path) for path in paths], **keys})
    return Settings(SignalKey("execution", "settings", config.labels()), config, timedelta(0))


def look(*paths: Path | str, **keys: object) -> Reading:
    """Look once."""
    return signal(*paths, **keys).look_here(NOW)


def told(reading: Reading, kind: str) -> list[str]:
    """Return the sentences of one *kind* of evidence, without the folder."""
    found = reading.evidence.get(kind, [])
    assert isinstance(found, list)
    folder = f"{Path(reading.signal.labels['path'].split()[0].removeprefix('-')).parent}/"
    return [sentence.replace(folder, "") for sentence in found]


def test_nothing_wrong(env: Path) -> None:
    """A file as it should be has no violations and an age."""
    write(env, "APPLY_MODE=dry_run\n")
    found = look(env, require={"APPLY_MODE": "dry_run"})
    assert found.values == {"violations": 0.0, "warnings": 0.0, "age": 7200.0}
    assert found.evidence == {}
    assert {"path": str(env)} == found.signal.labels


def test_evidence(env: Path) -> None:
    """The sentences come with the alert, and when the file was written and whose it is."""
    found = look(env, forbid=["TESTNET"], agree=[["TESTNET", "BINANCE_TESTNET"]])
    assert (found.values["violations"], found.values["warnings"]) == (2.0, 1.0)
    assert told(found, "violations") == [
        "TESTNET=true (execution.env:4) is forbidden",
        "TESTNET=true (execution.env:4) and BINANCE_TESTNET=false (execution.env:6) must be equal",
    ]
    warning = "the comment behind DRY_RUN is part of its value (put it in a line of its own)"
    assert told(found, "warnings") == [f"execution.env:2: {warning}"]
    owner = pwd.getpwuid(os.getuid()).pw_name
    mode = f"{env.stat().st_mode & 0o7777:04o}"
    assert told(found, "files") == [
        f"execution.env: written 2026-02-18T23:50:25Z, belongs to {owner}, mode {mode}"
    ]


def test_many_violations_are_told_in_part(env: Path) -> None:
    """The measure has their number, the evidence the first of them."""
    found = look(env, require={f"MODE_{n}": 1 for n in range(30)})
    assert found.values["violations"] == 30.0
    assert told(found, "violations")[-2:] == ["MODE_19 (not set) must be 1", "and 10 more"]


def test_several_files(tmp_path: Path) -> None:
    """A later one wins, a missing one may be declared, a glob takes no backups in."""
    write(tmp_path / "a.env", "MODE=live\nA=1\n")
    write(tmp_path / "b.env", "MODE=dry_run\n", at=NOW.timestamp() - 60)
    write(tmp_path / "b.env.bak-0219", "MODE=ancient\n")
    write(tmp_path / "c.env~", "MODE=older\n")
    both = look(
        tmp_path / "a.env", tmp_path / "b.env", f"-{tmp_path}/gone.env", require={"MODE": "live", "A": 1}
    )
    assert told(both, "violations") == ["MODE=dry_run (b.env:1, over a.env:1) must be live"]
    assert both.values["age"] == 60.0
    swapped = look(f"{tmp_path}/b*", tmp_path / "a.env", require={"MODE": "live"})
    assert swapped.values["violations"] == 0.0
    assert told(look(f"{tmp_path}/*", require={"MODE": "live"}), "violations") == [
        "MODE=dry_run (b.env:1, over a.env:1) must be live"
    ]
    with pytest.raises(CollectError, match=r"gone\*.env names no file"):
        look(f"{tmp_path}/gone*.env")
    with pytest.raises(CollectError, match="there is none of"):
        look(f"-{tmp_path}/gone*.env")


def test_agreement_with_another_file(env: Path, tmp_path: Path) -> None:
    """C02 across services: what one calls live must not be dry for the other."""
    other = write(tmp_path / "other.env", "MODE=live\n")
    agree = [[f"{other}:MODE", "APPLY_MODE"]]
    expected = "other.env:MODE=live (other.env:1) and APPLY_MODE=dry_run (execution.env:1) must be equal"
    assert told(look(env, agree=agree), "violations") == [expected]
    write(other, "MODE=dry_run\n")
    assert look(env, agree=agree).values["violations"] == 0.0
    other.unlink()
    with pytest.raises(CollectError, match=r"other.env cannot be read"):
        look(env, agree=agree)


def test_keys_of_a_template(env: Path, tmp_path: Path) -> None:
    """C05: a template's keys are known, those behind a comment sign as well."""
    template = tmp_path / "execution.env.example"
    template.write_text(ENV.replace("HARVEST_SHADOW_MODE", "#HARVEST_MODE"))
    expected = 'HARVEST_SHADOW_MODE=live (execution.env:11) is no key that anybody knows (did you mean "HARVEST_MODE"?)'
    assert told(look(env, known={"file": str(template)}), "violations") == [expected]
    template.write_text(ENV)
    assert look(env, known={"file": str(template)}).values["violations"] == 0.0


def test_an_unchanged_file_is_not_read_again(env: Path) -> None:
    """Nor parsed; any change is seen at once, even one of the same size and time."""
    one = signal(env, require={"APPLY_MODE": "dry_run"})
    assert one.look_here(NOW).values["violations"] == 0.0
    shelf = Shelf()
    assert shelf.read(str(env)) is shelf.read(str(env))
    write(env, ENV.replace("dry_run", "no_idea"))
    assert one.look_here(NOW).values["violations"] == 1.0


# ---- the baseline --------------------------------------------------------------------------------------


def test_changed_since_the_baseline(env: Path, tmp_path: Path) -> None:
    """C01: added, removed and changed keys are counted and named, without their secrets."""
    baseline = tmp_path / "accepted.env"
    accepted = ENV.replace("SEC=300\n", "SEC=10\n").replace("hunter2", "old").replace("TESTNET=true\n", "", 1)
    baseline.write_text(accepted + 'HARVEST_MODE="shadow"\n')
    found = look(env, baseline=str(baseline))
    assert found.values["changed"] == 4.0
    assert told(found, "changed") == [
        "P33_STALE_THRESHOLD_SEC=300 (execution.env:7) was 10",
        "BINANCE_API_SECRET=*** (execution.env:8) was set to something else",
        "HARVEST_MODE (not set) was shadow",
        "TESTNET=true (execution.env:4) was not set",
    ]


def test_a_baseline_without_secrets(env: Path, tmp_path: Path) -> None:
    """C01: what was accepted as a hash is compared as one, and removed is told as such."""
    baseline = tmp_path / "accepted.env"
    values = {key: setting.value for key, setting in read_env(ENV).settings.items()}
    baseline.write_text("".join(f'{key}="{accept(key, text, "salt")}"\n' for key, text in values.items()))
    assert "hunter" not in baseline.read_text()
    one = signal(env, baseline=str(baseline))
    assert one.look_here(NOW).values["changed"] == 0.0
    write(env, ENV.replace("hunter2", "hunter9").replace("REDIS_URL=redis://:hunter3@127.0.0.1:6379/0\n", ""))
    found = one.look_here(NOW)
    assert told(found, "changed") == [
        "BINANCE_API_SECRET=*** (execution.env:8) was set to something else",
        "REDIS_URL (not set) was ***",
    ]


def test_baseline_written_otherwise(env: Path, tmp_path: Path) -> None:
    """Order, comments and quotes are no change."""
    baseline = tmp_path / "accepted.env"
    baseline.write_text(
        "# accepted\n" + "\n".join(reversed(ENV.replace("dry_run", '"dry_run"').splitlines()))
    )
    assert look(env, baseline=str(baseline)).values["changed"] == 0.0


def test_no_baseline_to_compare_with(env: Path, tmp_path: Path) -> None:
    """Without its baseline `changed` is unknown, not zero; the rest is known."""
    found = look(env, baseline=str(tmp_path / "gone.env"))
    assert (found.values["changed"], found.values["violations"]) == (None, 0.0)
    assert f"{tmp_path}/gone.env cannot be read: No such file or directory" == found.evidence["baseline"]


OFFERED = [
    ({}, []),
    ({"baseline": "b"}, ["changed"]),
    ({"effective": {"log": "x.log", "pattern": "(?P<A>.)"}}, ["disagreeing"]),
    ({"unit": "x.service"}, ["stale"]),
]


@pytest.mark.parametrize(("keys", "more"), OFFERED)
def test_offered(keys: dict[str, Any], more: list[str]) -> None:
    """What nothing is declared for cannot be asked for."""
    offered = list(SettingsConfig.model_validate({"file": "a"} | keys).offered())
    assert ["violations", "warnings", *more, "age"] == offered


# ---- permissions ---------------------------------------------------------------------------------------


@pytest.fixture
def public() -> Iterator[Path]:
    """Return a folder that everybody may pass, unlike a test's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize(
    ("mode", "text", "said"),
    [
        (
            0o644,
            "A=1\nAPI_SECRET=x\nTOKEN=y\n",
            ["x.env holds API_SECRET and 1 more and can be read by everybody (chmod o-r; its mode is 0644)"],
        ),
        (0o640, "API_SECRET=x\n", []),
        (0o644, "API_SECRET=\nUSE_TOKENS=true\nA=1\n", []),
    ],
)
def test_c08_secrets_for_all(public: Path, mode: int, text: str, said: list[str]) -> None:
    """C08: a secret that everybody can read; without a secret or without everybody nothing is said."""
    path = write(public / "x.env", text)
    path.chmod(mode)
    assert said == told(look(path), "warnings")


def test_secrets_behind_a_closed_door(tmp_path: Path) -> None:
    """Where nobody may enter the folder, the file's own mode says nothing."""
    tmp_path.chmod(0o700)
    path = write(tmp_path / "x.env", "API_SECRET=x\n")
    path.chmod(0o644)
    assert look(path).values["warnings"] == 0.0


def test_c08_unreadable_for_the_service(public: Path) -> None:
    """C08: a user that has to read the file but cannot; one that can is nothing to speak of."""
    path = write(public / "x.env", "A=1\n")
    path.chmod(0o600)
    me, mode = pwd.getpwuid(os.getuid()).pw_name, "mode 0600"
    (violation,) = told(look(path, read_by="nobody"), "violations")
    assert violation.startswith(f"nobody cannot read x.env, which belongs to {me}:")
    assert violation.endswith(mode)
    assert look(path, read_by=me).values["violations"] == 0.0
    path.chmod(0o644)
    assert look(path, read_by="nobody").values["violations"] == 0.0
    public.chmod(0o700)
    assert told(look(path, read_by="nobody"), "violations") == [
        f"nobody cannot read x.env: {public} is closed to it"
    ]
    assert told(look(path, read_by="no-such-user"), "violations") == [
        "there is no user no-such-user to read x.env"
    ]
    assert unreadable_for("root", Shelf().read(str(path))) is None


# ---- the unit ------------------------------------------------------------------------------------------

SHOWN = """\
LoadState=loaded
ActiveState={state}
ExecMainStartTimestamp=Thu 2026-02-19 {started} UTC
User={user}
Environment={environment}
UnsetEnvironment={dropped}
"""


class Systemctl:
    """A systemctl on PATH that prints what the real one was seen to print."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        script = folder / "systemctl"
        script.write_text('#!/bin/sh\necho "$*" >> "$0.asked"\ncat "$0.said"\n')
        script.chmod(0o755)

    def says(
        self,
        *files: object,
        started: str = "00:30:00",
        state: str = "active",
        user: str = "",
        environment: str = "",
        dropped: str = "",
    ) -> None:
        """Let it tell of a service that reads *files*."""
        text = SHOWN.format(started=started, state=state, user=user, environment=environment, dropped=dropped)
        lines = "".join(f"EnvironmentFiles={file}\n" for file in files)
        (self.folder / "systemctl.said").write_text(text + lines)

    @property
    def asked(self) -> list[str]:
        """Return what it was asked."""
        return (self.folder / "systemctl.asked").read_text().splitlines()


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemctl:
    """Return a systemctl that stands before the machine's own on PATH."""
    fake = Systemctl(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{fake.folder}{os.pathsep}{os.environ['PATH']}")
    return fake


UNIT = "quantum-execution.service"


def test_what_the_unit_gets(systemctl: Systemctl, env: Path, tmp_path: Path) -> None:
    """C01: a drop-in wins over the file, and what itself sets or drops counts as well."""
    over = write(tmp_path / "override.env", "APPLY_MODE=live\n")
    systemctl.says(
        f"{env} (ignore_errors=no)",
        f"{tmp_path}/gone.env (ignore_errors=yes)",
        f"{over} (ignore_errors=no)",
        environment='A=1 "B=two words" DRY_RUN=x',
        dropped="TESTNET OTHER_SEC=1",
    )
    require = {
        "APPLY_MODE": "dry_run",
        "A": 2,
        "B": "two words",
        "TESTNET": True,
        "OTHER_SEC": 300,
        "DRY_RUN": False,
    }
    assert told(look(env, unit=UNIT, require=require), "violations") == [
        "APPLY_MODE=live (override.env:1, over execution.env:1) must be dry_run",
        f"A=1 (Environment= of {UNIT}) must be 2",
        "TESTNET (not set) must be true",
        f"DRY_RUN=true # temporary (execution.env:2, over Environment= of {UNIT}, "
        "its comment is part of the value) must be false",
    ]
    systemctl.says(f"{env} (ignore_errors=no)")
    assert look(env, unit=UNIT, require={"APPLY_MODE": "dry_run"}).values["violations"] == 0.0
    assert systemctl.asked[0].endswith(f"-- {UNIT}")


def test_a_file_that_the_unit_does_not_read(systemctl: Systemctl, env: Path, public: Path) -> None:
    """C08: nobody loads it, or the service itself does, and then its user must be able to."""
    systemctl.says("/etc/other.env (ignore_errors=yes)", user="nobody")
    path = write(public / "x.env", "A=1\n")
    path.chmod(0o600)
    found = look(path, unit=UNIT, require={"A": 1})
    assert told(found, "warnings") == [f"{UNIT} does not read x.env (its EnvironmentFile: /etc/other.env)"]
    assert [v.partition(",")[0] for v in told(found, "violations")] == ["nobody cannot read x.env"]
    systemctl.says(f"{path} (ignore_errors=no)", user="nobody")  # systemd reads it, as root
    found = look(path, unit=UNIT, require={"A": 1})
    assert (found.values["violations"], found.values["warnings"]) == (0.0, 0.0)


def test_systemd_that_cannot_be_asked(systemctl: Systemctl, env: Path) -> None:
    """`stale` is unknown, with the reason; what the file says is judged all the same."""
    (systemctl.folder / "systemctl").write_text("#!/bin/sh\necho 'Failed to connect to bus' >&2\nexit 1\n")
    found = look(env, unit=UNIT, forbid=["TESTNET"])
    assert (found.values["stale"], found.values["violations"], found.known) == (None, 1.0, False)
    assert "Failed to connect to bus" in str(found.evidence["unit"])
    (systemctl.folder / "systemctl").write_text("#!/bin/sh\necho LoadState=not-found\n")
    assert look(env, unit=UNIT).evidence["unit"] == f"systemd knows no unit {UNIT} (correct `unit`)"


def test_systemd_is_asked_now_and_then(systemctl: Systemctl, env: Path) -> None:
    """Not at every look, but whenever a file changed."""
    systemctl.says(f"{env} (ignore_errors=no)")
    one = signal(env, unit=UNIT)
    for after in (0, 5, 10, 29):
        one.look_here(NOW + timedelta(seconds=after))
    assert len(systemctl.asked) == 1
    one.look_here(NOW + timedelta(seconds=30))
    assert len(systemctl.asked) == 2
    write(env, "A=1\n")
    one.look_here(NOW + timedelta(seconds=31))
    assert len(systemctl.asked) == 3


PRINTED = [
    ("", []),
    ("A=1 B=2", ["A=1", "B=2"]),
    ('"A=two words" B=', ["A=two words", "B="]),
    (r'"A=\"q\" \\ \$x \`" B=é', ['A="q" \\ $x `', "B=é"]),
    (r'"A=one\ntwo\tthree\033[0m"', ["A=one\ntwo\tthree\x1b[0m"]),
]


@pytest.mark.parametrize(("printed", "expected"), PRINTED)
def test_words_as_systemctl_prints_them(printed: str, expected: list[str]) -> None:
    """As shell_maybe_quote of systemd 252 writes them."""
    assert expected == words(printed)


# ---- what the process says -----------------------------------------------------------------------------


def test_file_and_process_disagree(tmp_path: Path) -> None:
    """C01, C06: the newest banner in the log counts, and is followed through rotation."""
    env = write(tmp_path / "bridge.env", "INTENT_BRIDGE_SKIP_FLAT_SELL=true\nAPPLY_MODE=live\n")
    log = tmp_path / "bridge.log"
    pattern = r"Skip flat SELL: (?P<INTENT_BRIDGE_SKIP_FLAT_SELL>\w+)"
    one = signal(env, effective={"log": str(log), "pattern": pattern})
    missing = one.look_here(NOW)
    assert (missing.values["disagreeing"], missing.values["violations"]) == (None, 0.0)
    log.write_text("10:00 | INFO | started\n")
    assert one.look_here(NOW).values["disagreeing"] is None
    with log.open("a") as appended:
        appended.write("Skip flat SELL: False\n" + "noise\n" * 300_000 + "Skip flat SELL: Tr")
        appended.flush()
        wrong = one.look_here(NOW)
        assert told(wrong, "violations")[0].startswith("INTENT_BRIDGE_SKIP_FLAT_SELL=true (bridge.env:1)")
        appended.write("ue\n")
    right = one.look_here(NOW)
    assert (right.values["disagreeing"], right.values["violations"]) == (0.0, 0.0)
    later = signal(env, effective={"log": str(log), "pattern": pattern})
    log.rename(tmp_path / "bridge.log.1")
    log.write_text("nothing of interest\n")
    later.remember(one.memory())
    assert (one.look_here(NOW).values, later.look_here(NOW).values) == (right.values, right.values)
    log.write_text("Skip flat SELL: False\n")
    (sentence,) = told(one.look_here(NOW), "violations")
    assert sentence == (
        "INTENT_BRIDGE_SKIP_FLAT_SELL=true (bridge.env:1) but the process says False (bridge.log): restart it"
    )


# ---- the rows of the incident, judged by the built-in rules --------------------------------------------


class Watched:
    """One service with settings and the built-in rules, looked at whenever the test says."""

    def __init__(self, text: str) -> None:
        config = parse(f"services: {{execution: {{settings: {text}}}}}")
        fleet = Fleet(config)
        self.signal = next(found for found in fleet.signals.values() if isinstance(found, Settings))
        self.judge = Judge(fleet.binding)
        self.history = History(config.keep)
        self.alerts: Mapping[Labels, Alert] = {}

    def look(self, now: datetime) -> set[str]:
        """Look and judge at *now* and a minute and a half later; return the names of what fires then."""
        for after in (0, 90):
            moment = now + timedelta(seconds=after)
            self.history = self.history.add([self.signal.look_here(moment)])
            self.alerts = self.judge.judge(self.history, self.alerts, moment, frozenset())
        return {a.labels["alertname"] for a in self.alerts.values() if str(a.state) == "firing"}


HEALTHY = "APPLY_MODE=dry_run\nTESTNET=true\nBINANCE_TESTNET=true\nHARVEST_MODE=shadow\nSTALE_SEC=10\n"
ROWS = [
    ("the healthy twin", HEALTHY, set()),
    ("C01 changed by hand", HEALTHY.replace("dry_run", "live"), {"SettingsViolated", "SettingsChanged"}),
    ("C01 another one", HEALTHY.replace("shadow", "live"), {"SettingsChanged"}),
    (
        "C02 contradiction",
        HEALTHY.replace("BINANCE_TESTNET=true", "BINANCE_TESTNET=false"),
        {"SettingsViolated", "SettingsChanged"},
    ),
    (
        "C03 inline comment",
        HEALTHY.replace("shadow", "shadow # for now"),
        {"SettingsSuspicious", "SettingsChanged"},
    ),
    ("C03 quotes, which systemd takes off", HEALTHY.replace("shadow", '"shadow"'), set()),
    (
        "C03 quotes in quotes",
        HEALTHY.replace("shadow", "'\"shadow\"'"),
        {"SettingsSuspicious", "SettingsChanged"},
    ),
    ("C04 CRLF", HEALTHY.replace("\n", "\r\n"), {"SettingsSuspicious"}),
    ("C04 leading space", f" {HEALTHY}", {"SettingsSuspicious"}),
    ("C04 key twice", f"{HEALTHY}HARVEST_MODE=live\n", {"SettingsSuspicious", "SettingsChanged"}),
    ("C04 no equals sign", f"{HEALTHY}live\n", {"SettingsSuspicious"}),
    (
        "C05 a key nobody knows",
        f"{HEALTHY}HARVEST_SHADOW_MODE=live\n",
        {"SettingsViolated", "SettingsChanged"},
    ),
    ("C07 an override that stayed", HEALTHY.replace("=10", "=300"), {"SettingsViolated", "SettingsChanged"}),
    ("comments and order", "# all is well\n" + "\n".join(reversed(HEALTHY.splitlines())), set()),
]


@pytest.mark.parametrize(("text", "expected"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
def test_rows(tmp_path: Path, text: str, expected: set[str]) -> None:
    """Each row fires what names it, and the healthy file nothing."""
    write(tmp_path / "accepted.env", HEALTHY)
    watched = Watched(f"""{{
      file: {write(tmp_path / "execution.env", text)}, baseline: {tmp_path}/accepted.env, agree: [[TESTNET, BINANCE_TESTNET]],
      known: [HARVEST_MODE],
      require: {{APPLY_MODE: dry_run, STALE_SEC: {{value: 300, until: 2026-02-18, owner: ops}}}}}}""")
    assert expected == watched.look(NOW)


@pytest.mark.parametrize(
    ("state", "started", "expected"),
    [
        ("active", "00:30:00", {"SettingsStale"}),
        ("active", "01:30:00", set()),
        ("inactive", "00:30:00", set()),
    ],
    ids=["C06 never restarted", "restarted after the change", "not running"],
)
def test_c06(systemctl: Systemctl, env: Path, state: str, started: str, expected: set[str]) -> None:
    """C06: the file was changed at 01:10, and ten minutes are enough to restart a service."""
    write(env, HEALTHY, at=NOW.timestamp() - 2425)
    systemctl.says(f"{env} (ignore_errors=no)", state=state, started=started)
    watched = Watched(f"{{file: {env}, unit: {UNIT}}}")
    assert expected == watched.look(NOW)
    evidence = watched.history.latest[watched.signal.key].evidence.get("stale", "")
    assert str(evidence).endswith(f"before the file was changed: systemctl restart {UNIT}") == bool(expected)


def test_unusable_files(tmp_path: Path) -> None:
    """A file that systemd could not read either is unknown, not free of violations."""
    (tmp_path / "latin1.env").write_bytes(b"A=\xe9\n")
    (tmp_path / "nul.env").write_bytes(b"A=1\0")
    os.mkfifo(tmp_path / "pipe.env")
    (tmp_path / "huge.env").write_text("#" * (1 << 20) + "\n")
    expected = {
        "gone.env": "cannot be read: No such file or directory",
        ".": "is no file",
        "pipe.env": "is no file",
        "latin1.env": ":1 is not UTF-8",
        "nul.env": ":1 a NUL byte",
        "huge.env": "is no env file",
    }
    for name, reason in expected.items():
        with pytest.raises(CollectError, match=reason):
            look(tmp_path / name)


REFUSED = [
    ("nothing required", {"require": {"A": {"reason": "why"}}}),
    ("two things required", {"require": {"A": {"value": 1, "one_of": [1, 2]}}}),
    ("no alternatives", {"require": {"A": {"one_of": []}}}),
    ("range the wrong way round", {"require": {"A": {"range": [2, 1]}}}),
    ("no regular expression", {"require": {"A": {"pattern": "("}}}),
    ("unknown key", {"require": {"A": {"vlaue": 1}}}),
    ("two things agreed", {"agree": [{"equal": ["A", "B"], "differ": ["A", "B"]}]}),
    ("nothing agreed", {"agree": [{"reason": "why"}]}),
    ("a banner without a setting", {"effective": {"log": "x.log", "pattern": "mode=live"}}),
    ("a banner that is no regex", {"effective": {"log": "x.log", "pattern": "("}}),
    ("no file", {"file": []}),
    ("a user's unit that is none", {"user": True}),
    ("agreement of one", {"agree": [["A"]]}),
]


@pytest.mark.parametrize("keys", [r[1] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_refused_configurations(keys: dict[str, Any]) -> None:
    """What can hold for no file, or for every file, is an error of rules.yaml."""
    with pytest.raises(ValidationError):
        SettingsConfig.model_validate({"file": "x.env"} | keys)
