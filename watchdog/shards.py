"""
Which of several sidecars watches what: one file for all, and each takes its part of the services.

Shards are numbered, so the hash is Lamping and Veach's jump hash: it needs no table, spreads as evenly as
chance, and from n to n + 1 shards only one service in n + 1 moves, each to the new one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b

MOST = 1_000
"""More shards than anybody has; beyond, somebody has mixed up two numbers."""
LABEL = "shard"
"""Tells the sidecar's own signals and alerts from those of the other shards."""
_WRITTEN = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", re.ASCII)
_MULTIPLIER, _WORD = 2862933555777941757, (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Shard:
    """The shard *number* of so many, counted from 1."""

    number: int
    of: int

    def owner(self, name: str) -> int:
        """Return the number of the shard that has what is called *name*."""
        return owner(name, self.of)

    def has(self, name: str) -> bool:
        """Say whether what is called *name* is this shard's."""
        return self.owner(name) == self.number

    @property
    def next(self) -> Shard:
        """Return the one after it; after the last comes the first."""
        return Shard(self.number % self.of + 1, self.of)

    def named(self, name: str) -> str:
        """Return the name this shard's own *name* has where all shards keep theirs."""
        return f"{name}:{self.number}"

    def __str__(self) -> str:
        return f"shard {self.number} of {self.of}"


def parse_shard(written: str) -> Shard:
    """Read ``3/10``; raise ValueError with the cure for what is none."""
    found = _WRITTEN.fullmatch(written)
    if found is None:
        raise ValueError(f'"{written}" is no shard (write which one of how many: 3/10)')
    number, of = int(found[1]), int(found[2])
    if not 1 <= of <= MOST:
        raise ValueError(f'"{written}": there are 1 to {MOST} shards (write which one of how many: 3/10)')
    if not 1 <= number <= of:
        raise ValueError(f'"{written}": there is no shard {number} of {of} (they are 1/{of} to {of}/{of})')
    return Shard(number, of)


def owner(name: str, of: int) -> int:
    """Return which of *of* shards has what is called *name*, the same on every machine and for ever."""
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return jump(int.from_bytes(digest, "big"), of) + 1


def jump(key: int, buckets: int) -> int:
    """Return the bucket, counted from 0, of a 64-bit *key* (arXiv:1406.2294)."""
    bucket, ahead = -1, 0
    while ahead < buckets:
        bucket = ahead
        key = (key * _MULTIPLIER + 1) & _WORD
        ahead = int((bucket + 1) * ((1 << 31) / ((key >> 33) + 1)))
    return bucket
