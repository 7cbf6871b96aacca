"""The faults C01 to C08: what people do to an env file, and what a process makes of it."""

from __future__ import annotations

import os
import stat
from datetime import timedelta
from functools import partial

from watchdog.demo.faults.fault import Deed, Fault
from watchdog.demo.layout import LEDGER_EXPORT, ledger_export
from watchdog.demo.stage import Stage

MINUTE = timedelta(minutes=1)
LEDGER = "quantum-ledger-export.service"
VIOLATED = (("SettingsViolated", "housekeeping"),)
SUSPICIOUS = (("SettingsSuspicious", "housekeeping"),)
STALE = (("SettingsStale", "housekeeping"),)
SECRET = "API_SECRET=s3cr3t-0f-n0b0dy\n"  # noqa: S105 - it opens nothing


async def _write(stage: Stage, text: str, mode: int = 0o644, *, restart: bool = True) -> None:
    """Have the file say *text*, and the unit go by it."""
    path = ledger_export(stage.directory)
    path.chmod(mode)
    path.write_text(text, encoding="utf-8", newline="")
    at = stage.clock().timestamp()
    os.utime(path, times=(at, at))
    if restart:
        stage.units.show(LEDGER)


async def _everybody_reads(stage: Stage) -> None:
    """Add a secret, where everybody may pass."""
    for folder in ledger_export(stage.directory).parents:
        status = folder.stat()
        if status.st_uid == os.getuid() and not status.st_mode & stat.S_IXOTH:
            folder.chmod(status.st_mode | stat.S_IXOTH)
    await _write(stage, LEDGER_EXPORT + SECRET)


def says(text: str, mode: int = 0o644, *, restart: bool = True) -> Deed:
    """Return the deed of whoever writes *text* into the file."""
    return partial(_write, text=text, mode=mode, restart=restart)


def with_line(line: str) -> Deed:
    """Return the deed of whoever adds *line*."""
    return says(f"{LEDGER_EXPORT}{line}\n")


def changed(old: str, new: str) -> Deed:
    """Return the deed of whoever changes *old* into *new*."""
    assert old in LEDGER_EXPORT
    return says(LEDGER_EXPORT.replace(old, new))


def _fault(id_: str, title: str, breaks: Deed, twin: Deed, twin_title: str) -> Fault:
    """Return a fault that one look at the file shows."""
    expected = VIOLATED if id_ in {"C01", "C02", "C05", "C07"} else SUSPICIOUS
    return Fault(
        id_,
        title,
        breaks,
        expected,
        window=MINUTE,
        twin=twin,
        twin_title=twin_title,
        repairs=says(LEDGER_EXPORT),
    )


ELSEWHERE = changed("EXPORT_DIR=/var/lib", "EXPORT_DIR=/srv")
FAULTS = (
    _fault(
        "C01",
        "a critical setting is changed by hand",
        changed("EXPORT_MODE=daily", "EXPORT_MODE=hourly"),
        ELSEWHERE,
        "one that nobody requires is changed",
    ),
    _fault(
        "C02",
        "two settings contradict each other",
        changed("BINANCE_TESTNET=true", "BINANCE_TESTNET=false"),
        changed("BINANCE_TESTNET=true", "BINANCE_TESTNET=True"),
        "the same, spelt otherwise",
    ),
    _fault(
        "C03",
        "a comment behind the value becomes part of it",
        with_line("DRY_RUN=true # temporary"),
        with_line("# temporary\nDRY_RUN=true"),
        "a comment in a line of its own",
    ),
    _fault(
        "C04",
        "CRLF, a leading space, a key twice, a line without `=`",
        says(LEDGER_EXPORT.replace("\n", "\r\n") + " DRY_RUN=true\nDRY_RUN=false\nlive\n"),
        with_line('DRY_RUN="true"\n'),
        "quotes that systemd takes off, and an empty line",
    ),
    _fault(
        "C05",
        "a key that nobody knows: a typo of a known one",
        with_line("EXPORT_MODUS=daily"),
        with_line("DRY_RUN=false"),
        "a key that is known",
    ),
    Fault(
        "C06",
        "the file was changed, the process not restarted",
        says(LEDGER_EXPORT.replace("/var/lib", "/srv"), restart=False),
        STALE,
        window=timedelta(minutes=11),
        twin=ELSEWHERE,
        twin_title="changed, and restarted",
        repairs=says(LEDGER_EXPORT),
        note="ten minutes are left for the restart; systemd is asked twice a minute what it handed over",
    ),
    _fault(
        "C07",
        "a temporary override stays beyond its day",
        changed("P33_STALE_THRESHOLD_SEC=10", "P33_STALE_THRESHOLD_SEC=300"),
        changed("P33_STALE_THRESHOLD_SEC=10", "P33_STALE_THRESHOLD_SEC=20"),
        "set to something else",
    ),
    _fault(
        "C08",
        "a secret in a file that everybody can read",
        _everybody_reads,
        says(LEDGER_EXPORT + SECRET, 0o600),
        "a secret that its owner alone can read",
    ),
)
