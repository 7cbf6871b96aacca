"""Whatever a file is changed to, once it is put back all is as if nobody had touched it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from random import Random

import pytest

from tests.reload.conftest import MINUTE, Rig
from watchdog.alerts import Alert

RULES = """
redis: redis://127.0.0.1:1
every: 1m
builtin_rules: off
receivers: {hook: {webhook: {url: "http://127.0.0.1:9/hook"}}}
notifications: {group_wait: 0s, group_interval: 0s}
services:
  a: {settings: {file: FOLDER/a, require: {MODE: live}}}
  b: {needs: [a], settings: {file: FOLDER/b, require: {MODE: live}}}
  c: {log: {path: FOLDER/log}}
rules:
  - {alert: Wrong, when: settings.violations > 0, severity: critical, for: 2m}
  - {alert: Errors, when: "log.errors[5m] >= 2", severity: warning}
"""
HARMLESS = {
    "another interval": ("every: 1m", "every: 90s"),
    "read in another way": ("FOLDER/log", "FOLDER/log, expect_every: 5m"),
    "looked at rarely": ("FOLDER/a,", "FOLDER/a, every: 1m,"),
    "a wider window asked for": (
        "\nrules:",
        '\nrules:\n  - {alert: Many, when: "log.errors[2h] > 99", severity: info}',
    ),
    "a receiver more": ("receivers: {", 'receivers: {more: {webhook: {url: "http://127.0.0.1:9/"}}, '),
    "one more counter": (
        "\nrules:",
        '\nrules:\n  - {alert: Lines, when: "log.lines[5m] > 99", severity: info}',
    ),
}
GRAVE = {
    "no needs": ("needs: [a], ", ""),
    "a rule less": ("  - {alert: Wrong", "  - {alert: Other"),
    "a service less": ("  a: {", "  x: {"),
    "another severity": ("severity: critical", "severity: info"),
    "no log": ("  c: {log: {path: FOLDER/log}}", "  c: {log: {path: FOLDER/other}}"),
    "a higher threshold": (">= 2", ">= 3"),
    "longer": ("for: 2m", "for: 1h"),
}
Edit = tuple[str, str]


def edited(*edits: Edit) -> str:
    """Return the rules with some edits."""
    text = RULES
    for old, new in edits:
        text = text.replace(old, new)
    return text


def bones(alert: Alert) -> tuple[str, datetime, datetime | None, datetime | None]:
    """Return what must be the same of an alert."""
    return str(alert.state), alert.active_since, alert.fired_at, alert.resolved_at


@pytest.mark.parametrize("seed", range(2))
async def test_what_is_put_back_was_never_gone(tmp_path: Path, seed: int) -> None:
    """Any edits between two looks, and a harmless one for a look: the same alerts, messages and windows."""
    luck = Random(seed)
    touched, left = Rig(tmp_path), Rig(tmp_path)
    touched.write(a="live", b="live")
    (tmp_path / "other").touch()
    touched.log("info")
    for rig in (touched, left):
        rig.begin(RULES)
        await rig.tick()
    for _ in range(12):
        modes = {service: luck.choice(["live", "test", "test"]) for service in "ab"}
        touched.log(*["error"] * luck.choice([0, 0, 1, 2]))
        await touched.reload(edited(*luck.sample([*HARMLESS.values(), *GRAVE.values()], luck.randint(0, 3))))
        await touched.reload(edited(*luck.sample([*HARMLESS.values()], luck.randint(0, 1))))
        for rig in (touched, left):
            await rig.tick(MINUTE, **modes)
        await touched.reload(RULES)
        alerts = [{name: bones(alert) for name, alert in rig.alerts.items()} for rig in (touched, left)]
        assert alerts[0] == alerts[1]
        assert touched.told() == left.told()
    for rig in (touched, left):
        await rig.sidecar.stop()
