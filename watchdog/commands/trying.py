"""`watchdog self-test` and `test-receiver`: does a page arrive?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Annotated, Any

import httpx
import typer

from watchdog.clock import utc_now
from watchdog.commands import completing
from watchdog.commands.common import TokenOption, UrlOption, duration_of, sidecar
from watchdog.conditions import suggest
from watchdog.config import Config, load
from watchdog.errors import ConfigError, NotifyError
from watchdog.notifiers.base import Sending, trusting
from watchdog.progress import progress
from watchdog.remote import REFUSED, Remote, RemoteError
from watchdog.terminal import DEFAULT_RULES, RulesOption, fail, structured_logs
from watchdog.trial import trial
from watchdog.units import plain, show_duration

LOOK_AGAIN = 0.2


def self_test_command(
    *,
    rules: RulesOption = DEFAULT_RULES,
    timeout: Annotated[str, typer.Option("--timeout", help="how long to wait for the receivers")] = "60s",
    url: UrlOption = None,
    token_file: TokenOption = None,
) -> None:
    """
    Have the running sidecar send a test alert the whole way, and wait until every receiver took it.

    Exit status: 0 if all took it, else 1; 3 if the sidecar cannot be asked.
    """
    deadline = time.monotonic() + duration_of(timeout, "--timeout").total_seconds()
    with sidecar(rules, url, token_file) as remote:
        began = remote.post("/api/v1/self-test", None)
        if not began["receivers"]:
            raise RemoteError(
                "no route takes the alert SelfTest, so nobody hears of it (see routes)", REFUSED
            )
        settled: dict[str, Mapping[str, Any]] = {}
        with progress("testing") as steps:
            while len(settled) < len(began["receivers"]) and time.monotonic() < deadline:
                for name, delivery in outcomes(remote, began).items():
                    if name not in settled:
                        settled[name] = delivery
                        steps.echo(plain(verdict(name, delivery)))
                steps.wait_for([name for name in began["receivers"] if name not in settled])
                time.sleep(LOOK_AGAIN)
        left = [name for name in began["receivers"] if name not in settled]
        for name in left:
            typer.echo(plain(f"{name}: not taken within {timeout} ({why_not(remote, began, name)})"))
    if left or any(delivery["outcome"] != "sent" for delivery in settled.values()):
        raise typer.Exit(REFUSED)


def outcomes(remote: Remote, began: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return what became of the test's beginning, for every receiver of which that is settled."""
    log = remote.get("/api/v1/deliveries", fingerprint=began["fingerprint"], since=began["at"], limit=1_000)[
        "deliveries"
    ]
    return {
        one["receiver"]: one
        for one in log
        if one["outcome"] != "retried"
        and one["reasons"] != ["resolved"]
        and one["receiver"] in began["receivers"]
    }


def verdict(name: str, delivery: Mapping[str, Any]) -> str:
    """Say in a line what became of the test at one receiver."""
    if delivery["outcome"] != "sent":
        return f"{name}: {delivery['outcome']} ({delivery['why']})"
    tries = f" at attempt {delivery['attempt']}" if delivery["attempt"] > 1 else ""
    return f"{name}: took it{tries}"


def why_not(remote: Remote, began: Mapping[str, Any], name: str) -> str:
    """Say why a receiver has not heard of the test."""
    standing = {r["receiver"]: r for r in remote.get("/api/v1/receivers")["receivers"]}.get(name)
    if standing is not None and standing["why"]:
        return str(standing["why"])
    alerts = remote.get("/api/v1/alerts", fingerprint=began["fingerprint"])["alerts"]
    told = [t for a in alerts for t in a["receivers"] if t["receiver"] == name]
    return str(told[0]["reason"]) if told else "the sidecar does not look, see /-/ready"


def try_receiver_command(
    name: Annotated[
        str,
        typer.Argument(help="a receiver of the rules file, or `all`", autocompletion=completing.receivers),
    ],
    *,
    rules: RulesOption = DEFAULT_RULES,
) -> None:
    """
    Send one test message straight to a receiver, and say what it answered; needs no running sidecar.

    Exit status: 0 if it was taken, else 1.
    """
    structured_logs("warning")
    try:
        config = load(rules)
    except ConfigError as exc:
        raise fail(str(exc), REFUSED) from exc
    names = list(config.receivers) if name == "all" and name not in config.receivers else [name]
    if not names or names[0] not in config.receivers:
        cure = suggest(name, config.receivers) or "the file has no receivers"
        raise fail(f'receiver "{name}" is not defined ({cure})', REFUSED)
    answers = asyncio.run(try_all(config, names))
    for tried, (_, said) in answers.items():
        typer.echo(plain(f"{tried}: {said}"))
    if not all(taken for taken, _ in answers.values()):
        raise typer.Exit(REFUSED)


async def try_all(config: Config, names: list[str]) -> dict[str, tuple[bool, str]]:
    """Send a test to each of *names* at once, and return whether it was taken and what was said."""
    async with httpx.AsyncClient(follow_redirects=False, verify=trusting()) as client:

        async def attempt(name: str) -> tuple[bool, str]:
            now, began = utc_now(), time.monotonic()
            try:
                await config.receivers[name].send(trial(name, now), Sending(client, config.links, now))
            except NotifyError as exc:
                return False, str(exc)
            return True, f"took the test message after {show_duration(time.monotonic() - began)}"

        return dict(zip(names, await asyncio.gather(*map(attempt, names)), strict=True))
