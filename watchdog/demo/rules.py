"""The demo's rules with the places of one run, patient or in haste."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from watchdog.demo.stage import Stage

WATCHED = Path(__file__).with_name("rules.yaml")
PATIENCE = WATCHED.with_name("patience.yaml")
HASTE = WATCHED.with_name("haste.yaml")
HASTY = {"GHOST_AFTER": "20s"}
"""What the declarations have in a hurry; else their own word holds."""


def rules_text(*, haste: bool) -> str:
    """Return the rules file as it would be written; in *haste* what takes an hour takes seconds."""
    return WATCHED.read_text(encoding="utf-8") + (HASTE if haste else PATIENCE).read_text(encoding="utf-8")


def filled_in(text: str, known: Mapping[str, str]) -> str:
    """Return the rules file *text* with what is *known*, or else its default, for each variable."""
    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", lambda found: known.get(found[1], found[2] or ""), text)


def places(stage: Stage, hook_port: int, port: int, every: timedelta) -> Mapping[str, str]:
    """Return what the variables of the rules file stand for on *stage*."""
    return {
        "REDIS_URL": stage.server.url,
        "DEMO": str(stage.directory),
        "EVERY": f"{every.total_seconds():g}s",
        "PORT": str(port),
        "HOOK_PORT": str(hook_port),
        **{f"PORT_{service}": str(number) for service, number in stage.units.ports.items()},
    }


def find_tools(directory: Path) -> None:
    """Let `unit` find the stand-ins of systemctl and journalctl in *directory* before the real ones."""
    os.environ["PATH"] = f"{directory / 'tools'}{os.pathsep}{os.environ.get('PATH', '')}"
