"""What stands between the sidecar and its tape: what is wrong with that hurts nobody but who replays."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import structlog

from watchdog.errors import RecordingError
from watchdog.model import Reading
from watchdog.recording import Tick
from watchdog.scout import Discovered
from watchdog.tape import Tape
from watchdog.telling import Wishes

log = structlog.get_logger()


class Recorder:
    """Puts every tick of one process onto its tape, if there is one."""

    def __init__(self, tape: Tape | None) -> None:
        """Record onto *tape*."""
        self._tape = tape
        self._known: Wishes | None = None
        self._failure = ""

    def take(
        self,
        now: datetime,
        seen: tuple[Reading, ...],
        change: Discovered,
        wishes: Wishes,
        latest: Iterable[Reading],
    ) -> None:
        """Record what was *seen*, what discovery brought, and what people said since `settled`."""
        if self._tape is None:
            return
        found = tuple(spec.key for spec in change.added)
        said = None if wishes is self._known else wishes
        tick = Tick(now, seen, found, change.gone, said, anew=self._known is None)
        self._known = wishes
        try:
            self._tape.take(tick, latest)
            self._note("")
        except (OSError, RecordingError) as exc:
            self._note(str(exc))

    def change(self, tape: Tape | None) -> None:
        """Complete the tape there is and record onto *tape* from now on, where things stand."""
        self.close()
        self._tape, self._failure = tape, ""
        self._known = Wishes()

    def settled(self, wishes: Wishes) -> None:
        """Take note of what became of people's wishes by themselves."""
        self._known = wishes

    def close(self) -> None:
        """Complete the tape."""
        if self._tape is not None:
            try:
                self._tape.close()
            except OSError as exc:
                self._note(str(exc))

    def _note(self, failure: str) -> None:
        """Log a failure once, and its end."""
        if self._tape is not None and failure != self._failure:
            self._failure = failure
            if failure:
                log.error("not_recorded", path=self._tape.path, why=failure)
            else:
                log.info("recorded_again", path=self._tape.path)
