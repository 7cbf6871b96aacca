"""How a log file's signs are written; what is not UTF-8 becomes it before anything is counted."""

import os
from dataclasses import dataclass
from typing import Literal

_SAMPLE = 512
_FEWEST = 8  # bytes without a mark that tell UTF-16 from text with a stray NUL


@dataclass(frozen=True, slots=True)
class Encoding:
    """
    Signs of *unit* bytes, as Python's *codec* names them; offsets are bytes of the file.

    Lines are found before anything is decoded, so a line's end counts only where a sign begins:
    the letter U+0A0A is no line end in UTF-16.
    """

    codec: Literal["utf-8", "utf-16-le", "utf-16-be"]
    unit: int

    def whole(self, size: int) -> int:
        """Return *size* without half a sign."""
        return size - size % self.unit

    def first_end(self, data: bytes, start: int = 0) -> int:
        """Return the offset behind the first line end in *data* from *start* on, or 0 if there is none."""
        newline, at = "\n".encode(self.codec), start - 1
        while (at := data.find(newline, at + 1)) % self.unit and at >= 0:
            pass
        return at + self.unit if at >= 0 else 0

    def last_end(self, data: bytes) -> int:
        """Return the offset behind the last line end in *data*, or 0 if there is none."""
        newline, at = "\n".encode(self.codec), len(data) + 1
        while (at := data.rfind(newline, 0, max(0, at + self.unit - 1))) % self.unit and at >= 0:
            pass
        return at + self.unit if at >= 0 else 0

    def text(self, data: bytes) -> bytes:
        """Return *data* as UTF-8, without its byte order mark."""
        if self.unit == 1:
            return data
        return data.decode(self.codec, "replace").removeprefix("\ufeff").encode("utf-8", "replace")


UTF_8 = Encoding("utf-8", 1)
UTF_16_LE = Encoding("utf-16-le", 2)
UTF_16_BE = Encoding("utf-16-be", 2)


def encoding_of(descriptor: int, offset: int = 0) -> Encoding | None:
    """
    Tell the encoding of an open file from its first bytes, those behind *offset* where a hole is before.

    None as long as there are too few of them to tell.
    """
    sample = os.pread(descriptor, _SAMPLE, 0)
    if sample.startswith(b"\xff\xfe"):
        return UTF_16_LE
    if sample.startswith(b"\xfe\xff"):
        return UTF_16_BE
    if not any(sample):
        sample = os.pread(descriptor, _SAMPLE, offset)
    if b"\0" not in sample:
        return UTF_8 if len(sample) >= _FEWEST else None
    if len(sample) < _FEWEST:
        return None
    even, odd = sample[::2], sample[1::2]
    if _is_mostly_nul(odd) and not _is_mostly_nul(even):
        return UTF_16_LE
    if _is_mostly_nul(even) and not _is_mostly_nul(odd):
        return UTF_16_BE
    return UTF_8


def _is_mostly_nul(half: bytes) -> bool:
    return half.count(0) * 5 >= len(half) * 4
