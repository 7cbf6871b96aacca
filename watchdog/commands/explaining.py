"""`watchdog explain`: an alert as the running sidecar knows it, and the reference, which needs nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from watchdog import filekeys, handbook, reference
from watchdog.builtin import BUILTIN
from watchdog.commands import completing
from watchdog.commands.common import USAGE, TokenOption, UrlOption, adopt_all
from watchdog.conditions import suggest
from watchdog.config import Config, load
from watchdog.errors import ConfigError
from watchdog.later import later
from watchdog.notifiers import NOTIFIERS
from watchdog.printing import printed
from watchdog.rulebook import CATALOGUE
from watchdog.rules import Rule, Watch
from watchdog.signals import SIGNALS
from watchdog.terminal import DEFAULT_RULES, RulesOption, fail
from watchdog.units import plain, write_duration

if TYPE_CHECKING:
    from watchdog.commands import alerts
else:  # the reference asks no sidecar
    alerts = later("watchdog.commands.alerts")

Lines = Callable[[int], Iterator[Text]]


def _completed_subject(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return what may be explained: a subject of the reference, or an alert."""
    return completing.fitting(SUBJECTS, incomplete) + completing.alerts(ctx, incomplete)


def _completed_name(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return what the reference has of the subject before."""
    known: Mapping[str, Callable[[], Iterable[str]]] = {
        "rule": lambda: completing.alerts(ctx, incomplete),
        "signal": lambda: SIGNALS,
        "measure": reference.measure_names,
        "receiver": lambda: NOTIFIERS,
    }
    find = known.get(str(ctx.params.get("what")))
    return completing.fitting(find(), incomplete) if find else []


def explain_command(
    what: Annotated[
        str,
        typer.Argument(
            help="an alert's name or fingerprint; or rule, signal, measure, key or receiver",
            autocompletion=_completed_subject,
        ),
    ],
    name: Annotated[
        str | None,
        typer.Argument(
            help="which rule, signal, … (default: list all)",
            show_default=False,
            autocompletion=_completed_name,
        ),
    ] = None,
    *,
    rules: RulesOption = DEFAULT_RULES,
    service: Annotated[str | None, typer.Option("--service", help="whose alert, if several have it")] = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
) -> None:
    """
    Tell all that is known of an alert; or what a `rule`, `signal`, `measure`, `key` or `receiver` is.

    Of an alert the running sidecar is asked for its figures, evidence, cause and who was told. The rest is
    the reference: it asks nobody, and where there is a rules file it says what is in force for whom.
    """
    if not _is_ours(name or what):
        adopt_all()
    subject = SUBJECTS.get(what)
    if subject is None and name is None and (meant := _meant(what)):
        subject, name = SUBJECTS[meant], what
    if subject is None:
        if name is not None and what != "alert":
            raise fail(f'"{plain(what)}" is none of {", ".join(SUBJECTS)} ({suggest(what, SUBJECTS)})', USAGE)
        _explain_alert(name or what, rules, service, url, token_file)
        return
    typer.echo(printed(_listed(what) if name is None else subject(name, _in_force(rules))))


def _explain_alert(
    alert: str, rules: Path, service: str | None, url: str | None, token_file: Path | None
) -> None:
    """Print what the running sidecar knows of *alert*."""
    try:
        alerts.explain_alert(alert, rules, service, url, token_file)
    except typer.Exit:
        if alert in BUILTIN:
            typer.echo(f"(what it means, without a sidecar: `watchdog explain rule {alert}`)", err=True)
        raise


def _is_ours(name: str) -> bool:
    """Say whether *name* is something that no other package can bring: to look for those takes its time."""
    return name in BUILTIN or name in NOTIFIERS or name.partition(".")[0] in CATALOGUE


def _meant(name: str) -> str:
    """Return the kind of thing that *name* can only be, if it is no alert's."""
    if "." in name and reference.measure_pages(name):
        return "measure"
    if name in SIGNALS:
        return "signal"
    return "receiver" if name in NOTIFIERS else ""


def _in_force(rules: Path) -> Config | None:
    """Return what the rules file comes to, if there is one and it is right."""
    if not rules.exists():
        return None
    try:
        return load(rules)
    except ConfigError:
        typer.echo(f"{rules} has problems, so what is in force is not shown (`watchdog check`)", err=True)
        return None


# ---- one of each -------------------------------------------------------------------------------


def _rule(name: str, config: Config | None) -> Lines:
    rules = {rule.alert: rule for rule in config.rules} if config else {}
    found = _like(name, [*rules, *reference.brought_along()], "rule")
    own = found in rules and not rules[found].builtin
    page = reference.page_of(rules[found]) if own else reference.rule_page(found)
    watches = [watch for watch in config.binding.watches if watch.rule.alert == found] if config else []
    places = [_place(watch, rules[found]) for watch in watches] or (["nowhere here"] if config else [])
    origin = "of the file" if own else "built in"
    return lambda width: handbook.rule_lines(page, places, origin, width)


def _place(watch: Watch, usual: Rule) -> str:
    """Return where a rule holds, and how if not as *usual*."""
    rule = watch.rule
    labels = " ".join(f'{name}="{text}"' for name, text in watch.lead.labels.items())
    changed = [rule.spoken] if rule.when != usual.when else []
    changed += [f"for {write_duration(rule.for_)}"] if rule.for_ != usual.for_ else []
    changed += [rule.severity] if rule.severity != usual.severity else []
    return f"{watch.service} {labels}".rstrip() + (f": {', '.join(changed)}" if changed else "")


def _signal(name: str, config: Config | None) -> Lines:
    page = reference.signal_page(_like(name, SIGNALS, "signal"))
    services = (
        {spec.key.service: None for spec in config.signals if spec.key.kind == page.name} if config else {}
    )
    return lambda width: handbook.signal_lines(page, tuple(services), width)


def _measure(name: str, config: Config | None) -> Lines:
    pages = reference.measure_pages(name)
    if not pages:
        raise _unknown(name, reference.measure_names(), "measure")
    if len(pages) > 1:
        rows = [(page.whole, f"{page.kind}: {page.meaning}") for page in pages]
        return lambda width: handbook.list_lines(f"{len(pages)} signals measure {name}:", rows, width)
    asked = (pages[0].signal, name.rpartition(".")[2] if "*" not in pages[0].name else "")
    rules = dict.fromkeys(
        watch.rule.alert
        for watch in (config.binding.watches if config else ())
        for condition in watch.rule.conditions
        if (condition.term.signal, condition.term.measure) == asked
    )
    return lambda width: handbook.measure_lines(pages[0], tuple(rules), width)


def _receiver(name: str, config: Config | None) -> Lines:
    page = reference.receiver_page(_like(name, NOTIFIERS, "receiver"))
    kind = NOTIFIERS[page.name]
    names = [each for each, one in config.receivers.items() if isinstance(one, kind)] if config else []
    return lambda width: handbook.receiver_lines(page, names, width)


def _key(name: str, config: Config | None) -> Lines:  # noqa: ARG001  keys are the same for all
    found = filekeys.find_keys(name)
    if not found:
        raise _unknown(name, [key.path for key in filekeys.all_keys()], "key")
    if len(found) == 1:
        return lambda width: handbook.key_lines(found[0], width)
    rows = [(key.path, key.meaning) for key in found]
    return lambda width: handbook.list_lines(f"{len(found)} keys are called {name}:", rows, width)


SUBJECTS: Mapping[str, Callable[[str, Config | None], Lines]] = {
    "rule": _rule,
    "signal": _signal,
    "measure": _measure,
    "key": _key,
    "receiver": _receiver,
}
"""What the reference tells of."""


def _listed(subject: str) -> Lines:
    """Return all there is of a *subject*, each in a line."""
    found: Mapping[str, Callable[[], list[tuple[str, str]]]] = {
        "rule": lambda: [(page.name, f"{page.severity}: {page.meaning}") for page in reference.rule_pages()],
        "signal": lambda: [(page.name, page.meaning) for page in reference.signal_pages()],
        "measure": lambda: [
            (m.whole, f"{m.kind}: {m.meaning}") for page in reference.signal_pages() for m in page.measures
        ],
        "key": lambda: [(key.path, key.meaning) for key in filekeys.all_keys()],
        "receiver": lambda: [(page.name, page.meaning) for page in reference.receiver_pages()],
    }
    rows = found[subject]()
    return lambda width: handbook.list_lines(f"{len(rows)} {subject}s:", rows, width)


def _like(name: str, known: Iterable[str], subject: str) -> str:
    """Return which of *known* is meant by *name*, whatever its case; or end with the cure."""
    names = {each.lower(): each for each in known}
    found = names.get(name.lower())
    if found is None:
        raise _unknown(name, names.values(), subject)
    return found


def _unknown(name: str, known: Iterable[str], subject: str) -> typer.Exit:
    cure = suggest(name, known)
    hint = cure if cure.startswith("did you mean") else f"`watchdog explain {subject}` lists them"
    return fail(f'there is no {subject} "{plain(name)}" ({hint})', USAGE)
