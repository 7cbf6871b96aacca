"""The guesses as a rules.yaml: every name quoted, every guess with its reason beside it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from watchdog.discovery import NAMELESS
from watchdog.firstlook.families import Family
from watchdog.firstlook.figures import count_of
from watchdog.firstlook.guesses import Guess, Guesses, Proposed
from watchdog.firstlook.seen import Seen
from watchdog.units import plain, rfc3339
from watchdog.yamlfile import FOR_EDITORS

WIDTH = 110
KINDS = ("heartbeat", "consumes", "stream", "executions", "flag", "log", "unit")
"""The signals of a service, in the order in which the file has them."""
YAML_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""Words that are no texts to some reader of YAML."""
_DURATION = re.compile(r"(?:\d+[smhdw])+")
FROM_ENVIRONMENT = '"${REDIS_URL}"'
RECEIVERS = """\
# Nobody is told until somebody is named: take the # away and fill in, then try `watchdog test-receiver ops`.
# receivers:
#   ops: {slack: {url: "${SLACK_WEBHOOK_URL}"}}       # or webhook, email, pagerduty, alertmanager, apprise
# routes:
#   - {to: [ops]}
"""


def draft(found: Guesses, seen: Seen, url: str | None, pattern: str | None, now: datetime) -> str:
    """
    Return *found* as the text of a rules file, as it was *seen* at *now*.

    *url* is that of Redis, or None where it holds a secret; *pattern* takes all streams that were seen.
    """
    lines = [*_head(seen, url, now), *_discover(found, pattern), *_services(found), *_left_out(found)]
    return "\n".join(lines) + "\n\n" + RECEIVERS


def quoted(text: str) -> str:
    """Return *text* as a double-quoted scalar that rules.yaml reads back as it is."""
    inside = "".join(sign if sign.isprintable() else _escaped(sign) for sign in text.replace("\\", "\\\\"))
    return '"' + inside.replace('"', '\\"').replace("${", "$${") + '"'


def _escaped(sign: str) -> str:
    return f"\\U{ord(sign):08x}"


def _head(seen: Seen, url: str | None, now: datetime) -> Iterator[str]:
    version = f"Redis {seen.version} at " if seen.version else ""
    yield FOR_EDITORS
    yield from comment(
        f"Written by `watchdog init` on {rfc3339(now)[:16].replace('T', ' ')} UTC from one look at {version}"
        f"{seen.place} ({count_of(seen.keys, 'key')}). Every line is a guess, and beside it stands what"
        " it rests on: correct what you know better. How long a stream may be silent is learnt, within about"
        " a week, where no `expect_every` says it."
        " The built-in rules hold for all of it; `watchdog check --rules-in-force` shows them."
        " Editors help with this file once `watchdog export schema --out .` has put the schema beside it."
    )
    if url is None:
        yield from comment(
            "The URL holds a secret, so it is not written down: set REDIS_URL, or write {file: /path/of/it}."
        )
    yield f"redis: {{url: {FROM_ENVIRONMENT if url is None else quoted(url)}}}"


def _discover(found: Guesses, pattern: str | None) -> Iterator[str]:
    yield ""
    if not found.families:
        if pattern is not None:
            yield from comment("What is new later is watched as well if you take the # away:")
            yield f"# discover: {{streams: {quoted(pattern)}}}"
            yield ""
        return
    yield "discover:"
    for family in found.families:
        groups = (
            f"groups {', '.join(map(quoted, family.groups[:3]))}" if family.groups else "no consumer group"
        )
        yield from comment(f"{len(family.members):,} streams are alike, each with {groups}", "  ")
        yield f"  - {{streams: {quoted(family.pattern)}}}"
    yield ""


def _services(found: Guesses) -> Iterator[str]:
    unread = [family for family in found.families if not family.groups]
    if not found.services and not unread:
        return
    yield "services:"
    for number, service in enumerate(found.services):
        yield from [""] * (number > 0)
        yield from _service(service)
    if unread:
        yield from _unread(unread)


def _unread(families: Sequence[Family]) -> Iterator[str]:
    yield f"  {NAMELESS}:"
    yield "    rules:"
    reason = (
        f"nobody read {', '.join(family.pattern for family in families)} in a group when this was written"
    )
    yield f"      StreamUnread: {{off: {quoted(reason)}}}"


def _service(service: Proposed) -> Iterator[str]:
    if service.why:
        yield from comment(service.why, "  ")
    yield f"  {scalar(service.name)}:"
    for note in service.notes:
        yield from comment(note, "    ")
    if service.needs:
        streams = list(dict.fromkeys(service.needs.values()))
        yield from comment(f"who writes {', '.join(streams)}, which it reads", "    ")
        yield f"    needs: [{', '.join(map(scalar, service.needs))}]"
    sure = [guess for guess in service.guesses if guess.sure]
    for kind in KINDS:
        yield from _signals(kind, [guess for guess in sure if guess.kind == kind])
    if service.rules:
        yield "    rules:"
        for alert, (rule, why) in service.rules.items():
            yield from comment(why, "      ")
            yield f"      {alert}: {flow(rule)}"
    for guess in service.guesses:
        if not guess.sure:
            yield from comment(guess.why, "    ")
            yield f"    # {guess.kind}: {flow(guess.keys)}"


def _signals(kind: str, guesses: Sequence[Guess]) -> Iterator[str]:
    if len(guesses) == 1:
        yield from comment(guesses[0].why, "    ")
        yield from _mapping(f"    {kind}: ", "      ", guesses[0].keys)
    elif guesses:
        yield f"    {kind}:"
        for guess in guesses:
            yield from comment(guess.why, "      ")
            yield from _mapping("      - ", "        ", guess.keys)


def _mapping(begin: str, indent: str, keys: Mapping[str, object]) -> Iterator[str]:
    """Yield *keys* on the line that *begin* begins if they fit, else a line each."""
    line = begin + flow(keys)
    if len(line) <= WIDTH:
        yield line
        return
    lines = [f"{indent}{name}: {scalar(found)}" for name, found in keys.items()]
    if begin.endswith("- "):
        lines[0] = begin + lines[0].lstrip()
    else:
        yield begin.rstrip()
    yield from lines


def _left_out(found: Guesses) -> Iterator[str]:
    if found.left_out:
        yield ""
        yield "# Not watched, or not known:"
    for remark in found.left_out:
        yield from comment(f"- {remark}")


def comment(text: str, indent: str = "") -> Iterator[str]:
    """Yield *text* as comment lines."""
    first = f"{indent}# "
    more = first + "  " * text.startswith("- ")
    yield from textwrap.wrap(
        plain(text), WIDTH, initial_indent=first, subsequent_indent=more, break_on_hyphens=False
    )


def flow(keys: Mapping[str, object]) -> str:
    """Return *keys* as a mapping on one line."""
    return "{" + ", ".join(f"{name}: {scalar(found)}" for name, found in keys.items()) + "}"


def scalar(found: object) -> str:
    """Return *found* as YAML: a mapping, a list, true or false, a plain word or a quoted text."""
    if isinstance(found, Mapping):
        return flow(found)
    if isinstance(found, list | tuple):
        return f"[{', '.join(map(scalar, found))}]"
    if isinstance(found, bool):
        return str(found).lower()
    text = str(found)
    is_plain = text.isascii() and text.replace("_", "a").isalnum() and text.lower() not in YAML_WORDS
    return text if (is_plain and text[0].isalpha()) or _DURATION.fullmatch(text) else quoted(text)
