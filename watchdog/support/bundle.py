"""The archive: bounded, private, in a fixed order, and never written while a known secret is in it."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from watchdog.errors import WatchdogError
from watchdog.logs.redact import redact
from watchdog.support.known import Known

LONGEST = 200_000
"""Signs of one part; of a longer one the end is left out, or of a log the beginning."""
LONGEST_LINE = 8_000
CUT = "[…]\n"
FOLDER = "watchdog-support"


class SupportError(WatchdogError):
    """Say why there is no bundle."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the bundle: its *name*, what it *is*, and its text, or *why* there is none."""

    name: str
    what: str
    text: str = ""
    why: str = ""
    from_end: bool = False
    """The latest of it stands last."""


NEVER = (
    "passwords, tokens, keys and webhook URLs: they are masked as ***",
    "values of environment variables, and the content of files that rules.yaml names as secrets",
    "comments of rules.yaml",
    "entries of streams, values of keys, and log lines of your services (but with --with-evidence)",
    "the state file itself: only how many records it has",
)


def cleaned(part: Part, known: Known) -> Part:
    """Return *part* bounded, and without what is known to be secret or looks like it."""
    lines = known.hide(part.text).splitlines(keepends=True)  # hidden first: half a secret is not found
    text = "".join(line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}{CUT}" for line in lines)
    if len(text) > LONGEST:
        text = CUT + text[-LONGEST:] if part.from_end else text[:LONGEST] + CUT
    return Part(part.name, part.what, redact(text), redact(known.hide(part.why)), part.from_end)


def manifest(parts: Sequence[Part], version: str) -> str:
    """Return what the reader, and before him the sender, should know of the bundle."""
    return "\n".join(_manifest(parts, version)) + "\n"


def _manifest(parts: Sequence[Part], version: str) -> Iterator[str]:
    yield f"A support bundle of pipeline-watchdog {version}. Read it before you send it."
    yield "\nWhat is in it:"
    yield from (f"  {part.name:<16} {part.what} ({len(part.text):,} signs)" for part in parts if not part.why)
    yield "\nWhat was left out:"
    yield from (f"  {part.name:<16} {part.why}" for part in parts if part.why)
    yield "\nWhat is never in it:"
    yield from (f"  {what}" for what in NEVER)


def packed(parts: Sequence[Part], known: Known, version: str) -> bytes:
    """
    Return the archive; the same parts make the same bytes.

    Raise SupportError if anything that is known to be secret is in it.
    """
    clean = [cleaned(part, known) for part in sorted(parts, key=lambda part: part.name)]
    files = {"MANIFEST.txt": known.hide(manifest(clean, version))}
    files |= {part.name: part.text for part in clean if not part.why}
    for name, text in files.items():
        if known.found_in(text):
            raise SupportError(f"nothing was written: {name} would hold a secret of yours (please report it)")
    held = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=held, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, text in files.items():
            data = text.encode("utf-8", "replace")
            info = tarfile.TarInfo(f"{FOLDER}/{name}")
            info.size, info.mode = len(data), 0o600
            archive.addfile(info, io.BytesIO(data))
    return held.getvalue()


def write(data: bytes, to: Path) -> None:
    """Write *data* to *to*, for nobody else to read; raise SupportError if something is there."""
    try:
        opened = os.open(to, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError as exc:
        raise SupportError(f"there is something at {to} already (name another file with --out)") from exc
    except OSError as exc:
        raise SupportError(f"{to} cannot be written: {exc.strerror} (name another place with --out)") from exc
    try:
        with open(opened, "wb") as file:
            file.write(data)
    except OSError as exc:
        to.unlink(missing_ok=True)
        raise SupportError(f"{to} cannot be written: {exc.strerror}") from exc
