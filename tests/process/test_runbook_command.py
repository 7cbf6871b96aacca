"""`watchdog runbook`: the pages in a terminal, where there may be no browser and no internet."""

from __future__ import annotations

import contextlib
import os
import pty
import re

import httpx
import pytest
from pytest_httpserver import HTTPServer

from watchdog.commands.runbook import runbook_command
from watchdog.runbooks import read_runbook, runbook_names

from .conftest import Ran, typed


def test_the_list_says_what_each_is_about() -> None:
    """Every name, with one sentence, a line each."""
    ran = typed("runbook")
    assert ran.status == 0
    assert [line.split()[0] for line in ran.out.splitlines()] == list(runbook_names())
    assert any(
        line.split(maxsplit=1) == ["HeartbeatMissing", "There is no key at all."]
        for line in ran.out.splitlines()
    )


@pytest.mark.parametrize("name", ["NoExecutions", "noexecutions", "NOEXECUTIONS"])
def test_a_runbook_is_printed_as_it_is_written(name: str) -> None:
    """Piped it is the file itself, however the name was typed."""
    ran = typed("runbook", name)
    assert (ran.status, ran.out.rstrip()) == (0, (read_runbook("NoExecutions") or "").rstrip())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("NoExecution", 'there is no runbook "NoExecution" (did you mean "NoExecutions"?)\n'),
        ("../README", 'there is no runbook "../README" (`watchdog runbook` lists them)\n'),
        ("", 'there is no runbook "" (`watchdog runbook` lists them)\n'),
    ],
)
def test_a_name_that_is_none_ends_with_the_cure(name: str, said: str) -> None:
    """One sentence, and no path is followed."""
    ran = typed("runbook", name)
    assert (ran.status, ran.out, ran.err) == (2, "", said)


def test_a_terminal_shows_headings_and_no_marks() -> None:
    """In colour and wrapped; but a command is one line, however long, or a copy of it would break."""
    here, there = pty.openpty()
    with os.fdopen(there, "w") as terminal, contextlib.redirect_stdout(terminal):
        runbook_command("SelfTest")
    coloured = os.read(here, 100_000).decode()
    os.close(here)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert shown != coloured
    assert "## " not in shown
    assert "```" not in shown
    assert (
        "watchdog silence add alertname=SelfTest --for 10m --until-resolved"
        ' --comment "testing all receivers"\r\n'
    ) in shown


def answering(httpserver: HTTPServer, *states: str) -> str:
    """Return the address of a sidecar with one alert in each of *states*."""
    alerts = [
        {"state": state, "labels": {"alertname": "PoisonEntry", "service": "a b", "stream": f"s\x1b{n}"}}
        for n, state in enumerate(states)
    ]
    query = {"alertname": "PoisonEntry", "service": "a b"}
    httpserver.expect_request("/api/v1/alerts", query_string=query).respond_with_json({"alerts": alerts})
    url = httpserver.url_for("")
    httpx.get(url)  # its first word decides where the server's own log goes: not into a command's answer
    return url


def asked(url: str) -> Ran:
    """Ask for a runbook with the places of one service."""
    return typed(
        "runbook", "poisonentry", "--service", "a b", "--url", url, environment={"WATCHDOG_TOKEN": "t"}
    )


def test_the_places_of_open_alerts_come_first(httpserver: HTTPServer) -> None:
    """As a shell takes them, of every one that is open; no sign in them steers the terminal."""
    ran = asked(answering(httpserver, "firing", "resolved", "blind"))
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("SERVICE='a b'\nSTREAM='s�0'\n\nSERVICE='a b'\nSTREAM='s�2'\n\n# PoisonEntry\n")


def test_the_text_comes_also_when_nobody_can_be_asked(httpserver: HTTPServer) -> None:
    """The worst hour is the one in which the sidecar is gone; the exit status still tells."""
    gone, none = asked("http://127.0.0.1:1"), asked(answering(httpserver, "resolved"))
    assert gone.out == none.out == typed("runbook", "PoisonEntry").out
    assert (gone.status, none.status) == (3, 2)
    assert gone.err.startswith("the sidecar at http://127.0.0.1:1 cannot be reached")
    assert none.err == "a b has no open alert PoisonEntry (`watchdog alerts` lists them)\n"


def test_the_page_before_all_others() -> None:
    """How to use them is a page as well."""
    assert typed("runbook", "README").out.startswith("# Runbooks\n")
