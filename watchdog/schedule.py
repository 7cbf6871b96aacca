"""When something comes again: a cron line in a time zone, read as Debian's cron reads it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

AN_HOUR_TWICE = timedelta(minutes=65)
"""Going back starts so much later, since local times of an autumn night are there twice."""
NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_ANY_DAY = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Schedule:
    """
    A five-field cron line (or ``@daily`` and its like) in a time zone.

    Daylight saving: what falls into the hour that is skipped comes right after it, and what falls
    into the hour that is there twice comes once. Where minute or hour begins with a star, it comes
    whenever the clock on the wall shows it (cronsim, which follows Debian's cron).
    """

    cron: str
    time_zone: str = "UTC"

    def last(self, now: datetime) -> datetime | None:
        """Return the last moment of the schedule that is not after *now*, in UTC; None if there is none."""
        later = now.astimezone(ZoneInfo(self.time_zone)) + AN_HOUR_TWICE
        moments = CronSim(self.cron, later.replace(second=0, microsecond=0), reverse=True)
        found = next((moment for moment in moments if moment <= now), None)
        return None if found is None else found.astimezone(UTC)


def parse_schedule(cron: str, time_zone: str) -> Schedule:
    """Return the schedule; raise ValueError with the cure if the line or the zone cannot be read."""
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise ValueError(f'"{time_zone}" is not a time zone (write Europe/Berlin or UTC)') from exc
    line = NAMED.get(cron.strip(), cron)
    try:
        if len(line.split()) != 5:  # it would take a sixth for seconds
            raise CronSimError("Wrong number of fields")
        CronSim(line, _ANY_DAY)
    except CronSimError as exc:
        raise ValueError(f'"{cron}" is not a cron line: {exc} (write "0 2 * * sun")') from exc
    return Schedule(line, time_zone)
