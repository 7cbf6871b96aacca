"""The runbooks: a page of Markdown for each alert, for a browser, a terminal and the sidecar's own pages."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from functools import cache
from pathlib import Path

PACKAGED = Path(__file__).parent / "runbook_pages"
IN_CHECKOUT = Path(__file__).parents[1] / "docs" / "runbooks"
INDEX = "README"
PLACES = {
    **{label: label.upper() for label in ("service", "key", "field", "stream", "group", "unit", "url")},
    **{label: label.upper() for label in ("command", "discover", "receiver", "signal")},
    "path": "FILE",
    "input": "INPUT",  # no label, but what a service is offered has a place too
}
"""The labels that name a place, and under which shell variable the commands of a runbook expect it."""
_FIRST_SENTENCE = re.compile(r"^## What it means\n+(.*?\.)(?=\s|\Z)", re.MULTILINE | re.DOTALL)


@cache
def runbook_names() -> tuple[str, ...]:
    """Return the names of all runbooks: each is called as its alert."""
    return tuple(sorted(path.stem for path in _folder().glob("*.md") if path.stem != INDEX))


def read_runbook(name: str) -> str | None:
    """Return the runbook of the alert *name* in Markdown, or None if there is none."""
    return (_folder() / f"{name}.md").read_text(encoding="utf-8") if name in runbook_names() else None


def read_index() -> str:
    """Return the page before all runbooks: how to use them, and which there are."""
    return (_folder() / f"{INDEX}.md").read_text(encoding="utf-8")


def in_a_sentence(text: str) -> str:
    """Return the first sentence of what the alert of a runbook's *text* means."""
    found = _FIRST_SENTENCE.search(text)
    return " ".join(found[1].split()) if found else ""


def places(labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return the lines for a shell that put an alert's *labels* where the commands of its runbook look."""
    return tuple(f"{PLACES[name]}={shlex.quote(text)}" for name, text in labels.items() if name in PLACES)


def _folder() -> Path:
    """Return where the pages are: in the package, or in the checkout it is imported from."""
    return PACKAGED if PACKAGED.is_dir() else IN_CHECKOUT
