"""Env files, read as plainly as the pipeline's services read them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TRUE = frozenset({"true", "1", "yes", "on"})
FALSE = frozenset({"false", "0", "no", "off"})


class SettingError(ValueError):
    """A setting has a value that its service cannot use."""


def read_env(path: Path | None) -> dict[str, str]:
    """
    Return the `KEY=VALUE` lines of *path*; of a key that comes twice, the last.

    Nothing is unquoted and no comment is cut off behind a value.
    """
    if path is None:
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if line.strip() and not line.lstrip().startswith("#"))
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}


@dataclass(frozen=True)
class Env:
    """The values of an env file, each asked for as what it means."""

    values: Mapping[str, str]

    def flag(self, key: str, default: bool) -> bool:
        """Return the truth value of *key*."""
        text = self.values.get(key, str(default)).lower()
        if text not in TRUE | FALSE:
            raise SettingError(f"{key}={text}: neither true nor false")
        return text in TRUE

    def number(self, key: str, default: float) -> float:
        """Return the positive number of *key*."""
        text = self.values.get(key, str(default))
        try:
            value = float(text)
        except ValueError:
            raise SettingError(f"{key}={text}: not a number") from None
        if not 0 < value < float("inf"):
            raise SettingError(f"{key}={text}: not a positive number")
        return value

    def text(self, key: str, default: str) -> str:
        """Return the text of *key* as it stands there."""
        return self.values.get(key, default)

    def word(self, key: str, default: str, allowed: frozenset[str]) -> str:
        """Return the word of *key*, which is one of *allowed*."""
        text = self.values.get(key, default)
        if text not in allowed:
            raise SettingError(f"{key}={text}: not one of {', '.join(sorted(allowed))}")
        return text
