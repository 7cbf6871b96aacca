"""The faults H01 to H08: a heartbeat that is not there, or is not what it seems."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from watchdog.audit import audit
from watchdog.config import Config, parse
from watchdog.connecting import connect
from watchdog.demo.beside import Beater, epoch
from watchdog.demo.faults.bus import MINUTE, dismiss, nothing
from watchdog.demo.faults.fault import Fault
from watchdog.demo.stage import Stage
from watchdog.presence import Outcome
from watchdog.synthetic import Form, Mark, mark_key, write_beat

TRAINER = "quantum:svc:rl_trainer:heartbeat"
AGENT = "quantum:exit_agent:heartbeat"


async def _beat_again(stage: Stage) -> None:
    stage.redis.delete(AGENT)
    stage.beside.exit_agent = Beater(AGENT, epoch)


async def _beat_elsewhere(stage: Stage) -> None:
    stage.beside.exit_agent.key = "quantum:svc:exit_agent:heartbeat"
    stage.redis.delete(AGENT)


async def _beat_late(stage: Stage) -> None:
    """Let the key be gone for the time of a restart."""
    stage.beside.exit_agent.running = False
    stage.redis.delete(AGENT)
    await stage.live(timedelta(seconds=15))
    stage.beside.exit_agent.running = True


async def _stop_beating(stage: Stage) -> None:
    stage.beside.producers["exits"].running = False


async def _beat_on(stage: Stage) -> None:
    stage.beside.producers["exits"].running = True


async def _skip_beats(stage: Stage) -> None:
    await _stop_beating(stage)
    await stage.live(timedelta(seconds=30))
    await _beat_on(stage)


async def _freeze(stage: Stage) -> None:
    frozen = epoch(stage.clock().timestamp())
    stage.beside.exit_agent.text = lambda _: frozen


async def _beat_in_iso(stage: Stage) -> None:
    stage.beside.exit_agent.text = lambda now: datetime.fromtimestamp(now).astimezone().isoformat()


async def _run_ahead(stage: Stage) -> None:
    stage.beside.exit_agent.text = lambda now: epoch(now + 3600)


async def _beat_in_ms(stage: Stage) -> None:
    stage.beside.exit_agent.text = lambda now: str(int(now * 1000))


async def _say_a_word(stage: Stage) -> None:
    stage.beside.exit_agent.text = lambda _: "alive"


async def _tell_of_work(stage: Stage) -> None:
    stage.beside.exit_agent.text = lambda now: f"worker 1a2b3c4d {{completed: {now:.0f}}}"


@dataclass(slots=True)
class Emergency:
    """The emergency publisher of the incident, which says by now what it is."""

    stage: Stage

    def __call__(self, now: datetime) -> None:
        """Beat in the trainer's place."""
        until = now + timedelta(hours=2)
        mark = Mark("trainer down, keep the gate open", "ops", now, until)
        ttl = timedelta(minutes=5)
        self.stage.redis.set(TRAINER, write_beat(Form.EPOCH_S, now), ex=ttl)
        self.stage.redis.set(mark_key(TRAINER), mark.text(), ex=ttl)


async def _stand_in(stage: Stage) -> None:
    stage.units.scripts["rl_trainer"].chmod(0o644)
    await stage.units.kill("rl_trainer")
    stage.each(timedelta(seconds=30), Emergency(stage))


async def _stand_in_no_more(stage: Stage) -> None:
    dismiss(stage, Emergency)
    stage.redis.delete(mark_key(TRAINER))
    stage.units.scripts["rl_trainer"].chmod(0o755)
    await stage.units.restart("rl_trainer")


async def _forget_the_mark(stage: Stage) -> None:
    """Leave the mark of an emergency behind that is over, while the trainer beats itself."""
    now = stage.clock()
    mark = Mark("trainer was down", "ops", now - timedelta(hours=3), now - timedelta(hours=1))
    stage.redis.set(mark_key(TRAINER), mark.text(), ex=timedelta(minutes=5))


async def _write_a_hash(stage: Stage) -> None:
    stage.beside.exit_agent.running = False
    stage.redis.delete(AGENT)
    stage.redis.hset(AGENT, mapping={"ts": epoch(stage.clock().timestamp()), "status": "OK"})


async def _write_it_anew(stage: Stage) -> None:
    stage.redis.delete(AGENT)
    stage.redis.set(AGENT, epoch(stage.clock().timestamp()), ex=MINUTE)


def _file(stage: Stage, service: str, key: str) -> Config:
    """Return a file that asks only for the heartbeat of *service*."""
    services = f'{{{service}: {{heartbeat: {{key: "{key}"}}}}}}'
    return parse(f'redis: {{url: "{stage.server.url}"}}\nservices: {services}\n', "rules.yaml", {})


async def _never_seen(stage: Stage) -> str:
    """Return what a watchdog says that starts only now and never saw the key."""
    seen = await asyncio.to_thread(audit, _file(stage, "exit_agent", AGENT), stage.clock())
    told = [notice.alert for notice in seen.notices if notice.alert.name == "HeartbeatMissing"]
    return "; ".join(f"{alert.summary} ({alert.evidence['last_beat']})" for alert in told)


async def _missing_key(stage: Stage) -> str:
    """Return what `watchdog check --connect` says of a file that asks for a key nobody writes."""
    config = _file(stage, "exit_dashboard", "quantum:exit:heartbeat")
    # On a loop of its own, which it may clear of all that is left.
    found = await asyncio.to_thread(lambda: asyncio.run(connect(config, stage.clock())))
    missing = [one for one in found if one.outcome is Outcome.MISSING]
    return "; ".join(f"{one.key.service}: {one.key.kind}: {one.detail}" for one in missing)


FAULTS: tuple[Fault, ...] = (
    Fault(
        "H01",
        "a heartbeat's key is not there, nor was it before we began: its service beats under another name",
        _beat_elsewhere,
        expected=(("HeartbeatMissing", "exit_agent"),),
        window=timedelta(seconds=30),
        possible=(("HeartbeatStale", "exit_agent"),),
        found_by=_never_seen,
        twin=_beat_late,
        twin_title="the key is gone for the time of a restart",
        repairs=_beat_again,
    ),
    Fault(
        "H02",
        "a heartbeat is stale: entries of a stream that come no more",
        _stop_beating,
        expected=(("HeartbeatStale", "exit_monitor"),),
        window=MINUTE,
        twin=_skip_beats,
        twin_title="the beats of half a minute are left out",
        repairs=_beat_on,
    ),
    Fault(
        "H03",
        "a heartbeat's value is frozen, and written again and again",
        _freeze,
        expected=(("HeartbeatFrozen", "exit_agent"),),
        window=6 * MINUTE,
        possible=(("HeartbeatStale", "exit_agent"),),  # by what it says of its own time
        twin=_beat_in_iso,
        twin_title="the heartbeat is written in another form",
        repairs=_beat_again,
    ),
    Fault(
        "H04",
        "a heartbeat comes from an hour in the future",
        _run_ahead,
        expected=(("HeartbeatAhead", "exit_agent"),),
        window=MINUTE,
        twin=_beat_in_ms,
        twin_title="the heartbeat is written in milliseconds",
        repairs=_beat_again,
    ),
    Fault(
        "H05",
        "a heartbeat is no time at all but one word for ever: its TTL tells its age, nothing tells of life",
        _say_a_word,
        expected=(("HeartbeatFrozen", "exit_agent"),),
        window=6 * MINUTE,
        twin=_tell_of_work,
        twin_title="a heartbeat is a text that goes on, its age is told by its TTL",
        repairs=_beat_again,
    ),
    Fault(
        "H06",
        "an emergency heartbeat stands in for a trainer that restarts for ever",
        _stand_in,
        expected=(("SyntheticHeartbeat", "rl_trainer"), ("UnitRestarting", "rl_trainer")),
        possible=(("GroupStalled", "rl_trainer"),),
        twin=_forget_the_mark,
        twin_title="the emergency is over, its mark was left behind",
        repairs=_stand_in_no_more,
    ),
    Fault(
        "H07",
        "a monitor watches a key that nobody writes",
        nothing,
        found_by=_missing_key,
        note="named by `watchdog check --connect` before the file is used, by HeartbeatMissing after",
    ),
    Fault(
        "H08",
        "the writer of a heartbeat switched from a string to a hash",
        _write_a_hash,
        expected=(("SignalUnknown", "exit_agent"),),
        window=2 * MINUTE,
        twin=_write_it_anew,
        twin_title="the key is deleted and written anew",
        repairs=_beat_again,
    ),
)
