"""What the watchdog relies on, and what this package adds to it."""

from __future__ import annotations

from typing import Any

from watchdog_extras.ntfy import Ntfy
from watchdog_extras.queue import Queue

from watchdog.plugin.contract import check_notifier, check_posting, check_signal

ITEM = b'{"ts": "2026-02-19T01:50:00Z"}'


def answers(command: tuple[str | bytes | int, ...]) -> Any:
    """Return what Redis would say of a list with two items."""
    return {"LLEN": 2, "LINDEX": ITEM}[str(command[0])]


def test_the_signal_keeps_to_the_contract() -> None:
    """With and without a field that says since when an item waits."""
    check_signal("queue", Queue, {"key": "todo"}, {"key": "todo", "timestamp": "ts"}, answers=answers)


def test_the_receiver_keeps_to_the_contract() -> None:
    """It takes each answer of a server for what it means, and shows no secret."""
    check_notifier("ntfy", Ntfy, {"url": "https://ntfy.example.com", "topic": "trading"})
    check_posting("ntfy", lambda url: Ntfy.model_validate({"url": url, "topic": "t", "timeout": "1s"}))
