"""The order of the tests: what takes longest begins first, so that no core waits for it in the end."""

from __future__ import annotations

import pytest

LONGEST = (
    "test_demo.py",
    "test_pair.py",
    "test_outage.py",
    "test_kills.py",
    "test_machine.py",
    "test_run.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first; all others stay in their order."""
    items.sort(key=lambda item: LONGEST.index(name) if (name := item.path.name) in LONGEST else len(LONGEST))
