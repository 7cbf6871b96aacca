"""The reference in the lines of a terminal: what a rule, a signal, a measure, a key or a receiver is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap

from rich.text import Text

from watchdog.filekeys import Key, as_yaml, example_of
from watchdog.reference import MeasurePage, ReceiverPage, RulePage, SignalPage
from watchdog.units import plain

LABEL = 13
"""How wide the words at the left are."""
LONGEST_NAME = 26
"""A longer name has a line of its own."""
MOST_PLACES = 20
"""So many places at which a rule holds are told one by one."""
SEVERITIES = {"critical": "bold red", "warning": "yellow"}


def rule_lines(page: RulePage, places: Sequence[str], origin: str, width: int) -> Iterator[Text]:
    """Yield what is known of a rule; *places* are those at which the file has it in force."""
    yield Text.assemble(
        (page.name, "bold"), "  ", (page.severity, SEVERITIES.get(page.severity, "")), f", {origin}"
    )
    yield from _paragraph(page.meaning, width)
    for i, condition in enumerate(page.when):
        yield from _said("and" if i else "holds when", condition, width)
    yield from _said("for", page.for_, width)
    yield from _said("says", page.summary, width)
    yield from _said("asks for", ", ".join(page.asks), width)
    for i, place in enumerate(places[:MOST_PLACES]):
        yield from _said("" if i else "in force", place, width)
    if len(places) > MOST_PLACES:
        yield from _said(
            "", f"and {len(places) - MOST_PLACES} more: `watchdog check --rules-in-force`", width
        )
    yield Text("")
    yield Text("To change it for one service, in rules.yaml:")
    for line in changing(page):
        yield Text(f"  {line}", style="cyan")
    yield Text(f'or `{page.name}: {{off: "the reason"}}`, and it holds for that service no longer.')
    if page.runbook:
        yield Text("")
        own = f"`watchdog runbook {page.name}`" if page.meaning else plain(page.runbook)
        yield Text(f"What to do when it fires: {own}")


def changing(page: RulePage) -> tuple[str, ...]:
    """Return the lines of rules.yaml with which a service says a rule in its own words."""
    waits = (f"        for: {page.for_}",) if page.for_ else ()
    conditions = (f"          - {condition}" for condition in page.when)
    return "services:", "  NAME:", "    rules:", f"      {page.name}:", "        when:", *conditions, *waits


def signal_lines(page: SignalPage, services: Sequence[str], width: int) -> Iterator[Text]:
    """Yield what is known of a signal; *services* have it."""
    yield Text.assemble((page.name, "bold"), f"  a signal{', always there' if page.always else ''}")
    yield from _paragraph(page.meaning, width)
    yield from _apart(_said("watched of", ", ".join(services), width))
    if page.keys:
        yield from _apart(_titled("Keys", [(_named(key), key.meaning) for key in page.keys], width))
    measures = [(f"{m.name}{'[10m]' if m.windowed else ''}", f"{m.kind}: {m.meaning}") for m in page.measures]
    yield from _titled("Measures", measures, width)
    yield Text("")
    yield from _said("rules", ", ".join(page.rules), width)
    if page.keys:
        yield from _said("more", f"`watchdog explain measure {page.name}.{page.measures[0].name}`", width)


def measure_lines(page: MeasurePage, rules: Sequence[str], width: int) -> Iterator[Text]:
    """Yield what is known of a measure; *rules* of the file in force ask for it."""
    window = "[10m]" if page.windowed else ""
    yield Text.assemble((f"{page.whole}{window}", "bold"), f"  {page.kind}")
    yield from _paragraph(page.meaning, width)
    yield from _said("is one of", ", ".join(page.words), width)
    yield from _said(
        "window", "what it was over the time in brackets, at most 31d" if page.windowed else "", width
    )
    yield from _said("metric", page.series, width)
    yield from _said("built in", ", ".join(page.rules), width)
    yield from _said("in force", ", ".join(rules), width)


def receiver_lines(page: ReceiverPage, names: Sequence[str], width: int) -> Iterator[Text]:
    """Yield what is known of a kind of receivers; *names* are those of the file."""
    yield Text.assemble((page.name, "bold"), "  a receiver")
    yield from _paragraph(page.meaning, width)
    yield from _apart(_said("in the file", ", ".join(names), width))
    yield from _titled("Keys", [(_named(key), key.meaning) for key in page.keys], width)
    yield Text("")
    yield Text(f"  receivers: {as_yaml({'NAME': {page.name: example_of(page.keys)}})}", style="cyan")


def key_lines(key: Key, width: int) -> Iterator[Text]:
    """Yield what is known of a key."""
    yield Text(key.path, style="bold")
    yield from _paragraph(key.meaning, width)
    yield from _said("holds", f"{key.holds}{', required' if key.required else ''}", width)
    yield from _said("is one of", ", ".join(key.words), width)
    yield from _said("default", key.default, width)
    for i, example in enumerate(key.examples):
        yield from _said("" if i else "example", f"{key.name}: {as_yaml(example)}", width)
    if key.below:
        yield Text("")
        yield from _titled("Keys below", [(_named(each), each.meaning) for each in key.below], width)


def list_lines(title: str, rows: Sequence[tuple[str, str]], width: int) -> Iterator[Text]:
    """Yield names, each with what it means."""
    yield Text(title)
    yield from _rows(rows, width)


# ---- pieces ------------------------------------------------------------------------------------


def _named(key: Key) -> str:
    return f"{key.name} (required)" if key.required else key.name


def _titled(title: str, rows: Sequence[tuple[str, str]], width: int) -> Iterator[Text]:
    yield Text(title, style="bold")
    yield from _rows(rows, width)


def _apart(lines: Iterator[Text]) -> Iterator[Text]:
    """Yield *lines* and an empty one after them, if there are any."""
    shown = list(lines)
    yield from [*shown, Text("")] if shown else []


def _rows(told: Iterable[tuple[str, str]], width: int) -> Iterator[Text]:
    """Yield rows of two columns, the second broken where it has to be."""
    rows = [(plain(name), plain(meaning)) for name, meaning in told]
    column = min(LONGEST_NAME, max((len(name) for name, _ in rows), default=0)) + 2
    for name, meaning in rows:
        lines = wrap(meaning, max(20, width - column - 2)) or [""]
        if len(name) + 2 > column:
            yield Text(f"  {name}", style="cyan")
        for i, line in enumerate(lines):
            shown_name = name if not i and len(name) + 2 <= column else ""
            yield Text.assemble((f"  {shown_name:<{column}}", "cyan"), line)


def _said(label: str, text: str, width: int) -> Iterator[Text]:
    """Yield a text with its label at the left; nothing if there is none."""
    for i, line in enumerate(wrap(plain(text), max(20, width - LABEL - 2), break_on_hyphens=False)):
        yield Text.assemble((f"  {label if not i else '':<{LABEL}}", "dim"), line)


def _paragraph(text: str, width: int) -> Iterator[Text]:
    yield from (Text(f"  {line}") for line in wrap(plain(text), max(20, width - 2)))
    if text:
        yield Text("")
