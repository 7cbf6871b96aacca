"""Logs as the outage's were, half of them errors, with traps, in one format each; their counts are known."""

import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

NOW = datetime(2026, 2, 19, 12, 0, tzinfo=UTC)
SYMBOLS = [f"{first}{second}USDT" for first in "ABDEFGLMNX" for second in ("TOM", "OGE", "VAX")]
TRAP = "gave up after | ERROR    | and | CRITICAL | ERROR"
MESSAGES = {
    "INFO": (
        "[PATH1B] RX apply.result msg_id={n}-0 decision=EXECUTE executed=False would_execute=True symbol={s}",
        "[PATH1B] SKIP {s}: blocked by risk (risk_layer0_fail:heartbeat_missing)",
        "HARVEST_TICK scanned={d} evaluated={d} emitted=0 skipped_risk=0 skipped_price=0 api_calls={d}",
        "🚫 TERMINAL STATE: FAILED | {s} BUY | Reason: API error | trace_id={s}_2026-01-17T06:27:49.{n}",
        TRAP,
    ),
    "ERROR": (
        "❌ Failed to parse TradeIntent for {s}: TradeIntent.__init__() missing 2 required positional "
        "arguments: 'action' and 'confidence'",
        "❌ exchange API error: APIError(code=-4164): Order's notional must be no smaller than {d}",
    ),
    "WARNING": ("could not read ERROR rate, 2026-02-19 01:00:00,000 | ERROR    | inside", TRAP),
    "DEBUG": ("level ERROR, severity=ERROR: a payload of {s}",),
    "CRITICAL": ("kill switch set",),
}
SHARES = {"INFO": 50.0, "ERROR": 42.0, "WARNING": 5.0, "DEBUG": 2.9, "CRITICAL": 0.1}
TRACEBACK = (
    "Traceback (most recent call last):\n"
    '  File "/opt/quantum/execution.py", line 214, in handle\n'
    "    intent = TradeIntent(**payload)\n"
    "TypeError: TradeIntent.__init__() missing 2 required positional arguments\n"
)
PATTERNS = {
    "terminal": "TERMINAL STATE: FAILED",
    "not_executed": "executed=False",
    "risk": r"risk_layer\d+_fail:\w+",
    "notional": r"APIError\(code=-4164\)",
    "parse": "Failed to parse (TradeIntent|Order)",
    "duplicate": "duplicate_plan",
    "harvest": r"HARVEST_TICK scanned=\d+ evaluated=\d+ emitted=0 ",
    "kill": "(?i)kill switch",
    "path": r"\[PATH[0-9][AB]\] (RX|SKIP)",
    "timeout": r"time(d )?out after \d+ ?ms",
}
_PINO = {"INFO": 30, "ERROR": 50, "WARNING": 40, "DEBUG": 20, "CRITICAL": 60}
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_PIPE = _DATE + r" [0-9]{2}:[0-9]{2}:[0-9]{2},[0-9]{3} \| "
_SYSLOG = r"[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} [^ ]+ [^ ]+: "

Counts = dict[str, int]
Line = Callable[[str, datetime, str], str]


@dataclass(frozen=True, slots=True)
class Case:
    """
    One shape of log lines.

    *before* and *after* are the regexes of what stands around the level. *word* is how it writes one.
    """

    title: str
    line: Line
    before: str = ""
    after: str = ""
    word: Callable[[str], str] = str
    traceback_every: int = 1 << 62
    patterns: bool = False


def _pipe(level: str, at: datetime, text: str) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S},{at.microsecond // 1000:03} | {level:8} | __main__ | {text}\n"


def _syslog(level: str, at: datetime, text: str) -> str:
    return f"{at:%b %d %H:%M:%S} host quantum-execution[{1000 + at.minute % 3}]: {_pipe(level, at, text)}"


def _json(level: str, at: datetime, text: str) -> str:
    return (
        f'{{"ts": "{at:%Y-%m-%dT%H:%M:%S.%f}Z", "level": "{level}", "service": "execution", "event": "LOG", '
        f'"correlation_id": null, "msg": "{text}", "extra": {{"level": "ERROR", "levelno": 40}}}}\n'
    )


def _pino(level: str, at: datetime, text: str) -> str:
    return (
        f'{{"level":{_PINO[level]},"time":{int(at.timestamp() * 1000)},"pid":{1000 + at.minute},'
        f'"hostname":"host","msg":"{text}","req":{{"level":50}}}}\n'
    )


def _json_last(level: str, at: datetime, text: str) -> str:
    return (
        f'{{"timestamp": "{at:%Y-%m-%dT%H:%M:%S.%f}+00:00", "logger": "ERROR", "message": "{text}", '
        f'"module": "position_monitor", "level": "{level}"}}\n'
    )


def _bare(level: str, at: datetime, text: str) -> str:  # noqa: ARG001
    return f"{text}\n"


def _logfmt(level: str, at: datetime, text: str) -> str:
    return f'time={at:%Y-%m-%dT%H:%M:%S}Z level={level.lower()} component=execution msg="{text}"\n'


CASES = {
    "plain": Case("plain lines", _pipe, _PIPE, r" *\|"),
    "tracebacks": Case(
        "plain lines, a traceback at every 20th error", _pipe, _PIPE, r" *\|", traceback_every=20
    ),
    "syslog": Case("plain lines behind a syslog prefix", _syslog, _SYSLOG + _PIPE, r" *\|"),
    "json": Case("JSON, the time and the level first", _json, r'\{"ts": "[^"]*", "level": "', '"'),
    "pino": Case("JSON, levels as numbers", _pino, r'\{"level":', ",", word=lambda level: str(_PINO[level])),
    "json-last": Case("JSON, the level last", _json_last, r'.*, "level": "', r'"\}$'),
    "bare": Case("bare text without levels", _bare),
    "logfmt": Case("logfmt", _logfmt, r"time=[^ ]* level=", " ", word=str.lower),
    "patterns": Case("plain lines, ten patterns", _pipe, _PIPE, r" *\|", patterns=True),
}


def write_log(path: Path, case: Case, megabytes: float) -> Counts:
    """Write a log of that size and return its exact counts: lines, levels, lines that each pattern is in."""
    dice = random.Random(4711)
    texts = [(level, text) for level, some in MESSAGES.items() for text in some]
    weights = [SHARES[level] / len(MESSAGES[level]) for level, _ in texts]
    written = Counter[tuple[str, str]]()
    lines, errors = 0, 0
    part: list[str] = []
    at = NOW - timedelta(hours=9)
    with path.open("wb") as file:
        while file.tell() < megabytes * 1_000_000:
            for choice in dice.choices(texts, weights, k=2_000):
                level, text = choice
                at += timedelta(milliseconds=1)
                number = int(dice.random() * 1_000_000)
                symbol = SYMBOLS[number % len(SYMBOLS)]
                part.append(case.line(level, at, text.format(n=number, s=symbol, d=number % 97)))
                written[choice] += 1
                errors += level == "ERROR"
                if level == "ERROR" and errors % case.traceback_every == 0:
                    part.append(TRACEBACK)
                    lines += TRACEBACK.count("\n")
            file.write("".join(part).encode())
            part.clear()
    counts = Counter({"lines": lines + written.total()})
    for (level, text), count in written.items():
        counts[level if case.before else "NONE"] += count
        shown = text.format(n=1, s=SYMBOLS[0], d=1)
        counts.update({name: count for name, regex in PATTERNS.items() if re.search(regex, shown)})
    return dict(counts)
