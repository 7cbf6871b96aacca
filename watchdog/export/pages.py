"""The reference as pages of Markdown: signals, alerts, keys and receivers (`make reference`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from watchdog.filekeys import Key, as_yaml, file_keys
from watchdog.reference import (
    MeasurePage,
    ReceiverPage,
    RulePage,
    SignalPage,
    receiver_pages,
    rule_pages,
    signal_pages,
)

MADE = "<!-- Made by `make reference` from the code: a change here would be lost. -->"
SIGNALS_BEGIN = """\
# Signals
What can be watched of a service, what each signal measures, and under which name `/metrics` has it. A signal
under a service is one mapping or a list of them; `watchdog explain signal NAME` says the same in a terminal.
Counters need a window, `lost[1h]`; ratios and shares take 10 minutes if none is written. Every signal also
has `known`: 1 while it can be read, 0 while it cannot.
"""
ALERTS_BEGIN = """\
# Built-in alerts
What is wrong when each fires. A rule of the same name in rules.yaml takes its place, a service changes it
under its own `rules:` ([how](rules.md#rules)), and `builtin_rules: off` drops them all. `watchdog check
--rules-in-force` prints which holds for whom, `watchdog explain rule NAME` one of them.
"""
KEYS_BEGIN = """\
# Keys of rules.yaml
All but those of [signals](signals.md) and [receivers](receivers.md); a `*` stands for a name of yours. Every
single value may be `${VAR}` or `${VAR:-default}`. Durations are written `90s`, `5m`, `1h30m`, `2d`, sizes
`64MiB`, and a secret is a text or `{file: path}`. Editors that speak the YAML language server complete all of
it by [the schema](../../rules.schema.json). What belongs together is told in [rules.md](rules.md).
"""
RECEIVERS_BEGIN = """\
# Receivers
Who can be told. Under `receivers:` each has a name of yours and one of these kinds; `watchdog test-receiver
NAME` sends a test through one. A secret is a text or `{file: path}`, is never shown, and must not be empty.
"""
MORE: Mapping[str, str] = {
    "heartbeat": "heartbeats.md",
    "stream": "rules.md#stream",
    "consumes": "../explanation/consumer-groups.md",
    "executions": "executions.md",
    "trace": "traces.md",
    "log": "logs.md",
    "unit": "rules.md#unit",
    "health": "checks.md",
    "command": "checks.md#command-checks",
    "settings": "settings.md",
    "flag": "rules.md#flag",
    "redis": "redis.md",
    "discovery": "discovery.md",
    "receiver": "telling.md",
    "watchdog": "../how-to/watching-the-watcher.md",
}
"""Where more is said of each signal."""


def reference_pages() -> dict[str, str]:
    """Return the pages by the names of their files."""
    return {
        "signals.md": _page(_signals(signal_pages())),
        "alerts.md": _page(_alerts(rule_pages())),
        "keys.md": _page(_keys(file_keys())),
        "receivers.md": _page(_receivers(receiver_pages())),
    }


def _page(lines: Iterable[str]) -> str:
    title, _, rest = "\n".join(lines).partition("\n")
    return f"{title}\n\n{MADE}\n\n{rest}\n"


# ---- signals -----------------------------------------------------------------------------------


def _signals(pages: Sequence[SignalPage]) -> Iterator[str]:
    yield SIGNALS_BEGIN
    for page in pages:
        yield f"- [`{page.name}`](#{page.name}): {_text(page.meaning)}"
    for page in pages:
        yield from _signal(page)


def _signal(page: SignalPage) -> Iterator[str]:
    yield ""
    yield f"## `{page.name}`"
    yield ""
    yield _text(page.meaning) + (f" [More]({MORE[page.name]})." if page.name in MORE else "")
    if page.always:
        yield ""
        yield f"Always there, under the service `{page.always}`."
    if page.keys:
        yield ""
        yield from _key_table(page.keys)
    yield ""
    yield from _table(("measure", "kind", "meaning", "metric"), map(_measure_row, page.measures))
    if page.rules:
        yield ""
        yield f"Built-in rules: {', '.join(f'[`{rule}`](alerts.md#{rule.lower()})' for rule in page.rules)}."


def _measure_row(measure: MeasurePage) -> tuple[str, ...]:
    words = f": {', '.join(f'`{word}`' for word in measure.words)}" if measure.words else ""
    metric = f"`{measure.series}`" if measure.series else "–"
    return f"`{measure.name}`", measure.kind, _text(measure.meaning) + words, metric


# ---- alerts ------------------------------------------------------------------------------------


def _alerts(pages: Sequence[RulePage]) -> Iterator[str]:
    yield ALERTS_BEGIN
    yield from _table(("alert", "holds when", "for", "severity"), map(_alert_row, pages))
    for page in pages:
        yield ""
        yield f"## {page.name}"
        yield ""
        yield _text(page.meaning)
        yield ""
        yield f"It says: “{_text(page.summary)}”"
        yield ""
        asks = ", ".join(map(_asked, page.asks))
        yield f"It asks for {asks}. What to do: [runbook](../runbooks/{page.name}.md)."


def _alert_row(page: RulePage) -> tuple[str, ...]:
    when = "<br>".join(f"`{condition}`" for condition in page.when)
    return f"[`{page.name}`](../runbooks/{page.name}.md)", when, page.for_ or "–", page.severity


def _asked(measure: str) -> str:
    signal, _, _ = measure.partition(".")
    return f"[`{measure}`](signals.md#{signal})" if signal in MORE else f"`{measure}`"


# ---- keys and receivers ------------------------------------------------------------------------


def _keys(keys: Sequence[Key]) -> Iterator[str]:
    yield KEYS_BEGIN
    yield from _key_table(keys)
    for key in (each for top in keys for each in top.all() if each.below):
        if not _has_own_page(key):
            yield ""
            yield f"## `{key.path}`"
            yield ""
            yield f"{_text(key.meaning[:1].upper() + key.meaning[1:])}."
            yield ""
            yield from _key_table(key.below)


def _has_own_page(key: Key) -> bool:
    """Say whether *key* is a signal's or a receiver's, or below one."""
    signals = key.path.startswith("services.*.") and not key.path.startswith("services.*.rules")
    return signals or key.path.startswith("receivers.*.")


def _receivers(pages: Sequence[ReceiverPage]) -> Iterator[str]:
    yield RECEIVERS_BEGIN
    for page in pages:
        yield ""
        yield f"## `{page.name}`"
        yield ""
        yield _text(page.meaning)
        yield ""
        yield from _key_table(page.keys)


def _key_table(keys: Sequence[Key]) -> Iterator[str]:
    """Yield a table of keys, and one below it for each that has keys of its own and no page."""
    yield from _table(("key", "holds", "meaning", "example"), map(_key_row, keys))
    for key in keys:
        if key.below and key.path.count(".") > 2:
            yield ""
            yield f"Keys of `{key.name}`:"
            yield ""
            yield from _key_table(key.below)


def _key_row(key: Key) -> tuple[str, ...]:
    held = " or ".join(f"`{word}`" for word in key.words) or key.holds
    note = ", required" if key.required else f", default `{key.default}`" if key.default else ""
    return (
        f"`{key.name}`",
        held + note,
        _text(key.meaning),
        f"`{as_yaml(key.examples[0])}`" if key.examples else "",
    )


# ---- pieces ------------------------------------------------------------------------------------


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield f"| {' | '.join('---' for _ in titles)} |"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |".replace("|  |", "| |")


def _text(text: str) -> str:
    """Return *text* as Markdown shows it letter by letter."""
    return text.replace("<", "&lt;").replace("*", r"\*")
