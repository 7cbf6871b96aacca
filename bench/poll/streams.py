"""The streams that are looked at, on a server of their own: N × 3 groups × 4 consumers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import redis

from bench.notify.child import BenchError
from watchdog.clock import utc_now
from watchdog.demo.server import EmbeddedServer, start_server

SERVER = "redis-server"
BENCH = "bench"
"""What the benchmark's own client calls itself."""
PATTERN = "bench:stream:*"
GROUPS = ("orders", "risk", "audit")
CONSUMERS = 4
LEFT_PENDING = (0, 1, 3)
"""Entries each group holds delivered and not acknowledged."""
ENTRIES = 120
KEPT = 100
STEP_MS = 30_000
"""An entry every 30 s: what is kept reaches back over 50 minutes."""
CHURN = 10
"""Before a tick each tenth stream moves: entries come, are read and acknowledged, old ones go."""
MOVED = 3
"""Entries that come when a stream moves."""
AT_ONCE = 50
FORMS = ("discover", "declared")
"""How the sidecar is told of the streams: one pattern, or a service for every one of them."""

_NAMES = '{"' + '", "'.join(GROUPS) + '"}'
FILL = f"""
local newest = tonumber(ARGV[1])
for _, stream in ipairs(KEYS) do
  for _, group in ipairs({_NAMES}) do
    redis.call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM', 'ENTRIESREAD', '0')
  end
  for i = 1, {ENTRIES} do
    redis.call('XADD', stream, newest - ({ENTRIES} - i) * {STEP_MS} .. '-0',
      'symbol', 'BTCUSDT', 'side', 'BUY', 'qty', tostring(i), 'status', 'filled', 'trace', stream .. i)
  end
  local left = {{{", ".join(map(str, LEFT_PENDING))}}}
  for g, group in ipairs({_NAMES}) do
    for c = 1, {CONSUMERS} do
      local found = redis.call('XREADGROUP', 'GROUP', group, 'worker-' .. c,
        'COUNT', {ENTRIES // CONSUMERS}, 'STREAMS', stream, '>')
      local entries = found[1][2]
      local keep = c == {CONSUMERS} and left[g] or 0
      for i = 1, #entries - keep do redis.call('XACK', stream, group, entries[i][1]) end
    end
  end
  redis.call('XTRIM', stream, 'MAXLEN', '=', {KEPT})
end
"""
MOVE = f"""
for _, stream in ipairs(KEYS) do
  for i = 1, {MOVED} do
    redis.call('XADD', stream, 'MAXLEN', '~', {KEPT}, '*',
      'symbol', 'BTCUSDT', 'side', 'SELL', 'qty', tostring(i), 'status', 'filled', 'trace', stream .. i)
  end
  for _, group in ipairs({_NAMES}) do
    local found = redis.call('XREADGROUP', 'GROUP', group, 'worker-1',
      'COUNT', {MOVED}, 'STREAMS', stream, '>')
    for _, entry in ipairs(found[1][2]) do redis.call('XACK', stream, group, entry[1]) end
  end
end
"""


def stream_names(count: int) -> list[str]:
    """Return the keys of *count* streams, as long as such keys usually are."""
    return [f"{PATTERN[:-1]}pipeline.{i:05d}" for i in range(count)]


@dataclass(slots=True)
class World:
    """A running server and the streams it holds; *moved* counts how often one of them moved."""

    server: EmbeddedServer
    client: redis.Redis
    names: Sequence[str]
    moved: int = 0

    def move(self, turn: int) -> None:
        """Have every tenth stream move, others at each *turn*."""
        some = self.names[turn % CHURN :: CHURN]
        run_script(self.client, MOVE, some)
        self.moved += len(some)


@contextmanager
def running_world(streams: int, *extra: str) -> Iterator[World]:
    """Run a server with so many streams, and *extra* arguments, as long as the block lasts."""
    if shutil.which(SERVER) is None:
        raise BenchError(f"{SERVER} is needed (apt-get install {SERVER})")
    names = stream_names(streams)
    with (
        start_server(binary=SERVER, extra=extra) as server,
        redis.Redis.from_url(server.url, client_name=BENCH, socket_timeout=None) as client,
    ):
        run_script(client, FILL, names, int(utc_now().timestamp() * 1000))
        yield World(server, client, names)


def run_script(client: redis.Redis, script: str, streams: Sequence[str], *args: int) -> None:
    """Run *script* on *streams*, a few at a time, in one pipeline."""
    sha = client.script_load(script)
    with client.pipeline(transaction=False) as pipe:
        for start in range(0, len(streams), AT_ONCE):
            part = streams[start : start + AT_ONCE]
            pipe.evalsha(str(sha), len(part), *part, *map(str, args))
        pipe.execute()


def rules_text(url: str, streams: Sequence[str], form: str, *more: str, timeout: str = "120s") -> str:
    """
    Return a rules file that watches *streams* and each group that reads them, with *more* lines.

    As *form* has it: ``discover`` names the pattern only, ``declared`` a service for every stream.
    """
    lines = [f'redis: {{url: "{url}", timeout: {timeout}}}', *more]
    if form == "discover":
        limit = len(streams) * (1 + len(GROUPS))
        return "\n".join([*lines, f'discover: {{streams: "{PATTERN}", limit: {limit}}}']) + "\n"
    lines.append("services:")
    for i, stream in enumerate(streams):
        lines += [f"  s{i:05d}:", f'    stream: {{key: "{stream}", expect_every: 1d}}', "    consumes:"]
        lines += [f'      - {{stream: "{stream}", group: {group}}}' for group in GROUPS]
    return "\n".join(lines) + "\n"
