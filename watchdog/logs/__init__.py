"""Reading log files: what their lines say, counted exactly, through every rotation."""

from watchdog.logs.backfill import Backfill, backfill
from watchdog.logs.batch import Batch, Reader
from watchdog.logs.errorlines import ErrorLine
from watchdog.logs.formats import FORMATS, classify, detect
from watchdog.logs.ledger import Bucket, evidence
from watchdog.logs.levels import ERRORS, Level
from watchdog.logs.patterns import Pattern, compile_patterns, count_matches
from watchdog.logs.position import Position
from watchdog.logs.reader import LogReader
from watchdog.logs.records import Context, follow, is_continuation
from watchdog.logs.redact import redact
from watchdog.logs.tail import Slice, Tail
from watchdog.logs.tally import Tallier, Tally, tally
from watchdog.logs.times import timestamp

__all__ = [
    "ERRORS",
    "FORMATS",
    "Backfill",
    "Batch",
    "Bucket",
    "Context",
    "ErrorLine",
    "Level",
    "LogReader",
    "Pattern",
    "Position",
    "Reader",
    "Slice",
    "Tail",
    "Tallier",
    "Tally",
    "backfill",
    "classify",
    "compile_patterns",
    "count_matches",
    "detect",
    "evidence",
    "follow",
    "is_continuation",
    "redact",
    "tally",
    "timestamp",
]
