"""What a shell may complete: names that the rules file has, that rules have, that faults have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import typer

from watchdog.builtin import BUILTIN
from watchdog.runbooks import runbook_names
from watchdog.terminal import DEFAULT_RULES
from watchdog.yamlfile import read_yaml

HARMLESS = re.compile(r"[\w.:@+-]+")
"""What is offered to a shell: scripts for zsh evaluate it, and a file may hold anything."""


def services(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the services of the rules file that begin so."""
    return fitting(_names(_file(ctx).get("services")), incomplete)


def receivers(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the receivers of the rules file that begin so."""
    return fitting(_names(_file(ctx).get("receivers")), incomplete)


def alerts(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the alerts that begin so: built-in ones, and those of the rules file."""
    rules = _file(ctx).get("rules")
    own = [rule.get("alert") for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []
    return fitting([*BUILTIN, *map(str, own)], incomplete)


def runbooks(incomplete: str) -> list[str]:
    """Return the runbooks that begin so."""
    return fitting(runbook_names(), incomplete)


def fitting(names: Iterable[str], incomplete: str) -> list[str]:
    """Return those of *names* that begin so and mean nothing to a shell."""
    return sorted({name for name in names if name.startswith(incomplete) and HARMLESS.fullmatch(name)})


def _file(ctx: typer.Context) -> Mapping[str, Any]:
    """Return what the rules file holds; nothing if it cannot be read: nobody wants to hear of it now."""
    try:
        text = Path(ctx.params.get("rules") or DEFAULT_RULES).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return {}
    found = read_yaml(text, {}).value
    return found if isinstance(found, dict) else {}


def _names(found: object) -> list[str]:
    return [str(name) for name in found] if isinstance(found, dict) else []
