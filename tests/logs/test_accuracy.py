"""
Levels against other people's logs.

Each file of `samples` holds lines that others published, each behind what they say it is: the word
of their level, `none` for a line without one, `-` for a line that goes on with the record before.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from watchdog.logs.formats import FORMATS, classify, detect
from watchdog.logs.levels import ERRORS, Level
from watchdog.logs.records import Context, follow
from watchdog.logs.tally import tally

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.txt"))
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "logs.md"
LEAST = 0.99

THEIRS = {
    word: level
    for level, words in {
        Level.TRACE: "TRACE TRC VERBOSE V",
        Level.DEBUG: "DEBUG DBG debug D 20",
        Level.INFO: "INFO INF info I LOG Note System 30",
        Level.NOTICE: "NOTICE notice",
        Level.WARNING: "WARNING WARN Warning warning warn W",
        Level.ERROR: "ERROR error E",
        Level.CRITICAL: "CRITICAL FATAL crit emerg",
        Level.NONE: "none",
    }.items()
    for word in words.split()
}
"""Their documentation's word for it: 20 and 30 are bunyan's, LOG PostgreSQL's, Note and System MySQL's."""
CONTINUES = "-"


def sample(path: Path) -> list[tuple[Level | None, bytes]]:
    """Read what each line is, None for one that begins no record, and the line."""
    rows = (row.partition("| ") for row in path.read_text().splitlines()[1:])
    return [
        (None if said.strip() == CONTINUES else THEIRS[said.strip()], line.encode()) for said, _, line in rows
    ]


def read(path: Path) -> list[tuple[Level | None, Level | None, bytes]]:
    """Pair what each line is with what we take it for, reading the file as the watchdog does."""
    rows = sample(path)
    format, context = detect([line for _, line in rows]), Context.START
    found = []
    for expected, line in rows:
        level, context = follow(line, format, context)
        found.append((expected, level, line))
    return found


def score(path: Path) -> tuple[int, int, int]:
    """Count the lines of *path* that are right, wrong, and without the level that they have."""
    rows = read(path)
    right = sum(1 for expected, level, _ in rows if level is expected)
    missed = sum(1 for expected, level, _ in rows if level is Level.NONE and expected is not level)
    return right, len(rows) - right - missed, missed


def table() -> str:
    """Draw the table of the page."""
    lines = [
        "| sample | read as | lines | right | wrong | no level | from |",
        "| --- | --- | --: | --: | --: | --: | --- |",
    ]
    total = Counter[str]()
    for path in SAMPLES:
        right, wrong, missed = score(path)
        total.update(right=right, wrong=wrong, missed=missed)
        format = detect([line for _, line in sample(path)])
        source = path.read_text().splitlines()[0].removeprefix("# ")
        lines.append(
            f"| {path.stem} | `{format}` | {right + wrong + missed} | {right} | {wrong} | {missed} | {source} |"
        )
    lines.append(
        f"| **all** | | {total.total()} | {total['right']} | {total['wrong']} | {total['missed']} | |"
    )
    return "\n".join(lines)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_levels_are_right(path: Path) -> None:
    """Nearly all lines of every format, and never an error that is none."""
    wrong = [
        f"{expected} read as {level}: {line!r}"
        for expected, level, line in read(path)
        if expected is not level
    ]
    right, *_ = score(path)
    assert right >= LEAST * len(sample(path)), "\n".join([table(), *wrong])
    assert not [line for expected, level, line in read(path) if level in ERRORS and expected not in ERRORS], (
        wrong
    )


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_line_out_of_its_file_has_its_level_too(path: Path) -> None:
    """Without a format to go by, as the first line of a file is read."""
    alone = {line: classify(line) for expected, line in sample(path) if expected is not None}
    assert {line: expected for expected, line in sample(path) if expected is not None} == alone


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_counted_at_once_as_line_by_line(path: Path) -> None:
    """The shortcut through masked headers holds for these headers: a hundred times the file, one count."""
    rows = sample(path)
    chunk = b"".join(line + b"\n" for _, line in rows) * 100
    expected = Counter(level for level, _ in rows if level is not None)
    counted = tally(chunk, detect([line for _, line in rows])).levels
    assert {level: count * 100 for level, count in expected.items()} == dict(counted)


def test_samples_are_of_many_formats() -> None:
    """Of at least eight formats, and with errors among them."""
    assert len({detect([line for _, line in sample(path)]) for path in SAMPLES}) >= 8
    assert sum(1 for path in SAMPLES for level, _ in sample(path) if level in ERRORS) >= 20


def test_the_page_has_the_table() -> None:
    """As it is today; where this fails, the page gets what it shows."""
    assert table() in PAGE.read_text(), table()


def test_every_format_is_on_the_page() -> None:
    """By the name that rules.yaml takes, and none that there is not."""
    section = PAGE.read_text().partition("## Formats")[2].partition("## Levels")[0]
    cells = [row.split(" | ")[0] for row in section.splitlines() if row.startswith("| `")]
    assert set(FORMATS) | {"format"} == {name for cell in cells for name in re.findall(r"`([\w-]+)`", cell)}
