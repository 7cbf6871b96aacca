"""The API's bearer tokens: how they are written down, made for this host, and told apart."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from watchdog.errors import WatchdogError

LOCAL = "local"
"""Who has the token that was made for the commands on this host."""
SHORTEST_TOKEN = 16
NAMELESS = "api"
_BEARER = re.compile(rb"bearer +(\S.*?) *", re.IGNORECASE)
_BASIC = re.compile(rb"basic +([A-Za-z0-9+/=]+) *", re.IGNORECASE)


def token_file(state: str) -> Path:
    """Return where the token for the commands on this host is kept, beside the file *state*."""
    return Path(f"{state}.token")


def read_tokens(text: str) -> dict[str, str]:
    """Return the tokens in *text* with who has each: a line each, ``name: token`` or just the token."""
    found: dict[str, str] = {}
    for line in map(str.strip, text.splitlines()):
        name, colon, token = line.partition(":")
        who, token = (name.strip(), token.strip()) if colon else (NAMELESS, line)
        if token and not line.startswith("#"):
            found[token] = who
    return found


def local_tokens(state: str) -> dict[str, str]:
    """
    Return the token for the commands on this host, made if there is none yet.

    Only the owner may read the file. Raises WatchdogError if it can be neither read nor written.
    """
    path = token_file(state)
    try:
        known = path.read_text(encoding="ascii").strip() if path.exists() else ""
        if len(known) >= SHORTEST_TOKEN:
            return {known: LOCAL}
        token = secrets.token_hex(32)
        _write(path, token)
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "not a token"
        cure = "remove it, or set api.tokens in rules.yaml"
        raise WatchdogError(f"the token file {path} cannot be used: {why} ({cure})") from exc
    return {token: LOCAL}


def _write(path: Path, token: str) -> None:
    """Put *token* there whole or not at all: half a token would be somebody's for good."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
        file.write(f"{token}\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def whose(authorization: Sequence[bytes], tokens: Mapping[str, str]) -> str | None:
    """
    Return who has the token in the values of a request's ``Authorization`` headers; None if nobody.

    Every token is compared in full, so that the time it takes does not tell how much was right.
    """
    match = _BEARER.fullmatch(authorization[0]) if len(authorization) == 1 else None
    return _holder(match[1] if match else b"", tokens)


def whose_password(authorization: Sequence[bytes], tokens: Mapping[str, str]) -> str | None:
    """Return who has the token that was given as a password (``Basic``, as browsers do); None if nobody."""
    match = _BASIC.fullmatch(authorization[0]) if len(authorization) == 1 else None
    try:
        given = base64.b64decode(match[1], validate=True) if match else b""
    except binascii.Error:
        return None
    return _holder(given.partition(b":")[2], tokens)


def _holder(given: bytes, tokens: Mapping[str, str]) -> str | None:
    found = None
    for token, name in tokens.items():
        if hmac.compare_digest(given, token.encode()):
            found = name
    return found
