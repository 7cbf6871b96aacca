"""What a process said of its own settings when it started: the newest such line of its log."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict, Field, field_validator

from watchdog.errors import CollectError
from watchdog.settings.requirements import Told

BLOCK = 1 << 20
REMEMBERED = 64
FARTHEST = 64 * BLOCK
"""So far back from its end a log is searched; a line before that is not found."""


class Banner(BaseModel):
    """A line in which a process says what it really uses."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)

    log: str = Field(
        min_length=1, description="the log file it stands in", examples=["/var/log/quantum/execution.log"]
    )
    pattern: str = Field(
        description=r"what the line looks like, each setting a group: `mode=(?P<APPLY_MODE>\w+)`",
        examples=[r"mode=(?P<APPLY_MODE>\w+)"],
    )

    @field_validator("pattern")
    @classmethod
    def _names_settings(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern.encode()).groupindex
        except re.error as exc:
            raise ValueError(f"this is no regular expression: {exc}") from None
        if not groups:
            raise ValueError(r"it names no setting (put it into a group: (?P<APPLY_MODE>\w+))")
        return pattern


@dataclass(frozen=True, slots=True)
class _Place:
    """Up to where a log was searched, which file that was, and what stood just before."""

    device: int
    inode: int
    offset: int
    before: bytes

    def still_holds(self, log: BinaryIO, status: os.stat_result) -> bool:
        """Say whether *log* only grew: it is the same file, and was not emptied and filled anew."""
        if (self.device, self.inode) != (status.st_dev, status.st_ino):
            return False
        return _before(log, self.offset) == self.before


class BannerReader:
    """Finds the newest banner of a log, and from then on reads only what is appended."""

    def __init__(self, banner: Banner) -> None:
        self.banner = banner
        self._regex = re.compile(banner.pattern.encode(), re.MULTILINE)
        self._place: _Place | None = None
        self._said: dict[str, str] = {}

    @property
    def memory(self) -> Mapping[str, str]:
        """Return what was said last, to be given back to the next reader of the same log."""
        return self._said

    def remember(self, said: Mapping[str, str]) -> None:
        """Take back what an earlier reader knew; the log may have been rotated since."""
        self._said = {key: str(said[key]) for key in self._regex.groupindex if key in said}

    def look(self) -> dict[str, Told] | None:
        """Return what the process said last, None if no line says anything; CollectError without a log."""
        path = self.banner.log
        try:
            with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as log:
                status = os.fstat(log.fileno())
                place = self._place
                start = place.offset if place is not None and place.still_holds(log, status) else 0
                found, end = newest(log, self._regex, start, status.st_size)
                self._place = _Place(status.st_dev, status.st_ino, end, _before(log, end))
        except OSError as exc:
            raise CollectError(f"{path} cannot be read: {exc.strerror}") from exc
        self._said |= found
        return {key: Told(value, path) for key, value in self._said.items()} or None


def _before(log: BinaryIO, offset: int) -> bytes:
    log.seek(max(0, offset - REMEMBERED))
    return log.read(min(offset, REMEMBERED))


def newest(log: BinaryIO, regex: re.Pattern[bytes], start: int, size: int) -> tuple[dict[str, str], int]:
    """
    Return the last value of each group of *regex* between *start* and *size*, and where the last line begins.

    It is read from its end, and no farther than until all groups are found; a line that has no end yet
    is left for the next time.
    """
    found: dict[str, str] = {}
    high, last_line = size, None
    while high > max(start, size - FARTHEST) and len(found) < len(regex.groupindex):
        low = max(start, high - BLOCK)
        log.seek(low)
        block = log.read(high - low)
        if last_line is None:
            block = block[: block.rfind(b"\n") + 1]
            last_line = low + len(block)
        cut = block.find(b"\n", 0, len(block) - 1) + 1 if low > start and block else 0
        here: dict[str, str] = {}
        for match in regex.finditer(block, cut):
            here |= {
                key: text.decode("utf-8", "replace")
                for key, text in match.groupdict().items()
                if text is not None
            }
        found = here | found
        high = low + cut
    return found, start if last_line is None else last_line
