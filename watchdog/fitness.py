"""Is the sidecar well? Whether it looks, whether it is heard, and whether one should rely on it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from watchdog.bulletin import headline
from watchdog.delivery import Outbox
from watchdog.pulse import Pulse
from watchdog.report import Snapshot
from watchdog.sources import Source
from watchdog.vigil import Checkup

STUCK = timedelta(minutes=10)
"""An outbox whose oldest message waits for longer does not move."""


class Fitness:
    """
    Judges a sidecar that ticks *every* so often by its pulse, its outbox and what it looks at.

    It is *driven* once it ticks by itself.
    """

    def __init__(self, every: timedelta, pulse: Pulse, outbox: Outbox, sources: Sequence[Source]) -> None:
        self.every = every
        self.driven = False
        self._pulse = pulse
        self._outbox = outbox
        self._sources = sources

    def checkup(self, now: datetime, latest: Snapshot) -> Checkup:
        """Return what is told to those who raise the alarm when no more ticks come."""
        return Checkup(now, self.why_unwell(now), self.why_stuck(now), headline(latest))

    def _allowed(self) -> timedelta:
        """Return how old the last tick may be: three intervals, and ten seconds."""
        return max(3 * self.every, timedelta(seconds=10))

    def fresh(self, now: datetime) -> bool:
        """Say whether the last tick is young; one in the future is not, for the clock was set back."""
        last = self._pulse.last_tick
        return last is not None and abs(now - last) <= self._allowed()

    def why_unwell(self, now: datetime) -> str | None:
        """
        Say why it does not do its work, or None: it ticks, looks at all there is, and can send.

        That a receiver takes nothing is not its fault, nor that a source gives no answer.
        """
        if not self.fresh(now):
            last = self._pulse.last_tick
            return f"last tick {last.isoformat() if last else 'never'}"
        if self.driven and not self._outbox.working:
            return "notifications wait for a worker that has died"
        unseen = (source.why_unseen(now, self._allowed()) for source in self._sources)
        return next((why for why in unseen if why is not None), None)

    def why_stuck(self, now: datetime) -> str | None:
        """Say why nobody hears of what it finds, or None; what a standby holds back is not stuck."""
        outbox = self._outbox
        heard = [name for name in outbox.receivers if outbox.gate.open(name)]
        waits = (now - message.due for name in heard for message in outbox.waiting(name))
        return "notifications wait and none is taken" if any(wait > STUCK for wait in waits) else None

    def why_not_ready(self, now: datetime) -> str | None:
        """Say why one should not rely on it, or None: it is well, and what it finds is heard."""
        return self.why_unwell(now) or self.why_stuck(now)

    def ready(self, now: datetime) -> bool:
        """Say whether one can rely on it."""
        return self.why_not_ready(now) is None
