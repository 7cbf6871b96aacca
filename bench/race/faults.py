"""The fault: a worker of one group takes many entries and acknowledges none. Other streams go on working."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count

import redis

from bench.poll.streams import GROUPS, World

STUCK_GROUP = GROUPS[0]
LEFT = 120
"""Entries the worker holds from then on."""
MOST = 100
"""From more pending entries on it is a fault, to all who watch."""
BEAT = 1.0
"""So often another tenth of the streams moves."""
BREAK = f"""
for _, stream in ipairs(KEYS) do
  for i = 1, {LEFT} do
    redis.call('XADD', stream, '*', 'symbol', 'BTCUSDT', 'side', 'BUY', 'qty', tostring(i))
  end
  for _, group in ipairs({{"{'", "'.join(GROUPS)}"}}) do
    local found = redis.call('XREADGROUP', 'GROUP', group, 'worker-1', 'STREAMS', stream, '>')
    if group ~= '{STUCK_GROUP}' then
      for _, entry in ipairs(found[1][2]) do redis.call('XACK', stream, group, entry[1]) end
    end
  end
end
"""


class Saboteur:
    """Breaks streams, each at once and for good."""

    def __init__(self, world: World) -> None:
        self._client = world.client
        self._script = str(world.client.script_load(BREAK))

    def break_one(self, stream: str) -> float:
        """Break *stream*; return the moment before that was written (`time.perf_counter`)."""
        began = time.perf_counter()
        self._client.evalsha(self._script, 1, stream)
        return began

    def break_all(self, streams: Sequence[str], moments: Sequence[float]) -> dict[str, float]:
        """Break one of *streams* at each of the *moments*, seconds from now; return when it was."""
        began, broken = time.perf_counter(), {}
        for stream, moment in zip(streams, moments, strict=True):
            time.sleep(max(0.0, began + moment - time.perf_counter()))
            broken[stream] = self.break_one(stream)
        return broken


def moments(number: int, seconds: float, seed: int) -> list[float]:
    """
    Return *number* moments within *seconds*, at random, one in each equal part of them.

    So they fall anywhere between two looks of whoever looks regularly, and never all at once.
    """
    chance = random.Random(seed)
    each = seconds / number
    return [each * (i + chance.random()) for i in range(number)]


@contextmanager
def traffic(world: World, spared: Sequence[str]) -> Iterator[None]:
    """Have a tenth of the streams that are not *spared* move every second, others each time."""
    ended = threading.Event()
    rest = World(world.server, world.client, sorted(set(world.names) - set(spared)))

    def go_on() -> None:
        with redis.Redis.from_url(world.server.url, client_name="traffic", socket_timeout=None) as client:
            rest.client = client
            for turn in count():
                rest.move(turn)
                if ended.wait(BEAT):
                    return

    thread = threading.Thread(target=go_on, name="traffic")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
