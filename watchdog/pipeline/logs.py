"""Log files in the formats found on the real pipeline, a different one for each service. Times are UTC."""

import contextlib
import json
import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path

FORMATS: Mapping[str, tuple[str, str | None]] = {
    "intents": ("%(asctime)s | %(levelname)s | %(message)s", None),
    "intent_bridge": ("%(asctime)s - %(name)s - %(levelname)s - %(message)s", None),
    "apply_layer": ("%(asctime)s [%(levelname)s] %(message)s", "%Y-%m-%d %H:%M:%S"),
    "execution": ("%(asctime)s | %(levelname)-8s | %(name)s | %(message)s", None),
    "exits": ("%(asctime)s | %(levelname)s | %(message)s", None),
    "rl_feedback": ("[%(asctime)s] [%(name)s] [%(levelname)s] %(message)s", None),
}
HOUR = 3600.0


class JsonFormatter(logging.Formatter):
    """Write a record as one JSON object per line."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as JSON."""
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        line = {
            "ts": at.replace("+00:00", "Z"),
            "level": record.levelname,
            "service": self.service,
            "event": "LOG",
            "correlation_id": None,
            "msg": message,
            "extra": {"levelno": record.levelno},
        }
        return json.dumps(line, ensure_ascii=False)


class ErrorCount(logging.Handler):
    """Count the errors of the last hour."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.moments: deque[float] = deque()

    def emit(self, record: logging.LogRecord) -> None:
        """Remember when *record* was written."""
        self.moments.append(record.created)
        while self.moments[0] < record.created - HOUR:
            self.moments.popleft()

    def last_hour(self, now: float) -> int:
        """Return how many errors were logged in the hour before *now*."""
        return sum(moment > now - HOUR for moment in self.moments.copy())


class LogFile(WatchedFileHandler):
    """A log file that is followed through rotations; while it cannot be written, lines are lost."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write *record*."""
        with contextlib.suppress(OSError):  # a service does not end because nobody can read of it
            super().emit(record)


def open_log(
    service: str, path: Path | None, errors: ErrorCount, clock: Callable[[], float] = time.time
) -> logging.Logger:
    """Return the logger of *service*, which writes to *path* (or to stderr) and counts into *errors*."""

    def on_our_clock(record: logging.LogRecord) -> bool:
        record.created = clock()
        record.msecs = record.created % 1 * 1000
        return True

    handler: logging.Handler
    if path is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        handler = LogFile(path, encoding="utf-8")
    handler.setFormatter(_formatter(service))
    name = "__main__" if service == "execution" else service
    log = logging.Logger(name, logging.INFO)  # of its own: no root handlers, no other service's
    log.addFilter(on_our_clock)
    log.addHandler(handler)
    log.addHandler(errors)
    return log


def _formatter(service: str) -> logging.Formatter:
    if service not in FORMATS:
        return JsonFormatter(service)
    formatter = logging.Formatter(*FORMATS[service])
    formatter.converter = time.gmtime
    return formatter
