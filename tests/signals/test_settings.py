"""The settings signal on real env files."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from watchdog.errors import CollectError
from watchdog.fields import means
from watchdog.model import Reading, SignalKey
from watchdog.signals.settings import Settings, SettingsConfig, parse_env, violated

NOW = datetime(2026, 2, 19, 1, 50, 25, tzinfo=UTC)

PARSED = [
    ("plain", "A=1\nB=two words\n", {"A": "1", "B": "two words"}),
    ("no end of line", "A=1", {"A": "1"}),
    ("empty", "A=\nB=", {"A": "", "B": ""}),
    ("comments", "# A=1\n; B=2\n  # C=3\nD=4", {"D": "4"}),
    ("comment behind a value", "A=true # for now\n", {"A": "true # for now"}),
    ("comment behind quotes", 'A="true" # for now\n', {"A": "true# for now"}),
    ("comment ends in a backslash", "# A \\\nB=1\n", {"B": "1"}),
    ("blanks", "  A =  1  \n\tB\t=2\n", {"A": "1", "B": "2"}),
    ("escaped blank at the end", "A=1\\  \n", {"A": "1 "}),
    ("double quotes", 'A=" 1 "\nB="a\\"b\\\\c\\d\\$"\n', {"A": " 1 ", "B": 'a"b\\c\\d$'}),
    ("single quotes", "A=' \\1 '\n", {"A": " \\1 "}),
    ("quotes side by side", "A=\"a\" 'b' c\n", {"A": "abc"}),
    ("quotes inside", 'A=it\'s "so"\n', {"A": 'it\'s "so"'}),
    ("lines in quotes", 'A="1\n2"\nB=3', {"A": "1\n2", "B": "3"}),
    ("quotes never closed", "A='1\nB=2", {"A": "1\nB=2"}),
    ("continued", "A=1\\\n2\nB=3", {"A": "12", "B": "3"}),
    ("continued in quotes", 'A="1\\\n2"\n', {"A": "12"}),
    ("escapes", "A=a\\bc\\\\\n", {"A": "abc\\"}),
    ("CRLF", "A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
    ("twice, the last counts", "A=1\nA=2\n", {"A": "2"}),
    ("equals signs", "A=b=c\n", {"A": "b=c"}),
    ("no equals sign", "A\nB=1\n", {"B": "1"}),
    ("names nobody can have", "export A=1\n1A=2\n=3\nB-C=4\nD=5\n", {"D": "5"}),
    ("equals sign first", "=;\\\nA=1\n", {"A": "1"}),
    ("byte order mark", "\ufeffA=1\nB=2\n", {"B": "2"}),
    ("backslash at the very end", "A=1\\", {"A": "1"}),
    ("backslash at the end of open quotes", 'A="1\\', {"A": "1"}),
    ("nothing", "", {}),
]


@pytest.mark.parametrize(("text", "expected"), [p[1:] for p in PARSED], ids=[p[0] for p in PARSED])
def test_parsed_as_systemd_does(text: str, expected: dict[str, str]) -> None:
    """What the service gets, not what the author meant."""
    assert expected == {key: setting.value for key, setting in parse_env(text).items()}


def test_lines() -> None:
    """Each value knows its line, also behind comments, empty lines and continued ones."""
    found = parse_env('A=1\n\n# no\nB="2\n2"\nC=3\\\n3\nnone\nD=\r\nA=4\nE=5')
    assert {key: s.line for key, s in found.items()} == {"A": 10, "B": 4, "C": 6, "D": 9, "E": 11}


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
"""
VIOLATIONS = [
    ("as it is", {"require": {"APPLY_MODE": "dry_run", "K_BLOCK_CRITICAL": 0.8}}, []),
    (
        "another value",
        {"require": {"APPLY_MODE": {"value": "live", "reason": "go-live of May", "owner": "risk"}}},
        ["APPLY_MODE=dry_run (line 1) must be live: go-live of May (owner: risk)"],
    ),
    (
        "inline comment",
        {"require": {"DRY_RUN": True}},
        ["DRY_RUN=true # temporary (line 2, its comment is part of the value) must be true"],
    ),
    ("not set", {"require": {"HARVEST_MODE": "live"}}, ["HARVEST_MODE (not set) must be live"]),
    ("one of", {"require": {"APPLY_MODE": {"one_of": ["dry_run", "testnet"]}}}, []),
    (
        "none of",
        {"require": {"APPLY_MODE": {"one_of": ["live", "testnet"]}}},
        ["APPLY_MODE=dry_run (line 1) must be one of live, testnet"],
    ),
    ("matches", {"require": {"APPLY_MODE": {"pattern": "dry_.*"}}}, []),
    (
        "matches in part",
        {"require": {"APPLY_MODE": {"pattern": "dry"}}},
        ["APPLY_MODE=dry_run (line 1) must match dry"],
    ),
    ("in range", {"require": {"K_BLOCK_CRITICAL": {"range": [0.5, 0.9]}}}, []),
    (
        "out of range",
        {"require": {"K_BLOCK_CRITICAL": {"range": [0, 0.5]}, "APPLY_MODE": {"range": [0, 1]}}},
        [
            "K_BLOCK_CRITICAL=0.80 (line 3) must lie between 0 and 0.5",
            "APPLY_MODE=dry_run (line 1) must lie between 0 and 1",
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
        ["P33_STALE_THRESHOLD_SEC=300 (line 7) was to end on 2026-02-18 (owner: ops)"],
    ),
    (
        "temporary, and gone",
        {"require": {"P33_STALE_THRESHOLD_SEC": {"value": 900, "until": "2026-02-18"}}},
        [],
    ),
    ("forbidden key", {"forbid": ["TESTNET", "LIVE"]}, ["TESTNET=true (line 4) is forbidden"]),
    (
        "forbidden value",
        {"forbid": ["TESTNET=True", "APPLY_MODE=live"]},
        ["TESTNET=true (line 4) is forbidden"],
    ),
    (
        "contradiction",
        {"agree": [["TESTNET", "BINANCE_TESTNET"]]},
        ["TESTNET=true (line 4) and BINANCE_TESTNET=false (line 6) must be equal"],
    ),
    (
        "one of two",
        {"agree": [["TESTNET", "USE_TESTNET"], ["NEITHER", "NOR"]]},
        ["TESTNET=true (line 4) and USE_TESTNET (not set) must be equal"],
    ),
    (
        "secret",
        {"require": {"BINANCE_API_SECRET": "hunter4"}},
        ["BINANCE_API_SECRET=*** (line 8) must be ***"],
    ),
    (
        "password in an address",
        {"forbid": ["REDIS_URL"]},
        ["REDIS_URL=redis://***@127.0.0.1:6379/0 (line 9) is forbidden"],
    ),
]


@pytest.mark.parametrize(("keys", "expected"), [v[1:] for v in VIOLATIONS], ids=[v[0] for v in VIOLATIONS])
def test_violations(keys: dict[str, Any], expected: list[str]) -> None:
    """Each is a sentence with key, value, line, what it must be, why and for whom."""
    config = SettingsConfig.model_validate({"file": "x.env", **keys})
    assert expected == list(violated(config, parse_env(ENV), NOW.date()))


@pytest.fixture
def env(tmp_path: Path) -> Path:
    """Return an env file written two hours ago."""
    path = tmp_path / "execution.env"
    path.write_text(ENV)
    written = NOW.timestamp() - 7200
    os.utime(path, (written, written))
    return path


def look(path: Path, **keys: object) -> Reading:
    """Look once."""
    config = SettingsConfig.model_validate({"file": str(path), **keys})
    return Settings(SignalKey("execution", "settings", config.labels()), config, timedelta(0)).look_here(NOW)


def test_nothing_wrong(env: Path) -> None:
    """A file as it should be has no violations and an age."""
    found = look(env, require={"APPLY_MODE": "dry_run"})
    assert found.values == {"violations": 0.0, "age": 7200.0}
    assert found.evidence == {}
    assert {"path": str(env)} == found.signal.labels


def test_evidence(env: Path) -> None:
    """The sentences come with the alert."""
    found = look(env, forbid=["TESTNET"], agree=[["TESTNET", "BINANCE_TESTNET"]])
    assert found.values["violations"] == 2.0
    expected = [
        "TESTNET=true (line 4) is forbidden",
        "TESTNET=true (line 4) and BINANCE_TESTNET=false (line 6) must be equal",
    ]
    assert {"violations": expected} == found.evidence


def test_changed_since_the_baseline(env: Path, tmp_path: Path) -> None:
    """Added, removed and changed keys are counted and named, without their secrets."""
    baseline = tmp_path / "accepted.env"
    accepted = ENV.replace("SEC=300", "SEC=10").replace("hunter2", "old").replace("TESTNET=true\n", "")
    baseline.write_text(accepted + 'HARVEST_MODE="shadow"\n')
    found = look(env, baseline=str(baseline))
    assert found.values["changed"] == 4.0
    expected = [
        "P33_STALE_THRESHOLD_SEC=300 (line 7) was 10",
        "BINANCE_API_SECRET=*** (line 8) was ***",
        "HARVEST_MODE (not set) was shadow",
        "TESTNET=true (line 4) was not set",
    ]
    assert {"changed": expected} == found.evidence


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


def test_changed_is_offered_with_a_baseline() -> None:
    """Without a baseline nothing can be said to have changed."""
    offered = [SettingsConfig.model_validate({"file": "a", "baseline": b}).offered() for b in (None, "b")]
    assert [list(o) for o in offered] == [["violations", "age"], ["violations", "changed", "age"]]


def test_unusable_files(tmp_path: Path) -> None:
    """A file that systemd could not read either is unknown, not free of violations."""
    (tmp_path / "latin1.env").write_bytes(b"A=\xe9\n")
    (tmp_path / "huge.env").write_text("#" * (1 << 20) + "\n")
    expected = {
        "gone.env": "cannot be read: No such file or directory",
        ".": "is no env file",
        "latin1.env": "is not UTF-8",
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
    ("agreement of one", {"agree": [["A"]]}),
]


@pytest.mark.parametrize("keys", [r[1] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_refused_configurations(keys: dict[str, Any]) -> None:
    """What can hold for no file, or for every file, is an error of rules.yaml."""
    with pytest.raises(ValidationError):
        SettingsConfig.model_validate({"file": "x.env", **keys})
