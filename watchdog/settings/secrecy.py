"""Which settings are secrets, how they are shown, and how one is accepted without being kept."""

from __future__ import annotations

import hashlib
import hmac
import re

from watchdog.logs.redact import redact
from watchdog.units import plain

MASK = "***"
LONGEST_SHOWN = 120
HASHED = "scrypt:"
"""How a value of a baseline begins that is a salted hash."""

_SECRET = re.compile(
    r"SECRET|TOKEN|PASS|PWD|KEY|WEBHOOK|CREDENTIAL|COOKIE|DSN|SIGNATURE|AUTH(?!OR)", re.IGNORECASE
)
_OPEN = re.compile(r"true|false|yes|no|on|off|none|null", re.IGNORECASE)
_RANDOM = re.compile(r"(?=.*\d)(?=.*[a-z])(?=.*[A-Z])[A-Za-z0-9+/_=-]{24,}|[0-9a-f]{32,}|[0-9A-F]{32,}")


def is_secret(key: str, value: str) -> bool:
    """Say whether *value* is nobody's business: by the name of its *key*, or because it looks random."""
    if not value or _OPEN.fullmatch(value):
        return False
    return bool(_SECRET.search(key.rpartition(":")[2]) or _RANDOM.fullmatch(value))


def mask(key: str, value: str) -> str:
    """Return *value* as it may be shown: nothing of a secret, no password of a URL, no control signs."""
    return MASK if is_secret(key, value) else plain(redact(value))[:LONGEST_SHOWN]


def accept(key: str, value: str, salt: str) -> str:
    """Return what a baseline keeps of *value*: itself, or of a secret its hash with *salt*."""
    if not is_secret(key, value) and redact(value) == value:
        return value
    digest = hashlib.scrypt(value.encode(), salt=salt.encode(), n=1 << 12, r=8, p=1, dklen=24)
    return f"{HASHED}{salt}:{digest.hex()}"


def is_accepted(accepted: str, value: str) -> bool:
    """Say whether *value* is what was *accepted*, itself or as a hash."""
    if not accepted.startswith(HASHED):
        return accepted == value
    _, _, rest = accepted.partition(":")
    salt = rest.partition(":")[0]
    digest = hashlib.scrypt(value.encode(), salt=salt.encode(), n=1 << 12, r=8, p=1, dklen=24)
    return hmac.compare_digest(f"{HASHED}{salt}:{digest.hex()}", accepted)
