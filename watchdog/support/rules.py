"""The rules file as others may see it: its lines stand where they stood, secrets and comments are gone."""

from __future__ import annotations

import re

from watchdog.logs.redact import MASK, redact
from watchdog.support.known import GUARDED, names_secret
from watchdog.yamlfile import Path, Scalar, scalars

OPEN = re.compile(r"[\d.]+(?:ms|[smhdw]|[kKMG]i?B)?|true|false|null|~", re.ASCII)
_DEFAULT = re.compile(r"(\$\{[A-Za-z_]\w*:-)[^}]*")
_COMMENT = re.compile(r"(?:(?<=\s)|(?<=^))#[^\n]*", re.MULTILINE)
_URL = re.compile(r"([A-Za-z][\w+.-]*://)(?:[^/@\s]*@)?([^/\s?#]*)(\S*)")


def masked_rules(text: str) -> str | None:
    """Return the rules file *text* without what is secret in it, or None if it is no YAML."""
    found = scalars(text)
    if found is None:
        return None
    pieces: list[str] = []
    at = 0
    for scalar in sorted(found, key=lambda one: one.start):
        if scalar.start < at:  # what is named twice by an alias stands once
            continue
        pieces += [_COMMENT.sub("#", text[at : scalar.start]), _shown(scalar, text)]
        at = scalar.end
    return "".join([*pieces, _COMMENT.sub("#", text[at:])])


def _shown(scalar: Scalar, text: str) -> str:
    written = text[scalar.start : scalar.end]
    if scalar.is_key:
        return written if redact(scalar.value) == scalar.value else MASK
    if scalar.block:  # its indentation is part of it, and a comment may stand behind its sign
        return f'"{MASK}"' + "\n" * written.count("\n")
    if OPEN.fullmatch(scalar.value) and not _is_guarded_word(scalar):
        return written
    if (shown := _value(scalar.path, scalar.value)) == scalar.value:
        return written
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"' + "\n" * written.count("\n")


def _is_guarded_word(scalar: Scalar) -> bool:
    """Say whether even a number is a secret here: a header may be one, and so may a password."""
    return bool({"headers", "env", "api"} & set(scalar.path)) or names_secret(
        _name(scalar.path), scalar.value
    )


def _value(path: Path, value: str) -> str:
    """Return what may be shown of the *value* at *path*: names of variables and files, not what they hold."""
    name = _name(path)
    value = _DEFAULT.sub(rf"\1{MASK}", value)
    only_variables = "${" in value and not re.sub(r"\$\{[^}]*\}", "", value)
    if only_variables or (name == "file" and path[-2:-1] not in (("headers",), ("env",))):
        return value
    if GUARDED & set(path) or names_secret(name, value) or (path[-2:-1] == ("run",) and path[-1] != 0):
        return MASK
    return redact(_URL.sub(_shown_url, value))


def _shown_url(match: re.Match[str]) -> str:
    scheme, host, rest = match.groups()
    redis = scheme.startswith(("redis", "valkey"))
    return f"{scheme}{host}{rest.partition('?')[0] if redis else MASK if rest.strip('/') else rest}"


def _name(path: Path) -> str:
    return next((part for part in reversed(path) if isinstance(part, str)), "")
