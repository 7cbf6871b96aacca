"""`watchdog settings`: env files checked before a commit, shown as systemd reads them, accepted."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from watchdog.checking import Checker, flaws_of
from watchdog.clock import utc_now
from watchdog.commands.common import USAGE, Form, FormOption
from watchdog.config import load
from watchdog.errors import CollectError, ConfigError
from watchdog.progress import progress
from watchdog.settings.files import Shelf, handed, merged, usable
from watchdog.settings.requirements import Found
from watchdog.settings.secrecy import accept, mask
from watchdog.signals.settings import SettingsConfig
from watchdog.systemctl.environment import ask
from watchdog.terminal import DEFAULT_RULES, fail
from watchdog.units import plain, rfc3339
from watchdog.yamlfile import read_yaml

settings_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Files = Annotated[list[Path], typer.Argument(help="env files", show_default=False)]


@settings_app.command("check", epilog="Example: watchdog settings check etc/*.env --rules rules.yaml")
def check_command(
    files: Files,
    *,
    rules: Annotated[
        Path | None,
        typer.Option(
            "--rules", help="the rules file (default: rules.yaml, if there is one)", show_default=False
        ),
    ] = None,
    form: FormOption = Form.TABLE,
) -> None:
    """
    Say what is wrong in env files, by themselves and by the `settings` of the rules file that are about them.

    Exit status: 0 nothing, 1 something, 2 a file or the rules cannot be used.
    """
    configs = configs_of(rules or DEFAULT_RULES, wanted=rules is not None)
    shelf, found, unusable = Shelf(), [], []
    with progress("checking", len(files)) as steps:
        for number, path in enumerate(files):
            steps.reach(number, f"checking {path}")
            try:
                found.append(shelf.read(str(path)))
            except CollectError as exc:
                unusable.append(str(exc))
    flaws = [flaw for file in found for flaw in flaws_of(file)]
    flaws += Checker(configs, [file for file in found if file.text.refused is None], shelf).violations(
        utc_now().date()
    )
    if form is Form.JSON:
        typer.echo(json.dumps([asdict(flaw) for flaw in sorted(set(flaws))], indent=1))
    else:
        for flaw in sorted(set(flaws)):
            typer.echo(plain(flaw.render()))
    for what in unusable:
        typer.echo(plain(what), err=True)
    raise typer.Exit(USAGE if unusable else int(bool(flaws)))


def configs_of(rules: Path, *, wanted: bool) -> list[SettingsConfig]:
    """
    Return the `settings` of the services of the *rules* file, or end with what is wrong in it.

    Nothing else of it is needed, so that a commit can be checked where the receivers' secrets are not
    set. A file that nobody *wanted* and that is not ours is left alone.
    """
    try:
        document = read_yaml(rules.read_text(encoding="utf-8-sig"), os.environ)
    except (OSError, UnicodeDecodeError) as exc:
        if not wanted and isinstance(exc, FileNotFoundError):
            return []
        why = exc.strerror if isinstance(exc, OSError) else "not a UTF-8 text"
        raise fail(f"{rules} cannot be read: {why} (--rules PATH names another)", USAGE) from exc
    services = document.value.get("services") if isinstance(document.value, dict) else None
    if not isinstance(services, dict):
        if wanted:
            raise fail(f"{rules}: the file has no services (start with `services:`, see README)", USAGE)
        return []
    raw = [body.get("settings") or [] for body in services.values() if isinstance(body, dict)]
    try:
        return [
            SettingsConfig.model_validate(one)
            for settings in raw
            for one in (settings if isinstance(settings, list) else [settings])
        ]
    except ValidationError as exc:
        raise fail(_why(rules), USAGE) from exc


def _why(rules: Path) -> str:
    """Return what is wrong with the *rules* file, each with its place."""
    try:
        load(rules)
    except ConfigError as exc:
        return str(exc)
    return f"{rules} cannot be used (see watchdog check --rules {rules})"


@settings_app.command(
    "baseline", epilog="Example: watchdog settings baseline /etc/quantum/a.env --to accepted.env"
)
def baseline_command(
    files: Files,
    *,
    to: Annotated[Path, typer.Option("--to", help="where to write it; a directory gets one of each file")],
) -> None:
    """
    Accept what env files say now, for `baseline` of the settings signal to compare with.

    Secrets are kept as salted hashes. Several files are taken in order, the last that sets a key counts.
    """
    shelf = Shelf()
    pairs = [(to / path.name, [path]) for path in files] if to.is_dir() else [(to, files)]
    try:
        for target, sources in pairs:
            found = merged([usable(shelf.read(str(path))) for path in sources])
            write_whole(target, baseline(found, [str(path) for path in sources]))
            typer.echo(plain(f"{target}: {len(found)} settings accepted"))
    except CollectError as exc:
        raise fail(plain(str(exc)), USAGE) from exc
    except OSError as exc:
        raise fail(plain(f"{target} cannot be written: {exc.strerror}"), USAGE) from exc


def baseline(found: Found, sources: Sequence[str]) -> str:
    """Return an env file that accepts *found* without holding one of its secrets."""
    lines = [f"# accepted at {rfc3339(utc_now())} from {plain(' '.join(sources))}; secrets are salted hashes"]
    for key, told in found.items():
        kept = accept(key, told.value, secrets.token_hex(8))
        quoted = "".join(f"\\{sign}" if sign in '"\\`$' else sign for sign in kept)
        lines.append(f'{key}="{quoted}"')
    return "\n".join((*lines, ""))


def write_whole(path: Path, text: str) -> None:
    """Write *text* for its owner alone, whole or not at all."""
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    with open(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


@settings_app.command("show", epilog="Example: watchdog settings show --unit quantum-execution.service")
def show_command(
    files: Annotated[list[Path] | None, typer.Argument(help="env files", show_default=False)] = None,
    *,
    unit: Annotated[
        str | None, typer.Option("--unit", help="a service: all that systemd hands it", show_default=False)
    ] = None,
    user: Annotated[bool, typer.Option("--user", help="ask the user's own systemd")] = False,
    form: FormOption = Form.TABLE,
) -> None:
    """Show what a service gets of env files, secrets masked: the value that counts, and where it stands."""
    if bool(files) == (unit is not None):
        raise fail("name env files, or a service with --unit", USAGE)
    shelf = Shelf()
    try:
        if unit is not None:
            found = handed(ask(unit, user=user), shelf)
        else:
            found = merged([usable(shelf.read(str(path))) for path in files or ()])
    except CollectError as exc:
        raise fail(plain(str(exc)), USAGE) from exc
    if form is Form.JSON:
        shown = [
            {"key": k, "value": mask(k, t.value), "where": t.where, "over": t.over} for k, t in found.items()
        ]
        typer.echo(json.dumps(shown, indent=1))
        return
    for key, told in found.items():
        over = f", over {told.over}" if told.over else ""
        typer.echo(plain(f"{key}={mask(key, told.value)}  ({told.where}{over})"))
