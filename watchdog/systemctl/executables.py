"""Why a file cannot be executed, found by looking at it as the kernel does."""

from __future__ import annotations

import errno
import grp
import os
import platform
import pwd
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from watchdog.units import plain

HEAD_BYTES = 4096
_ELF_MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64", 22: "s390x", 21: "ppc64"}
_KNOWN_MACHINES = {"i686": "i386", "armv7l": "arm", "ppc64le": "ppc64"}
_RUNS_ON = {"x86_64": ("x86_64", "i386"), "aarch64": ("aarch64", "arm")}
_PT_INTERP = 3
_ACL = "system.posix_acl_access"


@dataclass(frozen=True, slots=True)
class Account:
    """Who executes it: a user and the groups it is in; root may do anything that anybody may."""

    name: str
    uid: int
    groups: frozenset[int]

    def may(self, path: Path, bit: int) -> bool:
        """Say whether it may read (4) or execute (1) what is at *path*; also where an ACL decides."""
        told = path.stat()
        mode = stat.S_IMODE(told.st_mode)
        if self.uid == 0:
            return bit != 1 or stat.S_ISDIR(told.st_mode) or bool(mode & 0o111)
        if _has_acl(path):
            return True
        shift = 6 if told.st_uid == self.uid else 3 if told.st_gid in self.groups else 0
        return bool(mode >> shift & bit)


def account(user: str, group: str = "") -> Account | str:
    """Return who *user* (a name or a number; empty: we) is, or what is wrong with it."""
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user or _ourselves())
    except KeyError:
        return f'there is no user "{plain(user)}" on this machine'
    groups = frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid))
    if not group:
        return Account(entry.pw_name, entry.pw_uid, groups)
    try:
        own = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError:
        return f'there is no group "{plain(group)}" on this machine'
    return Account(entry.pw_name, entry.pw_uid, groups | {own})


def _ourselves() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def why_unreachable(path: Path, who: Account) -> str | None:
    """Say what of *path* is missing or closed to *who*, or None if nothing is."""
    shown = plain(str(path))
    for folder in reversed(path.parents):
        if not folder.exists():
            link = f" (a link to {plain(os.readlink(folder))})" if folder.is_symlink() else ""
            return f"{shown} does not exist: there is no directory {plain(str(folder))}{link}"
        if not folder.is_dir():
            return f"{shown} does not exist: {plain(str(folder))} is no directory"
        if not who.may(folder, 1):
            return f"user {who.name} may not enter {plain(str(folder))}, so it cannot reach {shown}"
    if path.is_symlink() and not path.exists():
        return f"{shown} is a link to {plain(os.readlink(path))}, which does not exist"
    return None if path.exists() else f"{shown} does not exist"


def why_not_executable(path: Path, who: Account) -> str | None:
    """Say in one sentence why *who* cannot execute *path*, or None if nothing speaks against it."""
    if (closed := why_unreachable(path, who)) is not None:
        return closed
    shown = plain(str(path))
    told = path.stat()
    if stat.S_ISDIR(told.st_mode):
        return f"{shown} is a directory, not a program"
    if not stat.S_IMODE(told.st_mode) & 0o111:
        return f"{shown} has no execute bit (chmod +x {shown})"
    if not who.may(path, 1):
        mode = f"{stat.filemode(told.st_mode)}, owner {_owner(told.st_uid)}"
        return f"user {who.name} may not execute {shown} ({mode})"
    if os.statvfs(path).f_flag & os.ST_NOEXEC:
        return f"{shown} lies on a file system that is mounted noexec (move it, or mount it with exec)"
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return next(_wrong_with(shown, head, who), None)


def _wrong_with(shown: str, head: bytes, who: Account) -> Iterator[str]:
    """Yield what is wrong with the first bytes of a program."""
    if not head:
        yield f"{shown} is empty"
    elif head.startswith(b"\x7fELF"):
        yield from _wrong_elf(shown, head)
    elif head.startswith(b"#!"):
        yield from _wrong_script(shown, head, who)
    elif head.startswith(b"\xef\xbb\xbf#!"):
        yield f"{shown} begins with a byte order mark, so its #! is not seen (save it as UTF-8 without BOM)"
    elif b"#!" in head[:64].lstrip() and head.lstrip().startswith(b"#!"):
        yield f"{shown} begins with a blank before its #! (remove it)"
    elif not head.startswith(b"MZ"):  # binfmt_misc knows some of those
        yield f"{shown} is neither a binary nor a script that begins with #! (add a line like #!/bin/sh)"


def _wrong_script(shown: str, head: bytes, who: Account) -> Iterator[str]:
    line = head.split(b"\n", 1)[0]
    words = line[2:].decode(errors="replace").strip(" \t").split()
    if not words:
        yield f"{shown} names no interpreter behind its #!"
        return
    if line.endswith(b"\r"):
        wanted = words[1] if words[0].endswith("/env") and len(words) > 1 else words[0]
        yield (
            f'the lines of {shown} end with CRLF, so "{plain(wanted)}\\r" is looked for'
            f" (sed -i 's/\\r$//' {shown})"
        )
        return
    interpreter = Path(words[0])
    if not interpreter.is_absolute():
        yield f"{shown} names its interpreter {plain(words[0])} without a path"
    elif (closed := why_unreachable(interpreter, who)) is not None:
        yield f"the interpreter of {shown} cannot be run: {closed}"
    elif not who.may(interpreter, 1):
        yield f"the interpreter of {shown}, {plain(words[0])}, cannot be executed by {who.name}"


def _wrong_elf(shown: str, head: bytes) -> Iterator[str]:
    """Yield whether it is made for another machine, or for a loader that is not here."""
    if len(head) < 64:
        yield f"{shown} is a binary that was cut off"
        return
    order = "<" if head[5] == 1 else ">"
    (machine,) = struct.unpack_from(f"{order}H", head, 18)
    here = _KNOWN_MACHINES.get(platform.machine(), platform.machine())
    made_for = _ELF_MACHINES.get(machine)
    if made_for is not None and made_for not in _RUNS_ON.get(here, (here,)):
        yield f"{shown} is a binary for {made_for}, and this machine is {here}"
        return
    loader = _loader(head, order)
    if loader and not Path(loader).exists():
        yield f"{shown} wants the loader {plain(loader)}, which does not exist (another libc?)"


def _loader(head: bytes, order: str) -> str:
    """Return the program interpreter an ELF file names, empty if it names none here."""
    wide = head[4] == 2  # ELFCLASS64
    try:
        at = struct.unpack_from(f"{order}Q" if wide else f"{order}I", head, 32 if wide else 28)[0]
        size, count = struct.unpack_from(f"{order}HH", head, 54 if wide else 42)
        for start in range(at, at + min(count, 64) * size, size or 1):
            (kind,) = struct.unpack_from(f"{order}I", head, start)
            if kind == _PT_INTERP:
                where = f"{order}Q" if wide else f"{order}I"
                (offset,) = struct.unpack_from(where, head, start + (8 if wide else 4))
                return head[offset : offset + 256].split(b"\0", 1)[0].decode(errors="replace")
    except struct.error:
        return ""
    return ""


def _owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _has_acl(path: Path) -> bool:
    try:
        os.getxattr(path, _ACL)
    except OSError as exc:
        return exc.errno not in (errno.ENODATA, errno.EOPNOTSUPP)
    except AttributeError:  # not on Linux
        return False
    return True
