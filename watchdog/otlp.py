"""Finished traces, sent as spans to whoever speaks OTLP over HTTP (a collector, Tempo, Jaeger)."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import httpx
import structlog

from watchdog import __version__
from watchdog.model import SignalKey
from watchdog.notifiers.base import revealed
from watchdog.outward import TracesModel
from watchdog.signals.trace import Trace
from watchdog.spans import Finished, payload
from watchdog.vigil import Checkup

MOST_WAITING = 2_000
MOST_AT_ONCE = 200
PAUSES = 1.0, 60.0
TRY_AGAIN = frozenset({408, 429, 502, 503, 504})
OUTCOMES = ("sent", "failed", "dropped")
Exported = Counter[str]
"""How many traces were sent, refused for good, and dropped because too many waited."""
Signals = Callable[[], Mapping[SignalKey, Any]]
log = structlog.get_logger()


class TraceExport:
    """Hears of every tick, takes the traces that have finished since, and sends them beside the ticks."""

    def __init__(
        self,
        model: TracesModel,
        signals: Signals,
        exported: Exported,
        pauses: tuple[float, float] = PAUSES,
    ) -> None:
        """
        Send what *signals* find where *model* says, and count what becomes of it in *exported*.

        After a failure wait for *pauses* seconds, at first and at most; each is twice the one before.
        """
        self.waiting: deque[Finished] = deque()
        self._model = model
        self._signals = signals
        self._exported = exported
        self._exported.update(dict.fromkeys(OUTCOMES, 0))
        self._client: httpx.AsyncClient | None = None
        self._sending: asyncio.Task[None] | None = None
        self._pauses = pauses
        self._pause = pauses[0]
        self._not_before = 0.0  # by the loop's clock
        self._why = ""

    def start(self) -> None:
        """Get a client of its own: no receiver's trouble is its."""
        self._client = httpx.AsyncClient(follow_redirects=False)

    def ticked(self, checkup: Checkup) -> None:  # noqa: ARG002 - how we are changes nothing
        """Take what has finished, and send it unless something is on its way or the last one was refused."""
        for signal in self._signals().values():
            if isinstance(signal, Trace):
                self.take(Finished(flight, signal.config.stages) for flight in signal.traces.hand_over())
        idle = self._sending is None or self._sending.done()
        if self.waiting and idle and asyncio.get_running_loop().time() >= self._not_before:
            self._sending = asyncio.create_task(self._send_all(), name="otlp")

    def take(self, finished: Iterable[Finished]) -> None:
        """Have *finished* wait; of more than there is room for the oldest are dropped."""
        self.waiting.extend(trace for trace in finished if trace.flight.sampled)
        while len(self.waiting) > MOST_WAITING:
            self.waiting.popleft()
            self._exported["dropped"] += 1

    async def _send_all(self) -> None:
        while self.waiting:
            batch = [self.waiting.popleft() for _ in range(min(MOST_AT_ONCE, len(self.waiting)))]
            why, again = await self._send(batch)
            if why != self._why:
                self._why = why
                (log.warning if why else log.info)("traces_refused" if why else "traces_taken", why=why)
            if why and again:
                self.waiting.extendleft(reversed(batch))
                self.take(())
                self._not_before = asyncio.get_running_loop().time() + self._pause
                self._pause = min(2 * self._pause, self._pauses[1])
                return
            self._pause = self._pauses[0]
            self._exported["failed" if why else "sent"] += len(batch)

    async def _send(self, batch: list[Finished]) -> tuple[str, bool]:
        """Send *batch*; say why it was not taken, empty if it was, and whether it may be taken later."""
        assert self._client is not None
        seconds = self._model.timeout.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                answer = await self._client.post(
                    self._model.otlp.get_secret_value(),
                    json=payload(batch, __version__),
                    headers=revealed(self._model.headers),
                    timeout=seconds,
                )
        except (httpx.TimeoutException, TimeoutError):
            return f"no answer within {seconds:g}s", True
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as exc:
            return f"cannot be reached ({type(exc).__name__})", True  # its words may hold the URL
        if answer.is_success:
            return "", False
        return f"answered {answer.status_code}", answer.status_code in TRY_AGAIN

    async def stop(self) -> None:
        """Wait no longer for an answer, and close; what still waits is lost."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
