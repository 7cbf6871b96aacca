"""What holds for all tests: the order in which they run, and what none of them leaves to the next."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

logging.getLogger("werkzeug").setLevel(logging.WARNING)
"""Unset, the first test with an HTTP server in a process would find its requests on standard error."""
AS_AT_FIRST = structlog.get_config()
"""Taken here and not before each test: a fixture of a whole module may have run a command by then."""
LONGEST = (
    "test_library.py",
    "test_poll.py",
    "test_demo.py",
    "test_streaq.py",
    "test_faststream.py",
    "test_outage.py",
    "test_pair.py",
    "test_taskiq.py",
    "test_run.py",
    "test_supervised.py",
    "test_points.py",
    "test_kills.py",
    "test_machine.py",
    "test_equivalence.py",
    "test_vigil.py",
    "test_wire.py",
    "test_grafana.py",
    "test_truth.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first, so that no core waits for them in the end."""
    items.sort(key=lambda item: LONGEST.index(name) if (name := item.path.name) in LONGEST else len(LONGEST))


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    """Log as at first: a command that was run within a test logs to what was its standard error."""
    yield
    structlog.configure(**AS_AT_FIRST)
