"""What keys of rules.yaml hold: durations, secrets, addresses, plain words and numbers, other mappings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from watchdog.redisurl import parse_redis_url
from watchdog.units import Unit, parse_duration, parse_number

_read_from: ContextVar[set[str]] = ContextVar("files that secrets are read from")
Scalar = bool | int | float | str


def one_or_many(raw: object) -> object:
    """Return a single plain value as a list of one; anything else as it is."""
    return [raw] if isinstance(raw, Scalar) else raw


Names = Annotated[tuple[str, ...], BeforeValidator(one_or_many)]
"""One name or a list of names."""


class Model(BaseModel):
    """Base of every mapping in the file: no unknown keys, nothing changes after loading."""

    model_config = ConfigDict(
        defer_build=True, extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True
    )


def _duration(raw: object) -> object:
    return parse_duration(raw) if isinstance(raw, str) else raw


Duration = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))]
"""A duration above zero as rules.yaml spells it."""


def _wait(raw: object) -> object:
    return timedelta(0) if raw == 0 and not isinstance(raw, bool) else _duration(raw)


Wait = Annotated[timedelta, BeforeValidator(_wait), Field(ge=timedelta(0))]
"""A duration that may be zero."""


def _spelt(raw: object) -> object:
    if isinstance(raw, bool):
        return str(raw).lower()
    return str(raw) if isinstance(raw, int | float) else raw


Text = Annotated[str, BeforeValidator(_spelt)]
"""A text as a program or a header is given it: 5 is "5", true is "true"."""


@contextmanager
def secrets_noted() -> Iterator[set[str]]:
    """Give the paths of the files that secrets are read from meanwhile, in this thread."""
    paths: set[str] = set()
    token = _read_from.set(paths)
    try:
        yield paths
    finally:
        _read_from.reset(token)


def _read_secret(raw: object) -> object:
    """Take the text itself, or ``{file: path}``: the first line of a file."""
    if isinstance(raw, dict):
        if set(raw) != {"file"}:
            raise ValueError("a secret is a text or {file: path} (write {file: /run/secrets/name})")
        path = Path(str(raw["file"]))
        _read_from.get(set()).add(str(path))
        try:
            raw = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else "not a text"
            raise ValueError(f"the secret in {path} cannot be read: {why}") from exc
    if not isinstance(raw, str):
        raise ValueError("a secret is a text or {file: path}")
    return raw


def _need_url(raw: object) -> object:
    text = _read_secret(raw)
    assert isinstance(text, str)
    if not text.strip():
        raise ValueError("the URL is empty, so nobody would ever hear (give the receiver's http(s) URL)")
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # it says what is wrong with the host or the port, and so shows a part of it
        good = False
    if not good:
        raise ValueError("this is not an http(s) URL")
    return text


def _need_redis(raw: object) -> object:
    text = _read_secret(raw)
    assert isinstance(text, str)
    parse_redis_url(text)
    return text


def _need_secret(raw: object) -> object:
    text = _read_secret(raw)
    assert isinstance(text, str)
    if not text.strip():
        raise ValueError("this secret is empty (give the text itself or {file: path})")
    return text


Secret = Annotated[SecretStr, BeforeValidator(_need_secret)]
"""A text that is never shown and never empty; may be read from a file: ``{file: path}``."""
SecretText = Annotated[Secret, BeforeValidator(_spelt)]
"""Such a text that is never shown."""
RedisUrl = Annotated[SecretStr, BeforeValidator(_need_redis)]
"""A URL of Redis (`watchdog.redisurl`) that is never shown, since it may carry a password."""
SecretUrl = Annotated[SecretStr, BeforeValidator(_need_url)]
"""An http(s) URL that is never shown, since it may carry its own key."""


def _size(text: str) -> str:
    if parse_number(text, Unit.BYTES) < SMALLEST:
        raise ValueError(f'"{text}" is too small (give at least 1MiB)')
    return text


SMALLEST = 2**20
Size = Annotated[str, BeforeValidator(_spelt), AfterValidator(_size)]
"""A size as people write it: 64MiB."""


def parse_address(text: str) -> tuple[str, int]:
    """Read ``host:port``; raise ValueError with the cure for anything else."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f'"{text}" is not host:port (write 127.0.0.1:9821)')
    return host.strip("[]"), int(port)


Address = Annotated[
    tuple[str, int], BeforeValidator(lambda raw: parse_address(raw) if isinstance(raw, str) else raw)
]
"""``host:port`` to listen on."""


def means(wanted: Scalar, found: str) -> bool:
    """Say whether *found* is how somebody may write *wanted*: ``True`` for true, ``0.80`` for 0.8."""
    said = str(wanted)
    if said == found or said.lower() == found.lower() in ("true", "false"):
        return True
    try:
        return float(said) == float(found)
    except ValueError:
        return False
