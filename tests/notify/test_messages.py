"""What docs/explanation/messages.md shows of our messages is what the code makes of the outage."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.notify.incident import LINKS, MESSAGES, NOW, as_read
from watchdog.notifications import Notification
from watchdog.notifiers.slack import message
from watchdog.notifiers.text import text

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "messages.md").read_text(encoding="utf-8")
SHOWN = dict(re.findall(r"<!-- (.+?) -->\n```text\n(.*?)```", PAGE, re.DOTALL))


@pytest.mark.parametrize("name", [*MESSAGES, *(f"mail: {name}" for name in ("the cause",)), "phone"])
def test_the_page_shows_what_is_sent(name: str) -> None:
    """To the letter, so that nobody compares with what we once meant to send."""
    if name == "phone":
        said = "\n".join(message(sent, LINKS, NOW)["text"] for sent in MESSAGES.values()) + "\n"
    elif name.startswith("mail: "):
        said = text(MESSAGES[name.removeprefix("mail: ")], LINKS, NOW)
    else:
        said = as_read(message(MESSAGES[name], LINKS, NOW)) + "\n"
    assert SHOWN.get(name, "") == said


@pytest.mark.parametrize("sent", MESSAGES.values(), ids=MESSAGES)
def test_a_lock_screen_says_what_is_wrong_whose_and_for_how_long(sent: Notification) -> None:
    """Its hundred characters hold the severity, the service and the sentence; the rule's name may be cut off."""
    worst = sent.notices[0].alert
    shown = message(sent, LINKS, NOW)["text"][:100]
    assert re.match(r"(🔴|🟠|✅) (STILL )?(CRITICAL|WARNING|RESOLVED)", shown)
    assert worst.summary[:50] in shown
    assert worst.service in shown[:60]
