"""
A block of log lines, looked at as an array of bytes: what is asked of all lines is asked at once.

Only who wants to see a line itself gets it as an object of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from watchdog.logs.arrays import np
from watchdog.logs.rows import Bytes, Codes, Places, Rows, differ, prints, rows_at, rows_to

BLOCK = 1 << 18  # fits the processor's cache, and holds the interpreter for less than a millisecond
KEY_LENGTH = 300  # of an error line
LONGEST_ROW = 504
_NEWLINE = ord("\n")
_MASK = bytes(ord("0") if chr(byte).isdigit() and byte < 128 else byte for byte in range(256))


def mask(text: bytes) -> bytes:
    """Replace every digit of *text* by 0."""
    return text.translate(_MASK)


def cut(chunk: bytes, size: int) -> Iterator[bytes]:
    """Cut *chunk* behind line ends into pieces no longer than *size*, unless one line is."""
    if len(chunk) <= size:
        yield chunk
        return
    start = 0
    while start < len(chunk):
        end = chunk.rfind(b"\n", start, start + size) + 1 or chunk.find(b"\n", start + size) + 1
        yield chunk[start : end or len(chunk)]
        start = end or len(chunk)


class Alike(NamedTuple):
    """
    What some lines are, and their *numbers*, in runs of the same line, each in order.

    *lasts* says where each run ends. Seldom there are two runs of the same line.
    """

    kinds: list[bytes]
    numbers: Places
    lasts: Places

    def counts(self) -> Iterator[tuple[bytes, int, int]]:
        """Yield each kind with how often it comes and the number of its last line."""
        counts, numbers = np.diff(self.lasts, prepend=-1).tolist(), self.numbers[self.lasts].tolist()
        return zip(self.kinds, counts, numbers, strict=True)

    def spread(self, codes: list[int]) -> Codes:
        """Return for each of *numbers* the code of its kind, of *codes*."""
        return np.repeat(np.array(codes, np.int8), np.diff(self.lasts, prepend=-1))


class Lines:
    """The lines of one block, which is not empty: masked, and as they are where that is asked for."""

    def __init__(self, block: bytes) -> None:
        self.block = block
        raw = np.frombuffer(block, np.uint8)
        ends = (raw == _NEWLINE).nonzero()[0]
        self.ends = ends if block[-1] == _NEWLINE else np.append(ends, len(block))
        self.starts = np.empty_like(self.ends)
        self.starts[0], self.starts[1:] = 0, self.ends[:-1] + 1
        self._raw: Bytes | None = None
        self._array = _masked(raw)
        self._text = b""
        self._masked: list[bytes] = []

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def text(self) -> bytes:
        """Return the block, masked, and some line ends more."""
        self._text = self._text or self._array.tobytes()
        return self._text

    @property
    def masked(self) -> list[bytes]:
        """Return all lines, masked."""
        self._masked = self._masked or self.text[: self.ends[-1]].split(b"\n")
        return self._masked

    def line(self, number: int) -> bytes:
        """Return one line as it is."""
        return self.block[self.starts.item(number) : self.ends.item(number)]

    def cut(self, numbers: Places, longest: int | None = None) -> list[bytes]:
        """Return the masked lines of those *numbers*, no longer than *longest* if that is given."""
        starts, ends, text = self.starts[numbers], self.ends[numbers], self.text
        if longest is not None:
            ends = np.minimum(ends, starts + longest)
        return [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]

    def rows(self, places: Places, length: int, *, raw: bool = False) -> Rows:
        """
        Return the *length* masked bytes at each of *places*, or the *raw* ones.

        Behind the last line nothing but line ends is found. No *length* is above `LONGEST_ROW`.
        """
        if raw and self._raw is None:
            self._raw = _padded(np.frombuffer(self.block, np.uint8))
        return rows_at(self._raw if raw and self._raw is not None else self._array, places, length)

    def alike(self, numbers: Places, longest: int) -> Alike:
        """Put those lines together that are the same, masked and no longer than *longest*; none is empty."""
        if not len(numbers):
            return Alike([], numbers, numbers)
        starts = self.starts[numbers]
        lengths = np.minimum(self.ends[numbers] - starts, longest)
        rows = rows_to(self._array, starts, lengths)
        order = prints(rows).argsort(kind="stable")
        rows, lengths = rows[order], lengths[order]
        is_last = differ(rows[1:], rows[:-1]) | (lengths[1:] != lengths[:-1])
        lasts = np.append(is_last.nonzero()[0], len(order) - 1)
        return Alike(self.cut(numbers[order[lasts]], longest), numbers[order], lasts)


def _padded(array: Bytes) -> Bytes:
    """Return *array* with so many line ends behind it that a row can begin at any of its bytes."""
    padded = np.empty(len(array) + LONGEST_ROW + 1, np.uint8)
    padded[: len(array)] = array
    padded[len(array) :] = _NEWLINE
    return padded


def _masked(raw: Bytes) -> Bytes:
    """Return the bytes of *raw*, padded, with every digit replaced by 0."""
    masked = np.empty(len(raw) + LONGEST_ROW + 1, np.uint8)
    text = masked[: len(raw)]
    np.subtract(raw, ord("0"), out=text)  # now digits, and only they, are below 10
    np.multiply(text, (text > 9).view(np.uint8), out=text)
    np.add(text, ord("0"), out=text)
    masked[len(raw) :] = _NEWLINE
    return masked
