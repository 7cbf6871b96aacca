"""The table of commands, which is read without loading any of them."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import Any

import pytest
import typer

from watchdog.commands.table import TABLE

from .conftest import typed

LIGHT = "import sys; sys.argv = ['watchdog', '--help']\ntry:\n    import watchdog.cli; watchdog.cli.main()\nfinally:\n    print(*sys.modules)"
HEAVY = {"httpx", "numpy", "pydantic", "redis", "rich", "starlette", "structlog", "uvicorn", "yaml"}


def first_sentence(found: Any) -> str:
    """Return what a command says of itself first."""
    return " ".join((found.__doc__ or "").strip().partition("\n\n")[0].split())


@pytest.mark.parametrize("name", TABLE)
def test_the_table_says_what_the_command_says(name: str) -> None:
    """One line in the list of all, the same in the command's own help."""
    module, _, attribute = TABLE[name].home.partition(":")
    found = getattr(importlib.import_module(f"watchdog.{module}"), attribute)
    if not isinstance(found, typer.Typer):
        assert first_sentence(found).startswith(TABLE[name].does)
    assert TABLE[name].example.split()[0] == name


def test_help_names_every_command_and_loads_none() -> None:
    """Who only asks what there is waits for nothing else."""
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=False)
    for name, entry in TABLE.items():
        assert name in done.stdout
        assert entry.does.split(maxsplit=1)[0] in done.stdout
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "watchdog.commands.table" in loaded
    assert loaded & HEAVY == set()


def test_a_misspelt_command_is_one_sentence_with_a_cure() -> None:
    """The names are known, though nothing is loaded."""
    ran = typed("alert")
    assert ran.status == 2
    assert "No such command 'alert'. Did you mean 'alerts'?" in ran.err
