"""A block of log lines, of which most are alike but for their digits."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from operator import itemgetter

BLOCK = 1 << 17  # fits the processor's cache, and holds the interpreter for less than a millisecond
KEY_LENGTH = 300  # of an error line
_ALIKE = 2  # lines of a kind, on average, from which on it is worth while to count kinds
_FEW = 50  # lines that are found more quickly without splitting them all
_MASK = bytes(ord("0") if chr(byte).isdigit() and byte < 128 else byte for byte in range(256))
_cut_key = itemgetter(slice(KEY_LENGTH))


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


class Lines:
    """The lines of one block, masked, and as they are where that is asked for."""

    def __init__(self, block: bytes) -> None:
        self.block = block
        self.masked = mask(block).split(b"\n")
        self.raw: list[bytes] = []  # once they have been split
        self._kinds: Counter[bytes] | None = None
        self._number = self._offset = 0  # a line whose place is known
        if not self.masked[-1]:
            self.masked.pop()

    def split(self) -> None:
        """Split the lines as they are, for who wants many of them."""
        self.raw = self.raw or self.block.split(b"\n")

    def line(self, number: int) -> bytes:
        """Return one line as it is, best asked for in order; quicker than to split them all."""
        if self.raw:
            return self.raw[number]
        if number < self._number:
            self._number = self._offset = 0
        between = self.masked[self._number : number]
        self._offset += sum(map(len, between)) + len(between)
        self._number = number
        return self.block[self._offset : self._offset + len(self.masked[number])]

    def last(self, keys: Collection[bytes]) -> list[tuple[int, bytes, bytes]]:
        """Return number, key and line of the last line that is each of *keys* when it is masked and cut."""
        if len(keys) > _FEW:
            self.split()
        lines = self.masked
        if max(map(len, keys)) == KEY_LENGTH:
            lines = list(map(_cut_key, lines))
        numbers = dict(zip(lines, range(len(lines)), strict=True))
        return [
            (number, key, self.line(number)) for number, key in sorted((numbers[key], key) for key in keys)
        ]

    def kinds(self) -> Mapping[bytes, int]:
        """Count the lines by what they are when masked."""
        if self._kinds is None:
            self._kinds = Counter(self.masked)
        return self._kinds

    def are_alike(self) -> bool:
        """Say whether there are so few kinds of lines that it pays to look at kinds, not at lines."""
        return len(self.kinds()) * _ALIKE <= len(self.masked)
