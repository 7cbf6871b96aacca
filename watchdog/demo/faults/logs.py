"""The faults L01 to L10: what a log says, how it is written, what becomes of its file. The files are real."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta

from watchdog.demo.faults.deploy import restarted
from watchdog.demo.faults.fault import Fault
from watchdog.demo.faults.hands import setting
from watchdog.demo.stage import Actor, Stage

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
BRIDGE = "intent_bridge"
ERROR_RATIO = timedelta(minutes=12)
"""The window of LogErrors, ten minutes, and its `for` of two."""
FLOOD = 192  # lines a second, as it was


def line(at: datetime, level: str, message: str) -> bytes:
    """Return a line as the intent bridge writes it."""
    stamp = f"{at:%Y-%m-%d %H:%M:%S},{at.microsecond // 1000:03d}"
    return f"{stamp} - {BRIDGE} - {level} - {message}\n".encode()


def writes(stage: Stage, every: timedelta, text: Callable[[datetime], bytes]) -> Actor:
    """Have the bridge's log get *text* every so often, whatever file that is by then."""

    def act(at: datetime) -> None:
        with stage.units.logs[BRIDGE].open("ab") as log:
            log.write(text(at))

    return stage.each(every, act)


def timed_out(at: datetime) -> bytes:
    """Return an error as any service may log it."""
    return line(at, "ERROR", f"Order book of BTCUSDT timed out after {at.second + 2} s")


async def _dismiss(stage: Stage) -> None:
    stage.dismiss()


async def _errors(stage: Stage) -> None:
    writes(stage, SECOND, timed_out)


async def _few_errors(stage: Stage) -> None:
    writes(stage, 30 * SECOND, timed_out)


async def _new_kind(stage: Stage) -> None:
    await _old_noise(stage)
    with stage.units.logs["apply_layer"].open("ab") as log:
        log.write(f"{stage.clock():%Y-%m-%d %H:%M:%S} [ERROR] Lost the position ledger of ETHUSDT\n".encode())


async def _old_noise(stage: Stage) -> None:
    """Log what the file says is no error, again and again."""

    def act(at: datetime) -> None:
        with stage.units.logs["apply_layer"].open("ab") as log:
            known = "❌ exchange API error: APIError(code=-4164): Order's notional must be no smaller than 5"
            log.write(f"{at:%Y-%m-%d %H:%M:%S} [ERROR] {known}\n".encode())

    stage.each(10 * SECOND, act)


def failed(at: datetime) -> bytes:
    """Return the end of an order, as the pipeline of the outage logged it."""
    return line(at, "INFO", "🚫 TERMINAL STATE: FAILED | AAAUSDT BUY | Reason: API error")


async def _failed_at_info(stage: Stage) -> None:
    writes(stage, SECOND, failed)


async def _failed_now_and_then(stage: Stage) -> None:
    writes(stage, 2 * MINUTE, failed)


async def _trace_at_error(stage: Stage) -> None:
    writes(stage, SECOND, lambda at: line(at, "ERROR", f"[TRACE] RX msg_id={int(at.timestamp())}-0"))


async def _twice(stage: Stage) -> None:
    """Write everything the bridge logs a second time."""
    log = stage.units.logs[BRIDGE]
    place = log.stat().st_size

    def act(_at: datetime) -> None:
        nonlocal place
        with log.open("r+b") as file:
            file.seek(place)
            fresh = file.read()
            file.write(fresh)
            place = file.tell()

    stage.each(SECOND, act)


async def _rotated(stage: Stage) -> None:
    await _rotate(stage)
    await _errors(stage)


async def _rotate(stage: Stage) -> None:
    """Rotate the log in each way there is, with lines in between."""
    log = stage.units.logs[BRIDGE]
    log.rename(log.with_suffix(".log.1"))  # renamed: the service opens a new one
    await stage.live(10 * SECOND)
    log.with_suffix(".log.2").write_bytes(log.read_bytes())
    os.truncate(log, 0)  # copied and truncated in place
    await stage.live(10 * SECOND)
    log.unlink()  # taken away and made anew
    log.touch()
    await stage.live(10 * SECOND)
    for number in (1, 2):  # a link that is moved to the next file
        target = log.with_name(f"{BRIDGE}-{number}.log")
        target.touch()
        link = log.with_name("link")
        link.symlink_to(target)
        link.replace(log)
        await stage.live(10 * SECOND)


async def _flood(stage: Stage) -> None:
    writes(stage, SECOND, lambda at: line(at, "INFO", "retrying the request") * FLOOD)


async def _burst(stage: Stage) -> None:
    with stage.units.logs[BRIDGE].open("ab") as log:
        log.write(line(stage.clock(), "INFO", "Cache refreshed") * 1000)


async def _odd_bytes(stage: Stage) -> None:
    log = stage.units.logs[BRIDGE]
    with log.open("ab") as file:
        file.write(line(stage.clock(), "INFO", "x" * 1_000_000))
    odd = (b"caf\xe9 latin-1", b"NUL \0\0 bytes", "mojibake â\x9d\x8c".encode(), b"\xff\xfe broken")
    writes(
        stage, SECOND, lambda at: line(at, "ERROR", "Cannot read: @").replace(b"@", odd[at.second % len(odd)])
    )


async def _odd_but_well(stage: Stage) -> None:
    writes(stage, SECOND, lambda at: line(at, "INFO", "Read: @").replace(b"@", b"caf\xe9 \0 \xff"))


async def _gone(stage: Stage) -> None:
    """Put a link in the log's place that leads to itself: nobody can open it, not even root."""
    log = stage.units.logs["rl_trainer"]
    if not log.is_symlink():
        log.unlink()
        log.symlink_to(log.name)


async def _there_again(stage: Stage) -> None:
    log = stage.units.logs["rl_trainer"]
    log.unlink()
    log.touch()


_OF_BRIDGE = (("LogErrors", BRIDGE),)
_NEW_KIND = (("NewLogErrors", BRIDGE),)
FAULTS = (
    Fault(
        "L01",
        "more than a tenth of what a service logs are errors",
        _errors,
        expected=_OF_BRIDGE,
        possible=_NEW_KIND,
        window=ERROR_RATIO,
        twin=_few_errors,
        twin_title="an error every half a minute",
        repairs=_dismiss,
    ),
    Fault(
        "L02",
        "a new kind of error among old noise",
        _new_kind,
        expected=(("NewLogErrors", "apply_layer"),),
        twin=_old_noise,
        twin_title="the old noise alone",
        repairs=_dismiss,
    ),
    Fault(
        "L03",
        "failure is logged at INFO",
        _failed_at_info,
        expected=(("TerminalFailures", BRIDGE),),
        window=timedelta(minutes=10),
        twin=_failed_now_and_then,
        twin_title="an order fails every two minutes",
        repairs=_dismiss,
        note="no level tells it: `patterns` names the line, a rule of the user's how often is too often",
    ),
    Fault(
        "L04",
        "trace lines at ERROR for every entry: noise, and declared as such",
        _trace_at_error,
        window=ERROR_RATIO,
        repairs=_dismiss,
        note="`ignore` with a reason; without it this is L01",
    ),
    Fault("L05", "every line is written twice", _twice, window=ERROR_RATIO, repairs=_dismiss),
    Fault(
        "L06",
        "the log is renamed, truncated, made anew, its link moved; then errors come",
        _rotated,
        expected=_OF_BRIDGE,
        possible=_NEW_KIND,
        window=ERROR_RATIO,
        twin=_rotate,
        twin_title="all four rotations",
        repairs=_dismiss,
        note="that nothing is lost and nothing counted twice is proven in tests/logs/test_rotation",
    ),
    Fault(
        "L07",
        "a service stops logging",
        setting("intents", "LOG_LEVEL", "ERROR"),
        expected=(("LogSilent", "intents"),),
        window=MINUTE,
        twin=restarted("intents"),
        twin_title="a restart",
        repairs=setting("intents", "LOG_LEVEL", "INFO"),
    ),
    Fault(
        "L08",
        "192 lines a second, until the disk is full",
        _flood,
        expected=(("LogFlood", BRIDGE),),
        window=MINUTE,
        twin=_burst,
        twin_title="a thousand lines at once",
        repairs=_dismiss,
        note="what is too much is the user's to say (LogFlood); that the watchdog itself keeps up with"
        " 200,000 lines a second is measured in docs/benchmarks.md",
    ),
    Fault(
        "L09",
        "wrong encoding, NUL bytes, a line of a megabyte",
        _odd_bytes,
        expected=_OF_BRIDGE,
        possible=_NEW_KIND,
        window=ERROR_RATIO,
        twin=_odd_but_well,
        twin_title="odd bytes in lines that are no errors",
        repairs=_dismiss,
    ),
    Fault(
        "L10",
        "a log cannot be read",
        _gone,
        expected=(("SignalUnknown", "rl_trainer"),),
        window=2 * MINUTE,
        repairs=_there_again,
    ),
)
