"""What the sidecar's process does without until somebody asks for it; docs/benchmarks.md has what that saves."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

from watchdog.later import later, without

UNASKED = ("numpy", "re2", "rich", "pygments", "jinja2", "markdown_it", "prometheus_client", "smtplib")
LOADED = f"""
import sys
from watchdog.commands.table import load
load("run")
print(*(name for name in {UNASKED} if name in sys.modules))
"""


def test_run_loads_nothing_that_nobody_asked_for() -> None:
    """Neither what reads logs, nor what writes pages, metrics and mails, nor colours."""
    said = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert said.stdout.split() == []


def test_a_module_is_loaded_when_it_is_first_asked() -> None:
    """Not before, and what was asked once is at hand."""
    stand_in = later("colorsys")
    sys.modules.pop("colorsys", None)
    assert "colorsys" not in sys.modules
    assert stand_in.rgb_to_hsv(1, 1, 1) == (0.0, 0.0, 1)
    assert vars(stand_in)["rgb_to_hsv"] is sys.modules["colorsys"].rgb_to_hsv
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = stand_in.nothing


def test_a_missing_library_is_told_when_it_is_asked() -> None:
    """As an import would tell it."""
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        _ = later("no_such_library").anything


def test_what_is_left_out_is_there_again_afterwards() -> None:
    """Whether it was loaded before or not."""
    sys.modules.pop("colorsys", None)
    with without("json", "colorsys"):
        for name in ("json", "colorsys"):
            with pytest.raises(ModuleNotFoundError):
                importlib.import_module(name)
    assert sys.modules["json"] is json
    assert importlib.import_module("colorsys").rgb_to_hsv
