"""
What two watchdogs share in Redis: a lease, and a stream of what they say to each other.

Each step is one Lua script, so that it happens as a whole or not at all. Four keys are used: the
lease's own, which names its holder and expires; ``:fence``, which grows with every holder;
``:told``, the stream; ``:waiting``, by which a standby that is well says that it is there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from watchdog.heard import REMEMBER
from watchdog.writer import RedisWriter

MOST_SAID = 5_000
"""So many entries the stream keeps."""
AT_ONCE = 200
"""So many entries are read at once."""

TURN = """
local lease, fence, told, waiting = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local me, mine, ttl, well, seen, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local holder, held = redis.call('GET', lease), 0
local replaced = well == '0' and redis.call('EXISTS', waiting) == 1
if holder and holder == mine then
  if replaced then
    redis.call('DEL', lease)
    holder = false
  else
    redis.call('PEXPIRE', lease, ttl)
    held = 1
  end
elseif not holder and not replaced then
  holder = me .. ':' .. redis.call('INCR', fence)
  redis.call('SET', lease, holder, 'PX', ttl)
  redis.call('DEL', waiting)
  held = 1
elseif well == '1' then
  redis.call('SET', waiting, me, 'PX', ttl)
end
local said = redis.call('XREAD', 'COUNT', most, 'STREAMS', told, seen)
return {held, holder or '', redis.call('GET', fence) or '0', said and said[1][2] or {}}
"""
SAY = """
local fence, told = KEYS[1], KEYS[2]
if tonumber(redis.call('GET', fence) or '0') > tonumber(ARGV[1]) then
  return 0
end
for i = 4, #ARGV do
  redis.call('XADD', told, 'MAXLEN', '~', ARGV[2], '*', 'said', ARGV[i])
end
redis.call('PEXPIRE', told, ARGV[3])
return 1
"""
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """How things stood at one moment: do we hold the lease, who does, and what was *said* until then."""

    held: bool
    holder: str
    fence: int
    said: tuple[tuple[str, str], ...]

    @property
    def all_said(self) -> bool:
        """Say whether nothing more was said by then."""
        return len(self.said) < AT_ONCE


class Lease:
    """The lease at *key* and its stream, as *me* uses them."""

    def __init__(self, key: str, me: str, ttl: timedelta, writer: RedisWriter) -> None:
        self.me = me
        self.writer = writer
        self._key = key
        self._ttl = ttl // timedelta(milliseconds=1)
        self._mine = ""

    async def turn(self, seen: str, *, well: bool) -> Turn:
        """
        Take or renew the lease if that can be, and read what was said after *seen*.

        Whoever is not well neither takes it nor keeps it while somebody waits who is.
        """
        keys = (self._key, *(f"{self._key}:{what}" for what in ("fence", "told", "waiting")))
        about = (self.me, self._mine, self._ttl, int(well), seen, AT_ONCE)
        held, holder, fence, entries = await self.writer.run(TURN, keys, *about)
        self._mine = holder if held else ""
        return Turn(bool(held), holder, int(fence), tuple((id_, text) for id_, (_, text) in entries))

    async def say(self, texts: Iterable[str], fence: int) -> bool:
        """Say *texts*; return whether that was taken: not if somebody has held the lease since *fence*."""
        keys = (f"{self._key}:fence", f"{self._key}:told")
        keep = REMEMBER // timedelta(milliseconds=1)
        return bool(await self.writer.run(SAY, keys, fence, MOST_SAID, keep, *texts))

    async def release(self) -> None:
        """Leave the lease to the other, if it is ours."""
        await self.writer.run(RELEASE, (self._key,), self._mine)
