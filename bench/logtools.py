"""What counts the lines of a log by level or by pattern: ourselves, mtail, grep and ripgrep."""

import json
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from bench.logcases import MESSAGES, NOW, PATTERNS, Case, Counts
from watchdog.logs.formats import detect
from watchdog.logs.levels import Level
from watchdog.logs.lines import BLOCK, cut
from watchdog.logs.patterns import compile_patterns
from watchdog.logs.reader import LogReader
from watchdog.logs.tally import Tallier


def by_our_reader(case: Case, path: Path) -> Counts:
    """Count through `LogReader`, as the `log` signal does: rotation, times, error lines, evidence and all."""
    counts = Counter[str]()
    patterns = compile_patterns(PATTERNS) if case.patterns else None
    with closing(LogReader(path, patterns=patterns)) as reader:
        batch = reader.begin(NOW, timedelta(hours=10))
        while True:
            for bucket in batch.buckets:
                counts.update({level.name: count for level, count in bucket.tally.levels.items()})
                counts.update(bucket.matches)
                counts["lines"] += bucket.lines
                counts["error lines"] += sum(line.count for line in bucket.tally.error_lines.values())
            if not batch.behind_bytes:
                return dict(counts)
            batch = reader.read(NOW)


def by_our_tally(case: Case, path: Path) -> Counts:  # noqa: ARG001
    """Count lines and levels alone."""
    counts = Counter[Level]()
    with path.open("rb") as file:
        tallier = Tallier(detect(file.read(BLOCK).split(b"\n")))
        file.seek(0)
        rest, lines = b"", 0
        while data := file.read(1 << 19):
            data = rest + data
            end = data.rfind(b"\n") + 1
            rest = data[end:]
            tally = tallier.count(*cut(data[:end], BLOCK))
            counts.update(tally.levels)
            lines += tally.lines
    return {level.name: count for level, count in counts.items()} | {"lines": lines}


def by_mtail(case: Case, path: Path) -> Counts:
    """Count with an mtail program that anchors its expressions to the whole header."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "count.mtail").write_text(_program(case))
        command = ["mtail", "--one_shot", "--progs", folder, "--logs", str(path)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    values = json.loads(text)["found"][0]["LabelValues"]
    counted = {value["Labels"][0]: value["Value"]["Value"] for value in values}
    names = {case.word(level): level for level in MESSAGES} if case.before else {}
    return {names.get(word, word): count for word, count in counted.items()}


def _program(case: Case) -> str:
    header = "counter found by what\n"
    if case.patterns:
        regexes = {name: regex.replace("/", r"\/") for name, regex in PATTERNS.items()}
        return header + "".join(f'/{regex}/ {{\n  found["{name}"]++\n}}\n' for name, regex in regexes.items())
    if not case.before:
        return header + '/$/ {\n  found["lines"]++\n}\n'
    return header + f"/^{case.before}(?P<level>[A-Za-z0-9]+){case.after}/ {{\n  found[$level]++\n}}\n"


def by_grep(case: Case, path: Path) -> Counts:
    """Count the error lines alone by the whole header, or the lines with any pattern."""
    return {"errors": _run("env", "LC_ALL=C", "grep", "-cE", _one_regex(case), str(path))}


def by_rg(case: Case, path: Path) -> Counts:
    """Count what grep does."""
    return {"errors": _run("rg", "-c", "--no-config", _one_regex(case), str(path))}


def by_plain_grep(case: Case, path: Path) -> Counts:
    """Count the error lines as one does in a hurry."""
    return {"errors": _run("env", "LC_ALL=C", "grep", "-cF", case.word("ERROR"), str(path))}


def _one_regex(case: Case) -> str:
    if case.patterns:  # grep knows neither \d nor flags
        return "|".join(PATTERNS.values()).replace(r"\d", "[0-9]").replace("(?i)", "")
    if not case.before:
        return "ERROR"
    return f"^{case.before}({case.word('ERROR')}|{case.word('CRITICAL')}){case.after}"


def _run(*command: str) -> int:
    return int(subprocess.run(command, capture_output=True, text=True, check=False).stdout or 0)


TOOLS: dict[str, tuple[str, Callable[[Case, Path], Counts]]] = {
    "watchdog, whole path (`LogReader`)": ("", by_our_reader),
    "watchdog, levels alone (`Tallier`)": ("", by_our_tally),
    "mtail": ("mtail", by_mtail),
    "grep -cE, one regex": ("grep", by_grep),
    "rg -c, one regex": ("rg", by_rg),
    "grep -cF ERROR": ("grep", by_plain_grep),
}


def is_exact(case: Case, found: Counts, known: Counts) -> str:
    """Say whether a tool found what was written, in so far as it counts it."""
    errors = known.get("ERROR", 0) + known.get("CRITICAL", 0)
    if "errors" not in found:
        errors_told = found.pop("error lines", errors)
        wrong = [name for name, count in found.items() if count and known.get(name, 0) != count]
        return "yes" if errors_told == errors and not wrong else f"no: {', '.join(wrong) or 'error lines'}"
    if case.patterns or not case.before:
        return "–"
    return "yes" if found["errors"] == errors else f"no, {found['errors'] / errors - 1:+.0%}"
