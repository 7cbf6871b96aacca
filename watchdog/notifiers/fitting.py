"""Whether a class that another package brings is a notifier: in a sentence what it lacks."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from watchdog.kinds import NAME
from watchdog.notifiers.base import HttpNotifier, Notifier


def why_no_notifier(name: str, found: object) -> str:
    """Return in half a sentence why *found* is no notifier that can be called *name*, or nothing."""
    return next(_faults(name, found), "")


def _faults(name: str, found: object) -> Iterator[str]:
    if not NAME.fullmatch(name):
        yield f'"{name}" is no name for a receiver: small letters, digits and _'
    if not (isinstance(found, type) and issubclass(found, Notifier)) or found in (Notifier, HttpNotifier):
        yield "it is no class made from Notifier or HttpNotifier"
        return
    if found.send is Notifier.send:
        yield "it needs send()"
    elif not inspect.iscoroutinefunction(found.send):
        yield "its send() is no `async def`: whatever waits would hold up everybody else's messages"
    if not (found.__doc__ or "").strip():
        yield "it has no docstring, which is what a user is told of it"
    if found.model_config.get("extra") != "forbid":
        yield "it takes keys that it does not know, so that nobody is told of a misspelt one"
    if not found.model_config.get("hide_input_in_errors"):
        yield "its errors would show what is written in the file, secrets as well"
    for key, field in found.model_fields.items():
        if not field.description:
            yield f"its key {key} has no description"
