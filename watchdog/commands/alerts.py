"""`watchdog alerts`, `ack` and `deliveries`, and what `explain` tells of an alert."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from watchdog.clock import utc_now
from watchdog.commands import completing
from watchdog.commands.common import (
    USAGE,
    Form,
    FormOption,
    TokenOption,
    UrlOption,
    author_or_self,
    duration_of,
    show,
    sidecar,
)
from watchdog.conditions import suggest
from watchdog.journal import OUTCOMES
from watchdog.listings import alert_story, alerts_table, deliveries_table
from watchdog.remote import REFUSED, Remote, RemoteError
from watchdog.terminal import DEFAULT_RULES, RulesOption
from watchdog.units import plain, rfc3339


def alerts_command(
    *,
    rules: RulesOption = DEFAULT_RULES,
    service: Annotated[
        list[str] | None,
        typer.Option("--service", help="only of this service", autocompletion=completing.services),
    ] = None,
    alert: Annotated[
        list[str] | None,
        typer.Option("--alert", help="only those of this name", autocompletion=completing.alerts),
    ] = None,
    severity: Annotated[
        list[str] | None, typer.Option("--severity", help="critical, warning or info")
    ] = None,
    state: Annotated[
        list[str] | None, typer.Option("--state", help="pending, firing, blind or resolved")
    ] = None,
    receiver: Annotated[
        list[str] | None,
        typer.Option("--receiver", help="only what it has to hear of", autocompletion=completing.receivers),
    ] = None,
    form: FormOption = Form.TABLE,
    url: UrlOption = None,
    token_file: TokenOption = None,
) -> None:
    """
    Show the alerts of the running sidecar, and who was told of them.

    Exit status: 0 whatever fires (`watchdog audit` judges), 1 if the sidecar says no, 3 if it
    cannot be asked.
    """
    with sidecar(rules, url, token_file) as remote:
        body = remote.get(
            "/api/v1/alerts",
            service=service,
            alertname=alert,
            severity=severity,
            state=state,
            receiver=receiver,
        )
    show(body, form, lambda found: alerts_table(found) if found["alerts"] else "no alerts")


def explain_alert(
    alert: str, rules: Path, service: str | None, url: str | None, token_file: Path | None
) -> None:
    """Print all that the running sidecar knows of an alert; `watchdog explain` asks for it."""
    with sidecar(rules, url, token_file) as remote:
        for found in find_alerts(remote, alert, service):
            mark = found["fingerprint"]
            log = remote.get("/api/v1/deliveries", fingerprint=mark, limit=10)
            typer.echo(alert_story(found, log["deliveries"], log["at"]))


def find_alerts(remote: Remote, wanted: str, service: str | None) -> list[dict[str, Any]]:
    """Return the alerts whose name or fingerprint is *wanted*; RemoteError if there is none."""
    alerts: list[dict[str, Any]] = remote.get("/api/v1/alerts", service=service)["alerts"]
    found = [a for a in alerts if wanted in (a["fingerprint"], a["labels"]["alertname"])]
    if not found:
        names = {a["labels"]["alertname"] for a in alerts}
        cure = suggest(wanted, names) or "there are no alerts"
        raise RemoteError(f'there is no alert "{wanted}" now ({cure})', REFUSED)
    return found


def ack_command(
    alert: Annotated[
        str, typer.Argument(help="its name or its fingerprint", autocompletion=completing.alerts)
    ],
    *,
    rules: RulesOption = DEFAULT_RULES,
    service: Annotated[str | None, typer.Option("--service", help="whose alert, if several have it")] = None,
    comment: Annotated[str, typer.Option("--comment", help="what is being done")] = "",
    author: Annotated[
        str | None, typer.Option("--author", help="who (default: you)", show_default=False)
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="take it back")] = False,
    url: UrlOption = None,
    token_file: TokenOption = None,
) -> None:
    """Say that somebody has seen an alert: no reminders and no escalation until it fires anew."""
    with sidecar(rules, url, token_file) as remote:
        found = find_alerts(remote, alert, service)
        live = [a for a in found if a["state"] in ("firing", "blind")] or found
        if len(live) > 1:
            which = ", ".join(f"{a['fingerprint']} of {a['labels']['service']}" for a in live)
            raise RemoteError(f"there are several of that name: {which} (name one of these)", USAGE)
        path = f"/api/v1/alerts/{live[0]['fingerprint']}/ack"
        if undo:
            remote.delete(path)
        else:
            body = {"comment": comment, "createdBy": author_or_self(author)}
            remote.post(path, body)
    labels = live[0]["labels"]
    done = "no longer acknowledged" if undo else "acknowledged"
    typer.echo(plain(f"{labels['alertname']} of {labels['service']} is {done}"))


def deliveries_command(
    *,
    rules: RulesOption = DEFAULT_RULES,
    receiver: Annotated[
        str | None,
        typer.Option("--receiver", help="only to this one", autocompletion=completing.receivers),
    ] = None,
    alert: Annotated[str | None, typer.Option("--alert", help="only of this fingerprint")] = None,
    outcome: Annotated[str | None, typer.Option("--outcome", help=", ".join(OUTCOMES))] = None,
    since: Annotated[str | None, typer.Option("--since", help="how far back, e.g. 1h")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000, help="at most so many")] = 100,
    form: FormOption = Form.TABLE,
    url: UrlOption = None,
    token_file: TokenOption = None,
) -> None:
    """Show what became of messages, the latest first."""
    with sidecar(rules, url, token_file) as remote:
        body = remote.get(
            "/api/v1/deliveries",
            receiver=receiver,
            fingerprint=alert,
            outcome=outcome,
            since=rfc3339(utc_now() - duration_of(since, "--since")) if since else None,
            limit=limit,
        )
    show(body, form, lambda found: deliveries_table(found) if found["deliveries"] else "no deliveries")
