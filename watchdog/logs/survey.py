"""A whole log at once: its records by level, and its errors by template."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from watchdog.logs.encoding import UTF_8, UTF_16_BE, UTF_16_LE, Encoding
from watchdog.logs.errorlines import OTHER, ErrorLine
from watchdog.logs.formats import BARE, classify, detect
from watchdog.logs.ledger import evidence
from watchdog.logs.levels import Level
from watchdog.logs.lines import BLOCK
from watchdog.logs.records import Context, follow
from watchdog.logs.tally import Tallier, Tally
from watchdog.logs.templates import Templates, codes, masked

CHUNK = 1 << 20
LONGEST_LINE = 16 << 20
"""Of a line that is longer only so much is read; it is one line all the same."""
OTHERS = "(other)"
_SAMPLE_LINES = 100
_MOST_TEMPLATES = 20_000  # worked out for one chunk


@dataclass(slots=True)
class Survey:
    """What was found in one log; *errors* are the templates with how many of each and the newest line."""

    format: str = BARE
    tally: Tally = field(default_factory=Tally)
    errors: dict[str, ErrorLine] = field(default_factory=dict)

    @property
    def levels(self) -> Mapping[Level, int]:
        """Return how many records each level has, those with none among them."""
        return {level: self.tally.levels.get(level, 0) for level in Level}

    def templates(self) -> Iterator[tuple[str, int, Level, str]]:
        """Yield template, count, level and example of the errors, the most frequent first."""
        for template, (count, sample) in sorted(self.errors.items(), key=lambda item: (-item[1][0], item[0])):
            yield template, count, classify(sample, self.format), evidence(sample)


def survey(chunks: Iterable[bytes], format: str | None = None) -> Survey:
    """Count the *chunks* of a log, all of whole lines, read as *format* where one is given."""
    found = Survey()
    tallier = Tallier(format or BARE)
    templates = Templates()
    for chunk in chunks:
        if format is None:
            tallier.use(format_of(chunk, tallier.format))
        counted = tallier.count(chunk)
        templates.renew(_MOST_TEMPLATES)
        for key, line in _told_apart(chunk, counted.error_lines):
            template = OTHERS if key == OTHER else templates.of_record(key, line.sample, tallier.format)
            known = found.errors.get(template or OTHERS)
            found.errors[template or OTHERS] = ErrorLine(
                line.count + (known.count if known else 0), line.sample
            )
        found.tally += Tally(counted.lines, counted.records, counted.levels)
    found.format = tallier.format
    return found


def each(chunks: Iterable[bytes], format: str | None = None) -> Iterator[tuple[int, Level]]:
    """Yield the number and the level of each line that begins a record."""
    name, context, number = format or BARE, Context.START, 0
    for chunk in chunks:
        if format is None:
            name = format_of(chunk, name)
        for line in chunk.removesuffix(b"\n").split(b"\n") if chunk else ():
            number += 1
            level, context = follow(line, name, context)
            if level is not None:
                yield number, level


def format_of(chunk: bytes, current: str) -> str:
    """Name the format of the lines that *chunk* begins with, as a reader of the log does."""
    lines = chunk[: 2 * BLOCK].split(b"\n")[:_SAMPLE_LINES]
    return detect((line for line in lines if line), current)


def _told_apart(chunk: bytes, lines: Mapping[bytes, ErrorLine]) -> Iterator[tuple[bytes, ErrorLine]]:
    """Yield *lines*, those that differ in the digits of a code each on its own."""
    coded = {key for key, line in lines.items() if line.count > 1 and codes(key)}
    yield from ((key, line) for key, line in lines.items() if key not in coded)
    if not coded:
        return
    apart: dict[bytes, dict[bytes, ErrorLine]] = {key: {} for key in coded}
    for line in chunk.split(b"\n"):
        if (mine := apart.get(masked(line))) is not None:
            code = codes(line)
            mine[code] = ErrorLine(mine[code].count + 1 if code in mine else 1, line)
    for key, mine in apart.items():
        is_sure = len(mine) > 1 and sum(line.count for line in mine.values()) == lines[key].count
        yield from ((key, line) for line in (mine.values() if is_sure else [lines[key]]))


def chunks_of(stream: BinaryIO, encoding: Encoding | None = None) -> Iterator[bytes]:
    """Yield *stream* in pieces of whole lines, as UTF-8."""
    data = stream.read(CHUNK)
    encoding = encoding or _marked(data)
    skipping = False  # what is left of a line that was too long
    while data:
        end = encoding.first_end(data) if skipping else 0
        if skipping and not end:
            data = stream.read(CHUNK)
            continue
        data, skipping = data[end:], False
        end = encoding.last_end(data)
        if end:
            yield encoding.text(data[:end])
        elif len(data) > LONGEST_LINE:
            yield encoding.text(data[: encoding.whole(LONGEST_LINE)]) + b"\n"
            skipping, end = True, len(data)
        more = stream.read(CHUNK)
        if not more and data[end:]:
            yield encoding.text(data[end:])
        data = data[end:] + more if more else b""


def _marked(data: bytes) -> Encoding:
    """Tell the encoding of what begins with *data* by its byte order mark."""
    return {b"\xff\xfe": UTF_16_LE, b"\xfe\xff": UTF_16_BE}.get(data[:2], UTF_8)
