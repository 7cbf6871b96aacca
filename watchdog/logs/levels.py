"""The levels a log line can have, and the words and numbers programs write for them."""

from enum import StrEnum


class Level(StrEnum):
    """What a line says about its own weight; *none* is a line that says nothing."""

    TRACE = "trace"
    DEBUG = "debug"
    INFO = "info"
    NOTICE = "notice"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"
    NONE = "none"


ERRORS = frozenset({Level.ERROR, Level.CRITICAL})

WORDS: dict[bytes, Level] = {
    word.encode(): level
    for level, words in {
        Level.TRACE: "TRACE TRC FINEST FINER VERBOSE",
        Level.DEBUG: "DEBUG DEBU DEBG DBG FINE",
        Level.INFO: "INFO INF INFORMATION INFORMATIONAL SUCCESS",  # SUCCESS is loguru's
        Level.NOTICE: "NOTICE",
        Level.WARNING: "WARNING WARN WRN",
        Level.ERROR: "ERROR ERRO ERR",
        Level.CRITICAL: "CRITICAL CRIT FATAL FTL SEVERE ALERT EMERGENCY EMERG PANIC DPANIC",
    }.items()
    for word in words.split()
}

_SYSLOG = (
    Level.CRITICAL,  # 0 emergency
    Level.CRITICAL,  # 1 alert
    Level.CRITICAL,  # 2 critical
    Level.ERROR,
    Level.WARNING,
    Level.NOTICE,
    Level.INFO,
    Level.DEBUG,
)
_PYTHON = (Level.TRACE, Level.DEBUG, Level.INFO, Level.WARNING, Level.ERROR, Level.CRITICAL)
_PINO = (Level.TRACE, Level.TRACE, Level.DEBUG, Level.INFO, Level.WARNING, Level.ERROR, Level.CRITICAL)


def of_number(number: int, *, pino: bool) -> Level:
    """
    Name the level that *number* stands for.

    0 to 7 are syslog's severities. From 10 on there are two scales, Python's and, one step
    lower for the same number, that of pino and bunyan.
    """
    if number < len(_SYSLOG):
        return _SYSLOG[number]
    scale = _PINO if pino or number == 60 else _PYTHON
    return scale[min(number // 10, len(scale) - 1)]
