"""The faults U02 to U09: units, timers, deploys. What `systemctl show` says is real or as it was recorded."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from watchdog.demo.faults.deploy import restarted
from watchdog.demo.faults.fault import Fault
from watchdog.demo.stage import Stage
from watchdog.demo.units import moment

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
FEEDBACK = "quantum-rl-feedback.service"
LEDGER = "quantum-ledger-export.service"
BACKUP = "quantum-backup.timer"
OFF = {"ActiveState": "inactive", "SubState": "dead"}
FAILED = {"ActiveState": "failed", "SubState": "failed"}
DOWN = (("UnitDown", "housekeeping"),)
LOOPS = (("UnitRestarting", "rl_feedback"),)


async def _flapping(stage: Stage) -> None:
    """Restart between any two looks, and be active whenever somebody looks."""
    restarts = 16_699

    def act(at: datetime) -> None:
        nonlocal restarts
        restarts += 1
        stage.units.says(
            FEEDBACK, NRestarts=str(restarts), InvocationID=str(restarts), ActiveEnterTimestamp=moment(at)
        )

    stage.each(5 * SECOND, act)


async def _reset_by_hand(stage: Stage) -> None:
    """Be started again and again by `systemctl restart`, which sets the counter back."""
    starts = 0

    def act(at: datetime) -> None:
        nonlocal starts
        starts += 1
        stage.units.says(FEEDBACK, NRestarts="0", InvocationID=str(starts), ActiveEnterTimestamp=moment(at))

    stage.each(10 * SECOND, act)


async def _truth_again(stage: Stage) -> None:
    stage.dismiss()
    stage.units.says(FEEDBACK)


async def _start_limit(stage: Stage) -> None:
    stage.units.show(LEDGER, **FAILED, Result="start-limit-hit", NRestarts="5")


async def _off_though_enabled(stage: Stage) -> None:
    stage.units.show(LEDGER, **OFF)


async def _off_and_disabled(stage: Stage) -> None:
    stage.units.show(LEDGER, **OFF, UnitFileState="disabled")


async def _out_of_memory(stage: Stage) -> None:
    stage.units.show(LEDGER, **FAILED, Result="oom-kill", ExecMainStatus="9")


async def _back(stage: Stage) -> None:
    stage.units.show(LEDGER)


async def _timer_stands(stage: Stage) -> None:
    """Have its next moment pass without a trigger."""
    now = stage.clock()
    stage.units.show(
        BACKUP,
        SubState="waiting",
        ActiveEnterTimestamp=moment(now - timedelta(days=30)),
        AccuracyUSec="1min",
        LastTriggerUSec=moment(now - timedelta(days=10)),
        NextElapseUSecRealtime=moment(now - timedelta(days=9)),
    )


async def _timer_goes(stage: Stage) -> None:
    now = stage.clock()
    stage.units.show(
        BACKUP,
        SubState="waiting",
        ActiveEnterTimestamp=moment(now - timedelta(days=30)),
        AccuracyUSec="1min",
        LastTriggerUSec=moment(now - timedelta(hours=3)),
        NextElapseUSecRealtime=moment(now + timedelta(hours=21)),
    )


async def _unreadable_setting(stage: Stage) -> None:
    """Leave a setting that nobody can read, for the next start; then it comes."""
    stage.units.write_setting("rl_feedback", "HEARTBEAT_TTL_SEC", "soon")
    await stage.units.kill("rl_feedback")


async def _readable_again(stage: Stage) -> None:
    stage.units.write_setting("rl_feedback", "HEARTBEAT_TTL_SEC", "10")


async def _killed_once(stage: Stage) -> None:
    await stage.units.kill("rl_feedback")


async def _deployed(stage: Stage) -> None:
    """Put a new program in the old one's place, and leave the process as it is."""
    at = stage.clock().timestamp()
    os.utime(stage.units.scripts["rl_feedback"], times=(at, at))


async def _deployed_and_restarted(stage: Stage) -> None:
    await _deployed(stage)
    await stage.units.restart("rl_feedback")


FAULTS = (
    Fault(
        "U02",
        "a unit restarts between the looks, and is active whenever somebody looks",
        _flapping,
        expected=LOOPS,
        window=MINUTE,
        twin=restarted("rl_feedback"),
        twin_title="one restart",
        repairs=_truth_again,
    ),
    Fault(
        "U03",
        "somebody restarts it by hand again and again, which sets the counter back",
        _reset_by_hand,
        expected=LOOPS,
        window=2 * MINUTE,
        twin=restarted("rl_feedback"),
        twin_title="one restart",
        repairs=_truth_again,
        note="three starts within 15 minutes are a loop: here they take half a minute, then a `for` of one",
    ),
    Fault(
        "U04",
        "a library run as a service ends with 0 until the start limit",
        _start_limit,
        expected=DOWN,
        possible=(("UnitRestarting", "housekeeping"),),
        window=MINUTE,
        twin=_back,
        twin_title="a start",
        repairs=_back,
    ),
    Fault(
        "U05",
        "enabled, but inactive for ten days",
        _off_though_enabled,
        expected=DOWN,
        window=MINUTE,
        twin=_off_and_disabled,
        twin_title="switched off and disabled",
        repairs=_back,
    ),
    Fault(
        "U06",
        "killed at its memory limit",
        _out_of_memory,
        expected=DOWN,
        window=MINUTE,
        twin=_back,
        twin_title="a start",
        repairs=_back,
    ),
    Fault(
        "U07",
        "a timer never fires",
        _timer_stands,
        expected=(("TimerLate", "housekeeping"),),
        window=MINUTE,
        twin=_timer_goes,
        twin_title="it fired three hours ago, and will tomorrow",
        repairs=_timer_goes,
    ),
    Fault(
        "U08",
        "its env file cannot be used: it ends at every start",
        _unreadable_setting,
        expected=LOOPS,
        possible=(
            ("HeartbeatMissing", "rl_feedback"),
            ("HealthFailing", "rl_feedback"),
            ("HeartbeatStale", "rl_feedback"),
            ("NewLogErrors", "rl_feedback"),
            ("LogErrors", "rl_feedback"),
        ),
        window=2 * MINUTE,
        twin=_killed_once,
        twin_title="killed once",
        repairs=_readable_again,
    ),
    Fault(
        "U09",
        "old code runs on after a deploy",
        _deployed,
        expected=(("UnitOutdated", "rl_feedback"),),
        window=timedelta(minutes=16),
        twin=_deployed_and_restarted,
        twin_title="deployed and restarted",
        repairs=_deployed_and_restarted,
        note="15 minutes are left for the restart, and a look at the files comes once a minute",
    ),
)
