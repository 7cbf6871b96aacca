"""The files that one log became: itself and what rotation put beside it, newest first."""

import bz2
import gzip
import lzma
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from watchdog.errors import CollectError
from watchdog.logs.position import Position, is_same_file, open_file, stands

_MOST_ROTATED = 20
_ATTEMPTS = 5  # at a list of files that nobody renamed meanwhile
_LARGEST_PACKED = 64 << 20
_ENDINGS = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip", ".lzma", ".Z", ".7z", ".br")
_MAGIC = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"PK\x03\x04")
_Unpacked = gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile
_UNPACK: dict[str, Callable[[IO[bytes]], _Unpacked]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
_NUMBER = re.compile(r"\.\d{1,5}")
_DATE = re.compile(r"[-._]\d{4}[\dT:._+-]*")
_SET_ASIDE = (".old", ".bak", ".orig", ".prev", "~")


@dataclass(slots=True)
class Generation:
    """One open file of a log; *packed* is the ending that says how it is compressed, if it is."""

    path: Path
    descriptor: int
    packed: str = ""

    @property
    def status(self) -> os.stat_result:
        """Return what the file system says of it."""
        return os.fstat(self.descriptor)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self.descriptor)


def is_compressed(path: Path | str) -> bool:
    """Say whether *path* is a compressed leftover, by its name or else by its first bytes."""
    if str(path).endswith(_ENDINGS):
        return True
    try:
        descriptor = open_file(Path(path))
    except CollectError:
        return False
    try:
        return os.pread(descriptor, 8, 0).startswith(_MAGIC)
    finally:
        os.close(descriptor)


def rotated_from(name: str, current: str) -> bool:
    """Say whether a file *name* is what rotation makes of a file *current* in the same folder."""
    return _suffix(name, current) is not None or name in {current + ending for ending in _SET_ASIDE}


def open_generations(path: Path) -> list[Generation]:
    """
    Open *path* and, newest first, what rotation put beside it.

    Raise CollectError if *path* itself cannot be opened. A file that is renamed meanwhile is neither
    missed nor found twice.
    """
    for attempt in range(_ATTEMPTS):
        found = _open_all(path)
        if _is_as_it_was(found) or attempt == _ATTEMPTS - 1:
            return found
        close_all(found)
    raise AssertionError("the last attempt returns")


def find(generations: list[Generation], position: Position) -> int | None:
    """
    Find which of *generations* holds *position*: the same file, else a copy made before truncation.

    A compressed one that may be that copy is unpacked, into a file without a name.
    """
    plain = [index for index, found in enumerate(generations) if not found.packed]
    holds = [index for index in plain if stands(generations[index].descriptor, position)]
    for index in holds:
        if is_same_file(generations[index].status, position):
            return index
    if not position.offset:
        return None
    if holds:
        return holds[0]
    for index, found in enumerate(generations):
        recent = found.packed and found.status.st_mtime_ns >= position.modified_ns > 0
        if recent and unpack(found) and stands(found.descriptor, position):
            return index
    return None


def unread(generations: list[Generation], position: Position) -> list[Generation]:
    """
    Return those of *generations* that hold more than *position* knows, oldest first, and close the others.

    The first is the one that holds *position*, if any does. Of the others what was written since then is
    unread, and always the newest.
    """
    index = find(generations, position)
    since = position.modified_ns
    if index is None:
        wanted = [
            found
            for at, found in enumerate(generations)
            if not at or (since and found.status.st_mtime_ns > since)
        ]
    else:  # one that stands in between and was not touched since has a name that says nothing of its age
        wanted = [
            found
            for at, found in enumerate(generations[: index + 1])
            if at in (0, index) or found.status.st_mtime_ns >= since
        ]
    wanted = [found for found in wanted if not found.packed or unpack(found)]
    close_all(found for found in generations if found not in wanted)
    return wanted[::-1]


def close_all(generations: Iterable[Generation]) -> None:
    """Let go of all of them."""
    for found in generations:
        found.close()


def unpack(found: Generation) -> bool:
    """Put what is compressed in *found* in its place; say whether that could be done."""
    opened = _UNPACK.get(found.packed)
    if opened is None or not 0 < found.status.st_size <= _LARGEST_PACKED:
        return False
    try:
        with os.fdopen(os.dup(found.descriptor), "rb") as packed, tempfile.TemporaryFile() as plain:
            with opened(packed) as content:
                shutil.copyfileobj(content, plain)
            plain.flush()
            os.utime(plain.fileno(), ns=(found.status.st_mtime_ns,) * 2)
            unpacked = os.dup(plain.fileno())
    except (OSError, EOFError, lzma.LZMAError, zlib.error):  # it is damaged, or the disk is full
        return False
    os.close(found.descriptor)
    found.descriptor, found.packed = unpacked, ""
    return True


def _open_all(path: Path) -> list[Generation]:
    found = [Generation(path, open_file(path))]
    seen = {(found[0].status.st_dev, found[0].status.st_ino)}
    for name in _siblings(path):
        sibling = path.with_name(name)
        try:
            generation = Generation(sibling, open_file(sibling), _packing(name))
        except CollectError:
            continue
        identity = (generation.status.st_dev, generation.status.st_ino)
        if identity in seen:  # it was renamed while we were looking
            generation.close()
            continue
        seen.add(identity)
        found.append(generation)
    return found


def _is_as_it_was(found: list[Generation]) -> bool:
    """Say whether every file still has its name, and no other has come."""
    try:
        same = all(os.path.samestat(os.stat(each.path), each.status) for each in found)
    except OSError:
        return False
    return same and _siblings(found[0].path) == [each.path.name for each in found[1:]]


def _siblings(path: Path) -> list[str]:
    """Return the names of rotated files, newest first: numbers count up with age, dates down."""
    numbered: list[tuple[int, str]] = []
    dated: list[tuple[tuple[int, ...], str]] = []
    with suppress(OSError):  # a folder that may be entered but not listed
        for name in os.listdir(path.parent):
            suffix = _suffix(name, path.name)
            if suffix is None:
                continue
            if _NUMBER.fullmatch(suffix):
                numbered.append((int(suffix[1:]), name))
            else:
                dated.append((tuple(-int(number) for number in re.findall(r"\d+", suffix)), name))
    groups = [[name for _, name in sorted(numbered)], [name for _, name in sorted(dated)]]
    groups.sort(key=lambda names: -_modified(path.with_name(names[0])) if names else 0)
    return [name for names in groups for name in names][:_MOST_ROTATED]


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _suffix(name: str, current: str) -> str | None:
    """Return what rotation added to *current* to make *name*: `.1`, `-20260219`; None if it did not."""
    name = name.removesuffix(_packing(name))
    stem, ending = os.path.splitext(current)
    if name.startswith(current):
        added = name[len(current) :]
    elif ending and name.startswith(stem) and name.endswith(ending) and len(name) > len(current):
        added = name[len(stem) : -len(ending)]
    else:
        return None
    return added if _NUMBER.fullmatch(added) or _DATE.fullmatch(added) else None


def _packing(name: str) -> str:
    return next((ending for ending in _ENDINGS if name.endswith(ending)), "")
