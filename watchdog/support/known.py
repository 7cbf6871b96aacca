"""The secrets that are known here, in every form in which one may turn up in a text."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from pydantic import BaseModel, SecretStr

from watchdog.logs.redact import MASK
from watchdog.settings.secrecy import is_secret

GUARDED = frozenset({"headers", "env", "api", "receivers", "ping", "traces"})
"""What in a rules file stands below these is nobody's business."""
SHORTEST = 4
"""A shorter one cannot be looked for: it would be found everywhere."""
SHORTEST_ENCODED = 8
"""Of a shorter one too little is left in BASE64 or hexadecimal digits to tell it from anything else."""
LONGEST_FILE = 64 * 1024
_PLAIN = re.compile(r"[-+]?[\d.,]{1,7}[a-zA-Z%]{0,3}|true|false|yes|no|on|off|null|none", re.IGNORECASE)
_KEY = re.compile(r".{16,}|(?=.*\d).{8,}")
"""What in the path of a URL is hardly a word."""
_OCTET = re.compile(r"%[0-9A-F]{2}")


def secrets_in(thing: Any) -> Iterator[str]:
    """Yield every secret that a configuration holds, however deep."""
    match thing:
        case SecretStr():
            yield thing.get_secret_value()
        case BaseModel():
            yield from chain.from_iterable(secrets_in(found) for _, found in thing)
        case Mapping():
            yield from chain.from_iterable(map(secrets_in, thing.values()))
        case list() | tuple() | set() | frozenset():
            yield from chain.from_iterable(map(secrets_in, thing))
        case _ if is_dataclass(thing) and hasattr(thing, "__slots__"):
            yield from chain.from_iterable(secrets_in(getattr(thing, name, None)) for name in thing.__slots__)


def secrets_named(value: Any, name: str = "", *, guarded: bool = False) -> Iterator[str]:
    """
    Yield what looks like a secret in the values of a rules file, by its name: the file may be broken.

    Where they are *guarded*, an address is one by itself.
    """
    match value:
        case {"file": str(path)} if len(value) == 1:
            yield from secrets_of_file(Path(path))
        case Mapping():
            for key, found in value.items():
                called = "secret" if name in ("headers", "env", "api") else str(key)
                yield from secrets_named(found, called, guarded=guarded or key in GUARDED)
        case list():
            yield from chain.from_iterable(secrets_named(found, name, guarded=guarded) for found in value)
        case str() if "://" in value:
            if guarded or "@" in value or "?" in value:
                yield value
        case str() if names_secret(name, value):
            yield value


def names_secret(name: str, value: str) -> bool:
    """Say whether *value* is a secret in a rules file, where `key` is a key of Redis."""
    return is_secret("" if name == "key" else name, value)


def secrets_of_file(path: Path) -> Iterator[str]:
    """Yield the content of a secret's file, and each of its lines: of tokens it may hold several."""
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST_FILE).decode("utf-8", "replace")
    except OSError:
        return
    yield text.strip()
    yield from (line.strip() for line in text.splitlines())


def secrets_of_environment(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the values of variables that are secrets by their names or looks."""
    yield from (value for name, value in environment.items() if is_secret(name, value))


@dataclass(frozen=True)
class Known:
    """Secrets, and how to find and hide them."""

    secrets: frozenset[str]

    @classmethod
    def of(cls, secrets: Iterable[str]) -> Known:
        """Know *secrets* and what they are made of: of a URL its password, its key, its path."""
        whole = {part.strip() for secret in secrets for part in _parts(secret)}
        return cls(frozenset(one for one in whole if len(one) >= SHORTEST and not _PLAIN.fullmatch(one)))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        forms = sorted({form for secret in self.secrets for form in _forms(secret)}, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, forms)) or r"(?!)")

    def hide(self, text: str) -> str:
        """Return *text* with every known secret masked."""
        return self._pattern.sub(MASK, text)

    def found_in(self, text: str) -> bool:
        """Say whether any of them stands in *text*."""
        return self._pattern.search(text) is not None


def _parts(secret: str) -> Iterator[str]:
    """Yield *secret* itself, and if it is a URL or ``name: token`` what in it is secret by itself."""
    _, colon, token = secret.partition(": ")
    if colon and "\n" not in secret:
        yield token
    scheme, _, rest = secret.partition("://")
    if not rest:
        yield secret
        return
    netloc, slash, path = rest.partition("/")
    credentials, _, _ = netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    yield from (password, unquote(password), credentials)
    if user not in ("", "default"):
        yield from (user, unquote(user))
    redis = scheme.startswith(("redis", "valkey", "unix"))
    try:
        query = urlsplit(secret).query
    except ValueError:
        query = path.partition("?")[2]
    yield from (value for key, value in parse_qsl(query) if not redis or is_secret(key, value))
    if credentials or query or not redis:
        yield secret
    if slash and not redis and len(path) >= SHORTEST_ENCODED:
        steps = path.partition("?")[0]
        yield from (path, steps, steps.partition("/")[2])
        yield from (step for step in steps.split("/") if _KEY.fullmatch(step))


def _forms(secret: str) -> Iterator[str]:
    """Yield what *secret* looks like where it is written down: as it is, escaped, or encoded."""
    said = json.dumps(secret)[1:-1]
    plain = [
        secret,
        said,
        json.dumps(said)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        html.escape(secret),
        html.escape(secret, quote=False),
    ]
    yield from plain
    yield from (_OCTET.sub(lambda octet: octet[0].lower(), form) for form in plain)
    data = secret.encode("utf-8", "surrogatepass")
    if len(data) >= SHORTEST_ENCODED:
        yield from (data.hex(), data.hex().upper())
        yield from _in_base64(data)


def _in_base64(data: bytes) -> Iterator[str]:
    """Yield the signs that *data* has in BASE64 wherever it begins: its first and last may be shared."""
    for before in range(3):
        text = base64.b64encode(bytes(before) + data).decode().rstrip("=")
        first = (0, 2, 3)[before]
        last = len(text) - bool((before + len(data)) % 3)
        yield text[first:last]
        yield text[first:last].replace("+", "-").replace("/", "_")
