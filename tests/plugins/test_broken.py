"""Packages with mistakes: each is refused in one sentence that names it, and only where a file uses it."""

from __future__ import annotations

import pytest

from tests.plugins.conftest import Install
from watchdog.config import parse
from watchdog.errors import ConfigError
from watchdog.notifiers import NOTIFIERS
from watchdog.signals import SIGNALS

GOOD = """
from typing import ClassVar
from pydantic import Field
from watchdog.plugin import Labels, LocalSignal, Reading, SignalConfig, value

class Config(SignalConfig):
    "Keys."
    key: str = Field(description="the key")
    def labels(self): return Labels(key=self.key)
    def offered(self): return Disk.MEASURES

class Disk(LocalSignal):
    "Tells how full a disk is."
    MEASURES = {"free": value("Bytes that are free")}
    Config = Config
    def look_here(self, now): return Reading(self.key, now, {"free": 1.0})
"""
RULE = '    RULES = {"DiskFull": {"when": ["disk.free < 1"], "severity": "critical", "summary": "x", "runbook": "y"}}\n'
LOOK = '    def look_here(self, now): return Reading(self.key, now, {"free": 1.0})\n'
MISTAKES = {
    "raises when it is loaded": (GOOD + "raise OSError('no\\nsuch thing, password=hunter22')", "cannot be loaded: OSError: no such thing, password=***"),
    "ends the process": ("import sys; sys.exit(3)", "cannot be loaded: SystemExit: 3"),
    "names no class": ("Disk = 5", "does not fit: it is no class made from Signal"),
    "has no such name": ("", "cannot be loaded: AttributeError"),
    "is of no sort": (GOOD.replace("(LocalSignal)", "(Signal)").replace("Reading,", "Reading, Signal,"), "it is none of RestingSignal, RedisSignal, GatheredSignal, LocalSignal"),
    "does not look": (GOOD.replace("look_here", "look"), "a LocalSignal needs look_here()"),
    "says nothing": (GOOD.replace('    "Tells how full a disk is."\n', ""), "it has no docstring"),
    "takes any key": (GOOD.replace('    "Keys."\n', '    model_config = {"extra": "allow"}\n'), "takes keys that it does not know"),
    "does not say whose it is": (GOOD.replace("def labels", "def label"), "its Config needs labels()"),
    "offers nothing": (GOOD.replace("def offered", "def offer"), "its Config needs offered()"),
    "describes no key": (GOOD.replace('Field(description="the key")', "Field()"), "its key key has no description"),
    "measures nothing": (GOOD.replace('{"free": value("Bytes that are free")}', "{}"), "it has no MEASURES"),
    "calls a measure Free": (GOOD.replace('{"free": value', '{"Free": value'), '"Free" is no name for a measure'),
    "takes the name of all": (GOOD.replace('{"free": value', '{"known": value'), 'every signal has the measure "known" already'),
    "explains no measure": (GOOD.replace("Bytes that are free", " "), "the measure free has no help"),
    "asks in its rule for another": (GOOD + RULE.replace("disk.free", "disk.full"), 'its rule DiskFull cannot be read: signal disk has no measure "full"'),
    "has a rule without a runbook": (GOOD + RULE.replace(', "runbook": "y"', ""), "its rule DiskFull has no runbook"),
    "has a rule of no severity": (GOOD + RULE.replace("critical", "grave"), 'the severity "grave", which is none'),
    "brings a rule that we have": (GOOD + RULE.replace("DiskFull", "RedisDown"), "brings a rule RedisDown, which there is"),
}  # fmt: skip
FILE = "services: {one: {disk: {key: a}}}\n"


def problems(text: str) -> list[str]:
    """Return what is wrong with a rules file, in words."""
    try:
        parse(text)
    except ConfigError as exc:
        return str(exc).splitlines()
    return []


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a file adopts here is none of the next test's business."""
    for kinds in (SIGNALS, NOTIFIERS):
        monkeypatch.setattr(kinds, "_foreign", {})
        monkeypatch.setattr(kinds, "_loaded", dict(kinds._loaded))


def test_a_package_without_mistakes_is_taken(install: Install) -> None:
    """What the mistakes are made in is right."""
    install("extras_good", GOOD + RULE, signals="disk = extras_good:Disk")
    assert problems(FILE) == []
    assert SIGNALS.brought_by("disk") == "extras_good 1.0"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_broken_signal_is_one_sentence(install: Install, mistake: str) -> None:
    """It stands where the file names the signal, and names the package."""
    code, said = MISTAKES[mistake]
    package = f"extras_{list(MISTAKES).index(mistake)}"
    install(package, code, signals=f"disk = {package}:Disk")
    (line,) = problems(FILE)
    assert line.startswith('rules.yaml:1:18: service "one": disk: the ')
    assert said in line
    assert f"package {package} 1.0" in line


def test_a_broken_package_harms_nobody_who_does_not_use_it(install: Install) -> None:
    """Nor is it even loaded."""
    install("extras_unused", "raise OSError", signals="disk = extras_unused:Disk")
    assert problems("services: {one: {heartbeat: {key: a}}}") == []


CLASHES = {
    "two packages with one name": (
        "disk = {package}:Disk",
        FILE,
        'the signal "disk" of the package extras_a 1.0 is also in extras_b 1.0 (uninstall one of the two)',
    ),
    "a name of ours": (
        "heartbeat = {package}:Disk",
        "services: {one: {heartbeat: {key: a}, disk: {key: a}}}",
        'the signal "heartbeat" of the package extras_a 1.0 is called like a built-in one'
        " (uninstall it, or have it renamed)",
    ),
}


@pytest.mark.parametrize("clash", CLASHES)
def test_names_that_clash_are_refused(install: Install, clash: str) -> None:
    """Nobody has to guess which of two it was."""
    points, file, said = CLASHES[clash]
    for package in ("extras_a", "extras_b"):
        install(package, GOOD, signals=points.format(package=package))
    assert said in "\n".join(problems(file))


def test_a_bad_name_of_a_signal_is_refused(install: Install) -> None:
    """No rule could write it."""
    install("extras_c", GOOD, signals="Disk-Free = extras_c:Disk")
    (line,) = problems(FILE.replace("disk", "Disk-Free"))
    assert 'the signal "Disk-Free" of the package extras_c 1.0 has a name that no rule could write' in line


RECEIVER = """
from pydantic import Field
from watchdog.plugin import Notifier

class Bell(Notifier):
    "Rings."
    tone: str = Field(description="which")
    async def send(self, notification, sending): return None
"""
DEAF = {
    "does not send": (RECEIVER.replace("def send", "def ring"), "it needs send()"),
    "holds everybody up": (RECEIVER.replace("async def", "def"), "its send() is no `async def`"),
    "says nothing": (RECEIVER.replace('"Rings."', "pass"), "it has no docstring"),
    "describes no key": (RECEIVER.replace('Field(description="which")', "Field()"), "its key tone has no description"),
    "shows secrets": (RECEIVER.replace('"Rings."', '"Rings."\n    model_config = {"hide_input_in_errors": False}'), "its errors would show"),
    "is something else": ("class Bell: pass", "it is no class made from Notifier or HttpNotifier"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", DEAF)
def test_a_broken_receiver_is_one_sentence(install: Install, mistake: str) -> None:
    """It stands where the file names the receiver, and names the package."""
    code, said = DEAF[mistake]
    package = f"bells_{list(DEAF).index(mistake)}"
    install(package, code, receivers=f"bell = {package}:Bell")
    (line,) = problems("services: {one: {heartbeat: {key: a}}}\nreceivers: {r: {bell: {tone: c}}}\n")
    assert line.startswith('rules.yaml:2:17: receiver "r": bell: the receiver "bell" of the package ')
    assert said in line
