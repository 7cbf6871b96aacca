"""When a log line says that it was written."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from watchdog.logs.formats import LONGEST_JSON, body, strip
from watchdog.logs.shapes import TIME_KEYS, json_up_to
from watchdog.timestamps import parse_timestamp

_MONTHS = {
    month: at for at, month in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)
}
_CLOCK = rb"(?P<hour>[ 0-9]?[0-9]):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9}))?"
_ZONE = rb"(?: ?(?P<zone>Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2})(?![0-9A-Za-z]))?"
_NAME = rb"(?P<month>[A-Z][a-z]{2})"
_ISO = rb"(?P<year>[0-9]{4})[-/](?P<month>[0-9]{2})[-/](?P<day>[0-9]{2})(?:[T ]|, )" + _CLOCK + _ZONE
_LEVEL_OR_ID = rb"(?:\[ *[A-Za-z]{3,13} *\] +|[A-Z]{3,13}:? +|[A-Z], |\[[0-9]+\] )?"
_LEADING = re.compile(rb"(?:<[0-9]{1,3}>[0-9] )?" + _LEVEL_OR_ID + rb"\[?(?: ?[A-Z]{1,13} )?" + _ISO)
_IN_LOGFMT = re.compile(rb"(?:[A-Za-z_.]+=[^ ]* )??(?:ts|time|timestamp|t)=\"?" + _ISO)
_IN_JSON = re.compile(
    json_up_to(TIME_KEYS) + rb'(?:"' + _ISO + rb'"|"?(?P<number>[0-9]+(?:\.[0-9]+)?)"?\s*[,}])'
)
_TIME_KEY = re.compile(rb'"' + TIME_KEYS + rb'"')
_OTHERS = tuple(
    re.compile(shape)
    for shape in (
        rb"\[?[A-Z][a-z]{2} "
        + _NAME
        + rb" +(?P<day>[0-9]{1,2}) "
        + _CLOCK
        + rb" (?P<year>[0-9]{4})",  # Apache
        # access logs, PHP, Tomcat, CUPS, Redis
        rb"(?:[0-9]+:[A-Z] +|[A-Z] |[^ \[]+ [^ ]+ [^ ]+ )?(?:\[[0-9]+\] )?\[?"
        rb"(?P<day>[0-9]{1,2})[-/ ]" + _NAME + rb"(?:[-/ ](?P<year>[0-9]{4}))?[: ]" + _CLOCK + _ZONE,
        _NAME
        + rb" (?P<day>[0-9]{1,2}), (?P<year>[0-9]{4}) "
        + _CLOCK
        + rb" (?P<half>[AP]M) ",  # java.util.logging
        rb"[IWEFC](?P<year>[0-9]{4})??(?P<month>[0-9]{2})(?P<day>[0-9]{2}) " + _CLOCK,  # glog
        rb"(?:[A-Z]+ ?\[)?(?P<month>[0-9]{2})-(?P<day>[0-9]{2})[ |]" + _CLOCK,  # logcat, geth
        rb"(?:\[[A-Z] )?(?P<year>[0-9]{2})/?(?P<month>[0-9]{2})/?(?P<day>[0-9]{2}) "  # Spark, HDFS, Tornado
        rb"(?P<hour>[0-9]{2}):?(?P<minute>[0-9]{2}):?(?P<second>[0-9]{2})[ ,]",
        rb"(?:<[0-9]{1,3}>)?\[?" + _NAME + rb"[ -](?P<day>[ 0-9][0-9]) " + _CLOCK + rb"[] ]",  # syslog
    )
)
_ZONE_STEP = timedelta(minutes=15)
_WIDEST_ZONE = timedelta(hours=14)


def timestamp(line: bytes, now: datetime, tz: tzinfo = UTC) -> datetime | None:
    """
    Read the time that *line* carries as aware UTC, or None if it carries none.

    A time without a zone is in *tz*. A date without a year is the latest that is not more than a
    day after *now*. A time inside the line wins over that of a syslog or container prefix. A
    clock without a date names no time: nobody can say of which day it is.
    """
    line = strip(line)
    text = body(line)
    try:
        found = _read(text, now, tz)
        return _read(line, now, tz) if found is None and len(text) < len(line) else found
    except (ValueError, OverflowError):
        return None  # the 31st of February, the year 99999


def zone_of(line: bytes, written: datetime, local: timedelta) -> tzinfo:
    """
    Guess the zone of a log whose last *line* reached the disk at *written*, on a machine *local* to UTC.

    Programs log local time without saying so. A line from the future by whole quarters of an
    hour, to the second, tells its zone; one from the past does only if it is the machine's own.
    UTC otherwise.
    """
    said = timestamp(line, written)
    if said is None or said == timestamp(line, written, timezone(_ZONE_STEP)):
        return UTC
    offset = round((said - written) / _ZONE_STEP) * _ZONE_STEP
    if abs(said - written - offset) > timedelta(seconds=2):
        return UTC
    if offset == local or timedelta(0) < offset <= _WIDEST_ZONE:
        return timezone(offset)
    return UTC


def _read(text: bytes, now: datetime, tz: tzinfo) -> datetime | None:
    if text[:1] == b"{":
        match = _IN_JSON.match(text) or _IN_JSON.match(_flat(text))
        if match and match["number"]:
            return parse_timestamp(match["number"].decode())
    else:
        match = _LEADING.match(text) or _IN_LOGFMT.match(text)
        match = match or next(filter(None, (shape.match(text) for shape in _OTHERS)), None)
    return _moment(match.groupdict(), now, tz) if match else None


def _flat(text: bytes) -> bytes:
    """Return the JSON object *text* without its nested values, which no recogniser steps over."""
    if len(text) > LONGEST_JSON or not _TIME_KEY.search(text):
        return b""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return b""
    return json.dumps(
        {key: value for key, value in record.items() if not isinstance(value, dict | list)}
    ).encode()


def _moment(said: dict[str, bytes | None], now: datetime, tz: tzinfo) -> datetime | None:
    """Put together what a line *said*; None for a month that is none."""
    month = _month(said["month"] or b"")
    day, minute, second = (int(said[part] or 0) for part in ("day", "minute", "second"))
    hour = int(said["hour"] or 0)
    if half := said.get("half"):
        hour = hour % 12 + (12 if half == b"PM" else 0)
    micros = int((said.get("fraction") or b"0").ljust(6, b"0")[:6])
    rest = (month, day, hour, minute, second, micros, _zone(said.get("zone"), tz))
    if not month:
        return None
    if year := said.get("year"):
        return datetime(int(year) + (2000 if len(year) == 2 else 0), *rest).astimezone(UTC)
    latest = now + timedelta(days=1)
    for guess in range(latest.year, latest.year - 9, -1):  # the 29th of February comes back in eight at most
        try:
            found = datetime(guess, *rest).astimezone(UTC)
        except ValueError:
            continue
        if found <= latest:
            return found
    return None


def _month(said: bytes) -> int:
    return int(said) if said.isdigit() else _MONTHS.get(said, 0)


def _zone(text: bytes | None, tz: tzinfo) -> tzinfo:
    if text is None:
        return tz
    if text in {b"Z", b"UTC", b"GMT"}:
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[:1] == b"-" else offset)
