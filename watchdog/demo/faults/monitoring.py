"""The faults X01 to X12: health checks, the exchange, Redis as a whole, and the monitoring itself."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from datetime import datetime, timedelta

from watchdog.demo.faults.deploy import deployed, mended, restarted
from watchdog.demo.faults.fault import Fault
from watchdog.demo.faults.hands import setting
from watchdog.demo.faults.logs import SECOND, line, timed_out, writes
from watchdog.demo.rules import PATIENCE, WATCHED
from watchdog.demo.server import free_port
from watchdog.demo.stage import Stage

MINUTE = timedelta(minutes=1)
DEAD_RULE = """  - alert: SlowOrders
    when: executions.latency_p99 > 2s
    severity: critical
"""


async def _wrong_bus(stage: Stage) -> None:
    """Have the exits look for Redis where there is none; their port answers as before."""
    await stage.units.set_setting("exits", "REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")


async def _right_bus(stage: Stage) -> None:
    await stage.units.set_setting("exits", "REDIS_URL", stage.server.url)


async def _health_elsewhere(stage: Stage) -> None:
    """Let `/health` be answered on another port than the one that is asked."""
    stage.units.write_setting("execution", "HEALTH_PORT", str(free_port()))
    await stage.units.kill("execution")


async def _health_where_it_was(stage: Stage) -> None:
    stage.units.write_setting("execution", "HEALTH_PORT", str(stage.units.ports["execution"]))
    await stage.units.kill("execution")


async def _killed_once(stage: Stage) -> None:
    await stage.units.kill("execution")


async def _rate(stage: Stage, factor: float) -> None:
    settings = dict(
        row.split("=", 1) for row in stage.units.env_files["intents"].read_text(encoding="utf-8").splitlines()
    )
    await stage.units.set_setting("intents", "RATE", f"{float(settings['RATE']) * factor:g}")


async def _churn(stage: Stage) -> None:
    await _rate(stage, 20)


async def _busy(stage: Stage) -> None:
    await _rate(stage, 1.4)


async def _calm_again(stage: Stage) -> None:
    await _rate(stage, 1 / 20)


async def _nothing(stage: Stage) -> None:
    """Do nothing: it is in the rules that something is wrong."""


async def _check(stage: Stage) -> str:
    """Return what `watchdog check` says of a rule on a measure that nobody has."""
    rules = stage.directory / "dead.yaml"
    text = WATCHED.read_text(encoding="utf-8") + PATIENCE.read_text(encoding="utf-8") + DEAD_RULE
    rules.write_text(text, encoding="utf-8")
    check = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "watchdog", "check", "--rules", str(rules)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await check.communicate()
    found = [row for row in said.decode().splitlines() if "latency_p99" in row]
    return found[0].partition("dead.yaml:")[2] if check.returncode and found else ""


async def _refuses(stage: Stage) -> None:
    stage.inbox.status = 500
    _something_to_tell(stage)


async def _takes(stage: Stage) -> None:
    stage.inbox.status = 204


async def _refuses_once(stage: Stage) -> None:
    stage.inbox.status = 503
    _something_to_tell(stage)
    await stage.live(5 * SECOND)
    stage.inbox.status = 204


def _something_to_tell(stage: Stage) -> None:
    with stage.units.logs["intent_bridge"].open("ab") as log:
        log.write(line(stage.clock(), "ERROR", "Cannot save the ledger of ETHUSDT"))


async def _redis_away(stage: Stage) -> None:
    stage.server.halt()


async def _redis_back(stage: Stage) -> None:
    stage.server.resume()


async def _redis_restarted(stage: Stage) -> None:
    stage.restart_redis()


async def _locked(stage: Stage) -> None:
    """Have somebody else hold the state file, for as long as there is something to tell."""
    holder = sqlite3.connect(stage.directory / "watchdog.db", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")

    def something_new(at: datetime) -> None:
        assert holder.in_transaction  # held until this is forgotten
        with stage.units.logs["intent_bridge"].open("ab") as log:
            log.write(line(at, "ERROR", f"Cannot save the {'xyzuvw'[at.minute % 6]} of ETHUSDT"))

    stage.each(MINUTE, something_new)


async def _vanishes(stage: Stage) -> None:
    """Have a log full of errors, told as such, and then no log at all."""
    writes(stage, SECOND, timed_out)
    while ("LogErrors", "intent_bridge", "firing") not in stage.inbox.arrived:
        await stage.live(5 * SECOND)
    stage.dismiss()
    log = stage.units.logs["intent_bridge"]
    log.unlink()
    log.symlink_to(log.name)


async def _still_told(stage: Stage) -> str:
    """Say that the alert has not been resolved for want of its source."""
    await stage.live(MINUTE)
    resolved = ("LogErrors", "intent_bridge", "resolved") in stage.inbox.arrived
    return "" if resolved else "LogErrors goes on, blind: nobody was told that it is resolved"


async def _there_again(stage: Stage) -> None:
    log = stage.units.logs["intent_bridge"]
    log.unlink()
    log.touch()


_AWAY = (("RedisDown", "redis"),)
_NO_HEALTH = (("HealthFailing", "exits"),)
FAULTS = (
    Fault(
        "X01",
        '`/health` says 200 with `"eventbus": "DOWN"` in it',
        _wrong_bus,
        expected=_NO_HEALTH,
        window=MINUTE,
        possible=(
            ("HeartbeatMissing", "exits"),
            ("GroupStalled", "exits"),
            ("Unanswered", "exits"),
            ("NewLogErrors", "exits"),
            ("LogErrors", "exits"),
        ),
        repairs=_right_bus,
    ),
    Fault(
        "X02",
        "the health check asks the wrong port, while work is done",
        _health_elsewhere,
        expected=(("HealthDisagrees", "execution"),),
        possible=(("HealthFailing", "execution"),),
        window=timedelta(minutes=7),
        twin=_killed_once,
        twin_title="killed once",
        repairs=_health_where_it_was,
        note="HealthFailing says so after a minute; that the check is to be suspected is known when a"
        " success came after it began to fail, six minutes later",
    ),
    Fault(
        "X03",
        "the API key is invalid, and the service goes on as if it were none of its business",
        deployed("execution", "fails_open"),
        expected=(("NoExecutions", "execution"),),
        possible=(("NewLogErrors", "execution"), ("LogErrors", "execution")),
        window=timedelta(hours=1),
        repairs=mended("execution"),
    ),
    Fault(
        "X04",
        "rejects only: the margin is exhausted",
        deployed("execution", "only_rejects"),
        expected=(("OnlyFailures", "execution"),),
        possible=(("NoExecutions", "execution"), ("OneReason", "execution")),
        window=timedelta(hours=1),
        repairs=mended("execution"),
    ),
    Fault(
        "X05",
        "wrong values: a stop-loss of 96 million",
        deployed("intents", "wild_stop_loss"),
        expected=(("BadValues", "intents"),),
        twin=restarted("intents"),
        twin_title="a restart",
        repairs=mended("intents"),
    ),
    Fault(
        "X06",
        "twenty times the usual orders",
        _churn,
        expected=(("RateExceeded", "execution"),),
        window=MINUTE,
        twin=_busy,
        twin_title="a busy market",
        repairs=_calm_again,
    ),
    Fault("X07", "a rule on a metric that nobody exports", _nothing, found_by=_check),
    Fault(
        "X08",
        "a receiver refuses everything",
        _refuses,
        expected=(("ReceiverFailing", "watchdog"),),
        possible=(("NewLogErrors", "intent_bridge"),),
        window=MINUTE,
        twin=_refuses_once,
        twin_title="it refuses once",
        repairs=_takes,
        note="an empty URL is an error of `watchdog check`; tests/reliability proves that nothing is lost",
    ),
    Fault(
        "X09",
        "Redis is away",
        _redis_away,
        expected=_AWAY,
        possible=(*_NO_HEALTH, ("LogSilent", "apply_layer")),
        window=10 * SECOND,
        twin=_redis_restarted,
        twin_title="Redis restarts",
        repairs=_redis_back,
    ),
    Fault(
        "X10",
        "the watchdog's own state file cannot be written",
        _locked,
        expected=(("StateUnwritable", "watchdog"),),
        possible=(("NewLogErrors", "intent_bridge"),),
        window=90 * SECOND,
        note="stuck, killed, the clock stepped: shown with processes, and from outside, in"
        " tests/reliability and tests/process/test_vigil",
    ),
    Fault(
        "X11",
        "a quiet market: nothing to trade",
        setting("intents", "MARKET", "flat"),
        possible=tuple(
            ("NothingOffered", service) for service in ("permits", "apply_layer", "execution", "exits")
        ),
        window=timedelta(minutes=70),
        repairs=setting("intents", "MARKET", "moving"),
        note="NothingOffered is the notice; NoExecutions asks for one offer in its hour, so it may come for"
        " some seconds when the last offer was refused and the success before it is just an hour old",
    ),
    Fault(
        "X12",
        "the source of an alert vanishes while it fires",
        _vanishes,
        expected=(("LogErrors", "intent_bridge"),),
        possible=(("NewLogErrors", "intent_bridge"), ("SignalUnknown", "intent_bridge")),
        window=timedelta(minutes=12),
        found_by=_still_told,
        repairs=_there_again,
    ),
)
