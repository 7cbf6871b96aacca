"""When a log line says that it was written."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from watchdog.logs.formats import TIME_KEYS, body, json_up_to, strip
from watchdog.timestamps import parse_timestamp

_MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_ISO = (
    rb"([0-9]{4})[-/]([0-9]{2})[-/]([0-9]{2})[T ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]{1,9}))?"
    rb"(?: ?(Z|UTC|[+-][0-9]{2}:?[0-9]{2})(?![0-9]))?"
)
_LEADING = re.compile(rb"(?:\[?[A-Za-z]{3,13} *\]?:? +)?\[?" + _ISO)
_IN_LOGFMT = re.compile(rb"(?:[A-Za-z_.]+=[^ ]* )??(?:ts|time|timestamp)=\"?" + _ISO)
_IN_JSON = re.compile(json_up_to(TIME_KEYS) + rb'(?:"' + _ISO + rb'"|"?([0-9]+(?:\.[0-9]+)?)"?\s*[,}])')
_YEARLESS = re.compile(rb"(?:<[0-9]{1,3}>)?([A-Z][a-z]{2}) ([ 0-9][0-9]) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ")
_ZONE_STEP = timedelta(minutes=15)
_WIDEST_ZONE = timedelta(hours=14)


def timestamp(line: bytes, now: datetime, tz: tzinfo = UTC) -> datetime | None:
    """
    Read the time that *line* carries as aware UTC, or None if it carries none.

    A time without a zone is in *tz*. A syslog date has no year: it is the latest that is not
    more than a day after *now*. A time inside the line wins over a syslog prefix.
    """
    line = strip(line)
    text = body(line)
    try:
        if text[:1] == b"{":
            found = _from_json(text, tz)
        else:
            match = _LEADING.match(text) or _IN_LOGFMT.match(text)
            found = _from_parts(match.groups(), tz) if match else None
        if found is None and len(text) < len(line):
            prefix = _LEADING.match(line)
            found = _from_parts(prefix.groups(), tz) if prefix else None
        if found is None and (yearless := _YEARLESS.match(line)):
            found = _resolve_year(yearless, now, tz)
    except (ValueError, OverflowError):
        return None  # the 31st of February, the year 99999
    return found


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


def _from_json(text: bytes, tz: tzinfo) -> datetime | None:
    match = _IN_JSON.match(text)
    if match is None:
        return None
    *parts, number = match.groups()
    if number is None:
        return _from_parts(tuple(parts), tz)
    return parse_timestamp(number.decode())


def _from_parts(parts: tuple[bytes | None, ...], tz: tzinfo) -> datetime:
    *date, fraction, zone = parts
    year, month, day, hour, minute, second = (int(part or 0) for part in date)
    micros = int((fraction or b"0").ljust(6, b"0")[:6])
    return datetime(year, month, day, hour, minute, second, micros, _zone(zone, tz)).astimezone(UTC)


def _zone(text: bytes | None, tz: tzinfo) -> tzinfo:
    if text is None:
        return tz
    if text in {b"Z", b"UTC"}:
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[:1] == b"-" else offset)


def _resolve_year(match: re.Match[bytes], now: datetime, tz: tzinfo) -> datetime | None:
    name, *numbers = match.groups()
    if name not in _MONTHS:
        return None
    day, hour, minute, second = (int(number) for number in numbers)
    latest = now + timedelta(days=1)
    for year in range(latest.year, latest.year - 9, -1):  # the 29th of February comes back in eight at most
        try:
            found = datetime(year, _MONTHS.index(name) + 1, day, hour, minute, second, tzinfo=tz)
        except ValueError:
            continue
        if found <= latest:
            return found.astimezone(UTC)
    return None
