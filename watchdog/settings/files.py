"""Env files on this machine: read once per change, whose they are, and who may read them."""

from __future__ import annotations

import glob
import grp
import os
import pwd
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from watchdog.errors import CollectError
from watchdog.settings.envfiles import EnvText, read_env
from watchdog.settings.requirements import Told
from watchdog.settings.secrecy import is_secret
from watchdog.systemctl.environment import UnitEnvironment
from watchdog.units import rfc3339

LARGEST_BYTES = 1 << 20
_BACKUP = re.compile(r".*(?:\.bak[^/]*|~|\.sw[op]|\.orig|\.old|\.save|\.rpm(?:new|save)|\.dpkg-\w+)")
_TEMPLATE_KEY = re.compile(r"^[ \t]*+[#;]?[ \t]*+(?:export[ \t]++)?([A-Za-z_]\w*+)[ \t]*+=", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class EnvFile:
    """An env file as it was read: *stamp* changes when it does, *written* is in seconds since the epoch."""

    path: str
    text: EnvText
    raw: str
    status: os.stat_result

    @property
    def stamp(self) -> tuple[int, ...]:
        """Return what is another tuple after every change of the file."""
        return _stamp(self.status)

    @property
    def written(self) -> float:
        """Return when its contents were last written, in seconds since the epoch."""
        return self.status.st_mtime

    @property
    def owner(self) -> str:
        """Return the name of the user it belongs to, or the number of one without a name."""
        try:
            return pwd.getpwuid(self.status.st_uid).pw_name
        except KeyError:
            return f"uid {self.status.st_uid}"

    @property
    def mode(self) -> str:
        """Return its permissions as `chmod` takes them."""
        return f"{stat.S_IMODE(self.status.st_mode):04o}"


class Shelf:
    """Env files, each parsed once for as long as it stays the same."""

    def __init__(self) -> None:
        self._known: dict[str, EnvFile] = {}

    def read(self, path: str) -> EnvFile:
        """Return the file at *path*; raise CollectError if systemd could not use it."""
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise CollectError(f"{path} is no file (give the path of an env file)")
            with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
                status = os.fstat(opened.fileno())
                known = self._known.get(path)
                if known is not None and known.stamp == _stamp(status):
                    return known
                content = opened.read(LARGEST_BYTES + 1)
        except OSError as exc:
            raise CollectError(f"{path} cannot be read: {exc.strerror}") from exc
        if len(content) > LARGEST_BYTES:
            raise CollectError(f"{path} is no env file: it is larger than 1 MiB")
        raw = content.decode("utf-8", "surrogateescape")
        found = self._known[path] = EnvFile(path, read_env(raw), raw, status)
        return found

    def read_all(self, names: Sequence[str]) -> list[EnvFile]:
        """
        Return the files of *names* in the order in which systemd reads them; a later one wins.

        As in a unit, a name is a path or a glob, with ``-`` in front where it may be missing. Backups
        that a glob takes in are left out.
        """
        found = []
        for name in names:
            path = name.removeprefix("-")
            try:
                paths = list(matching(path)) if glob.has_magic(path) else [path]
                files = [usable(self.read(path)) for path in paths]
            except CollectError:
                if not name.startswith("-"):
                    raise
            else:
                found += files
        return found


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def matching(pattern: str) -> Iterator[str]:
    """Yield the env files that *pattern* names in their order; raise CollectError if there is none."""
    paths = sorted(path for path in glob.glob(pattern) if is_backup(pattern) or not is_backup(path))
    if not paths:
        raise CollectError(f"{pattern} names no file")
    yield from paths


def is_backup(path: str) -> bool:
    """Say whether *path* is the copy of a file that somebody or some program keeps beside it."""
    return _BACKUP.fullmatch(path) is not None


def usable(file: EnvFile) -> EnvFile:
    """Return *file*; raise CollectError if systemd would take nothing of it."""
    if file.text.refused is not None:
        raise CollectError(f"{file.path}:{file.text.refused.line} {file.text.refused.what}")
    return file


def merged(files: list[EnvFile], first: Mapping[str, Told] | None = None) -> dict[str, Told]:
    """Return what *files* set, one after the other, over what was set *first*."""
    found = dict(first or {})
    for file in files:
        for key, setting in file.text.settings.items():
            before = found.get(key)
            over = before.where if before is not None and before.value != setting.value else ""
            found[key] = Told(setting.value, file.path, setting.line, over)
    return found


def handed(unit: UnitEnvironment, shelf: Shelf) -> dict[str, Told]:
    """Return what systemd hands the *unit*: what itself sets, its files over that, without what it drops."""
    first = {key: Told(text, f"Environment= of {unit.name}") for key, text in unit.own.items()}
    found = merged(shelf.read_all(unit.files), first)
    return {key: told for key, told in found.items() if not {key, f"{key}={told.value}"} & unit.dropped}


def warnings_of(file: EnvFile) -> Iterator[str]:
    """Yield what is wrong with *file* in itself."""
    for remark in file.text.remarks:
        yield f"{file.path}:{remark.line}: {remark.what} ({remark.cure})"
    if (secret := exposed(file)) is not None:
        yield secret


def described(file: EnvFile) -> str:
    """Return whose file it is and when it was written, in one line."""
    written = datetime.fromtimestamp(file.written, tz=UTC)
    return f"{file.path}: written {rfc3339(written)}, belongs to {file.owner}, mode {file.mode}"


def known_keys(file: EnvFile) -> frozenset[str]:
    """Return the keys a template names, those behind a comment sign included."""
    return frozenset(_TEMPLATE_KEY.findall(file.raw))


def exposed(file: EnvFile) -> str | None:
    """Say that secrets of *file* can be read by everybody, if so."""
    if not file.status.st_mode & stat.S_IROTH or not _open_to_all(file.path):
        return None
    secrets = [key for key, found in file.text.settings.items() if is_secret(key, found.value)]
    if not secrets:
        return None
    first = f"{secrets[0]} and {len(secrets) - 1} more" if len(secrets) > 1 else secrets[0]
    return f"{file.path} holds {first} and can be read by everybody (chmod o-r; its mode is {file.mode})"


def _open_to_all(path: str) -> bool:
    """Say whether everybody may pass the directories that lead to *path*."""
    try:
        return all(parent.stat().st_mode & stat.S_IXOTH for parent in Path(path).resolve().parents)
    except OSError:
        return True


def unreadable_for(user: str, file: EnvFile) -> str | None:
    """Say that *user* cannot read *file*, if so; nothing where access lists have the last word."""
    try:
        who = pwd.getpwnam(user) if not user.isdecimal() else pwd.getpwuid(int(user))
    except KeyError:
        return f"there is no user {user} to read {file.path}"
    groups = os.getgrouplist(who.pw_name, who.pw_gid)
    if who.pw_uid == 0 or _has_access_list(file.path):
        return None
    if not _may(file.status, who.pw_uid, groups, 4):
        return f"{user} cannot read {file.path}, which belongs to {_of(file.status)} with mode {file.mode}"
    for parent in Path(file.path).resolve().parents:
        status = parent.stat()
        if not _may(status, who.pw_uid, groups, 1) and not _has_access_list(str(parent)):
            return f"{user} cannot read {file.path}: {parent} is closed to it"
    return None


def _may(status: os.stat_result, uid: int, groups: Sequence[int], wanted: int) -> bool:
    if status.st_uid == uid:
        return bool(status.st_mode >> 6 & wanted)
    return bool(status.st_mode >> (3 if status.st_gid in groups else 0) & wanted)


def _of(status: os.stat_result) -> str:
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    try:
        return f"{pwd.getpwuid(status.st_uid).pw_name}:{group}"
    except KeyError:
        return f"{status.st_uid}:{group}"


def _has_access_list(path: str) -> bool:
    try:
        return "system.posix_acl_access" in os.listxattr(path)
    except OSError:
        return False
