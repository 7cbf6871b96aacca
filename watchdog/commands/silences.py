"""`watchdog silence`: add, list, end."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any
from urllib.parse import quote

import typer
from typer.core import TyperGroup

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
from watchdog.listings import silences_table
from watchdog.muting import parse_matcher
from watchdog.remote import RemoteError
from watchdog.terminal import DEFAULT_RULES, RulesOption, fail
from watchdog.units import plain

EXAMPLE = "service=execution 'alertname=~Heart.*' --for 2h --comment 'new trainer'"


class SilenceGroup(TyperGroup):
    """Takes a matcher in the place of a subcommand for `add`: no subcommand has an operator in it."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return which subcommand is meant by *args*."""
        if args and args[0] not in self.commands and ("=" in args[0] or "~" in args[0]):
            args = ["add", *args]
        return super().resolve_command(ctx, args)


silence_app = typer.Typer(
    cls=SilenceGroup, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)


@silence_app.command(
    "add",
    epilog=f"Example: watchdog silence add {EXAMPLE}",
)
def silence_add_command(
    matchers: Annotated[list[str], typer.Argument(help="such as service=execution; all of them must hold")],
    *,
    duration: Annotated[str, typer.Option("--for", help="for how long, e.g. 2h", show_default=False)],
    comment: Annotated[str, typer.Option("--comment", help="why", show_default=False)],
    rules: RulesOption = DEFAULT_RULES,
    author: Annotated[
        str | None, typer.Option("--author", help="who (default: you)", show_default=False)
    ] = None,
    until_resolved: Annotated[
        bool, typer.Option("--until-resolved", help="end it early, once nothing it held back fires")
    ] = False,
    url: UrlOption = None,
    token_file: TokenOption = None,
) -> None:
    """Tell nobody of some alerts for a while; prints the silence's id. Their ends are told all the same."""
    try:
        parsed = [parse_matcher(text) for text in matchers]
    except ValueError as exc:
        raise fail(str(exc), USAGE) from exc
    duration_of(duration, "--for")
    body = {
        "matchers": [
            {"name": m.name, "value": m.value, "isRegex": "~" in m.op, "isEqual": m.op.startswith("=")}
            for m in parsed
        ],
        "duration": duration,
        "comment": comment,
        "createdBy": author_or_self(author),
        "untilResolved": until_resolved,
    }
    with sidecar(rules, url, token_file) as remote:
        made = remote.post("/api/v1/silences", body)["id"]
        typer.echo(made)
        with contextlib.suppress(RemoteError):  # the sidecar may not have looked yet
            held = [a for a in remote.get("/api/v1/alerts")["alerts"] if made in a["silenced_by"]]
            typer.echo(f"of the alerts there are now it matches {len(held)}", err=True)


@silence_app.command("list", epilog="Example: watchdog silence list")
def silence_list_command(
    *,
    rules: RulesOption = DEFAULT_RULES,
    expired: Annotated[bool, typer.Option("--expired", help="those that ended lately as well")] = False,
    form: FormOption = Form.TABLE,
    url: UrlOption = None,
    token_file: TokenOption = None,
) -> None:
    """Show the silences."""
    with sidecar(rules, url, token_file) as remote:
        body = remote.get("/api/v1/silences")
    found = [s for s in body["silences"] if expired or s["status"]["state"] != "expired"]
    show(
        {**body, "silences": found},
        form,
        lambda kept: silences_table(kept) if kept["silences"] else "no silences",
    )


@silence_app.command("end", epilog="Example: watchdog silence end 5fb0c3d1-7f0e-4f43-9d0e-5c1f2a0f3b11")
def silence_end_command(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="as `silence list` shows it")],
    *,
    rules: RulesOption = DEFAULT_RULES,
    url: UrlOption = None,
    token_file: TokenOption = None,
) -> None:
    """End silences now: what they held back and still fires is told."""
    with sidecar(rules, url, token_file) as remote:
        for id_ in ids:
            remote.delete(f"/api/v1/silences/{quote(id_, safe='')}")
            typer.echo(plain(f"{id_} has ended"))
