"""
Equally long pieces of many lines, as the rows of an array of words, compared all at once.

A row that does not fill its last word is filled with zeros.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from watchdog.logs.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNKNOWN = -1
_WORD = 8  # bytes
_MOST = 500  # rows
_FACTOR = 0x9E3779B97F4A7C15

Bytes: TypeAlias = "NDArray[np.uint8]"
Places: TypeAlias = "NDArray[np.intp]"
Rows: TypeAlias = "NDArray[np.uint64]"
Codes: TypeAlias = "NDArray[np.int8]"
Flags: TypeAlias = "NDArray[np.bool_]"


def width(length: int) -> int:
    """Return the bytes of the words that *length* bytes fill."""
    return -(-length // _WORD) * _WORD


def padded(row: bytes) -> bytes:
    """Fill the last word of *row* with zeros."""
    return row.ljust(width(len(row)), b"\0")


def rows_at(text: Bytes, places: Places, length: int) -> Rows:
    """Return the *length* bytes of *text* at each of *places*; so many have to follow, to a whole word."""
    wide = width(length)
    windows = np.ndarray((len(text) - wide + 1,), f"V{wide}", text, strides=(1,))
    rows: Rows = windows[places].view("<u8").reshape(len(places), -1)
    if rest := length % _WORD:
        rows[:, -1] &= np.uint64((1 << 8 * rest) - 1)
    return rows


def rows_to(text: Bytes, places: Places, lengths: Places) -> Rows:
    """Return what begins at *places* of *text* and has those *lengths*, behind it zeros."""
    longest = width(int(lengths.max()))
    return rows_at(text, places, longest) & rows_at(_ones(longest), longest - lengths, longest)


@lru_cache(maxsize=64)
def _ones(length: int) -> Bytes:
    """Return *length* bytes of ones, and as many of zeros."""
    return np.repeat(np.array([0xFF, 0], np.uint8), length)


def prints(rows: Rows) -> Rows:
    """Return one word for each of *rows*, the same for the same row, and most often another for another."""
    return rows @ _factors(rows.shape[1])


@lru_cache(maxsize=64)
def _factors(words: int) -> Rows:
    return np.array([pow(_FACTOR, power + 1, 1 << 64) for power in range(words)], np.uint64)


def differ(rows: Rows, others: Rows) -> Flags:
    """Say of each of *rows* whether it is another than that of *others*."""
    found: NDArray[np.bool_] = (rows != others) @ np.ones(rows.shape[1], np.bool_)
    return found


class Table:
    """Gives a small number, its code, to each of some rows of *length* bytes."""

    def __init__(self, length: int) -> None:
        self._width = width(length)
        self._codes: dict[bytes, int] = {}
        self._is_stale = False
        self._text = np.empty(0, np.uint8)  # the rows, ordered by their prints
        self._prints = np.empty(0, np.uint64)
        self._found: Codes = np.empty(0, np.int8)

    def put(self, row: bytes, code: int) -> None:
        """Remember the *code* of the `padded` *row*."""
        if len(self._codes) >= _MOST:
            self._codes.clear()
        self._codes[row] = code
        self._is_stale = True

    def get(self, row: bytes) -> int:
        """Return the code of the `padded` *row*, or `UNKNOWN`."""
        return self._codes.get(row, UNKNOWN)

    def find(self, rows: Rows) -> Codes:
        """
        Return the code of each of *rows*, or `UNKNOWN`.

        A print only says where to look: of two known rows with the same print one stays unknown.
        """
        if self._is_stale:
            self._arrange()
        places = self._prints.searchsorted(prints(rows))
        np.minimum(places, len(self._prints) - 1, out=places)
        is_other = differ(rows, rows_at(self._text, places * self._width, self._width))
        codes = self._found[places]
        codes[is_other] = UNKNOWN
        return codes

    def _arrange(self) -> None:
        """Order what is known by its prints."""
        rows = np.frombuffer(b"".join(self._codes), np.uint64).reshape(len(self._codes), -1)
        seen = prints(rows)
        order = seen.argsort()
        self._text, self._prints = rows[order].view(np.uint8).ravel(), seen[order]
        self._found = np.array(list(self._codes.values()), np.int8)[order]
        self._is_stale = False
