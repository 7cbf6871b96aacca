"""Tables drawn in docstrings and constants, turned into parameters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

T0 = datetime(2026, 2, 19, 1, 0, tzinfo=UTC)


def rows(table: str) -> list[tuple[str, ...]]:
    """Return the rows of a ``a | b`` table without its heading, each cell stripped."""
    lines = [line for line in table.strip().splitlines() if line.strip()]
    return [tuple(cell.strip() for cell in line.split("|")) for line in lines[1:]]


def ids(table: str) -> list[str]:
    """Return a readable test id for every row of *table*."""
    return [" → ".join(" ".join(cell.split()) for cell in row) for row in rows(table)]


def minutes(count: float) -> timedelta:
    """Return *count* minutes."""
    return timedelta(minutes=count)
