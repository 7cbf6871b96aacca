"""What names give away: whose a key, a group, a consumer, a unit or a log is, as people call them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

HEARTBEAT_WORDS = frozenset(
    {"heartbeat", "heartbeats", "hb", "alive", "liveness", "keepalive", "last_seen", "lastseen", "beat"}
)
FLAG_WORDS = frozenset(
    {"killswitch", "kill", "halt", "halted", "freeze", "frozen", "paused", "safemode", "emergency"}
)
FLAG_PAIRS = frozenset(
    {
        ("kill", "switch"),
        ("emergency", "stop"),
        ("safe", "mode"),
        ("maintenance", "mode"),
        ("circuit", "breaker"),
        ("circuit", "open"),
    }
)
LONGEST = 48
"""No service needs a longer name."""
_NO_NAMES = (
    "app apps bus cg client clients consumer consumers cgroup data default entry event events global group"
    " groups grp high incoming internal job jobs key keys low main message messages mq msg normal outgoing"
    " prod production queue queues redis reader readers server service services staging state status stream"
    " streams svc svcs sys system task tasks topic topics worker workers"
)
NO_NAMES = frozenset(_NO_NAMES.split())
"""Words that say what something is, not whose."""
_KIND = re.compile(r"_(?:service|svc|worker|workers|consumer|consumers|group|cg|daemon|app|v\d+)$")
_UUID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_PARTS = re.compile(r"[:/|{}]+")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def parts(name: str) -> list[str]:
    """Return what stands between the colons of *name*."""
    return [part for part in _PARTS.split(name) if part]


def slug(text: str) -> str:
    """Return *text* as the name of a service: small letters, digits and underlines."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:LONGEST].strip("_")


def core(name: str) -> str:
    """Return what is left of a *name* without the words that say what it is: ``risk-service`` is ``risk``."""
    found = slug(name)
    while (shorter := _KIND.sub("", found)) and shorter != found:
        found = shorter
    return found


def is_random(part: str) -> bool:
    """Say whether *part* was made by a machine: a process id, a UUID, a hash."""
    if part.isdigit() or _UUID.fullmatch(part):
        return True
    return (
        len(part) >= 6 and bool(re.fullmatch(r"[0-9a-f]+|[0-9A-F]+", part)) and bool(re.search(r"\d", part))
    )


def words(name: str) -> list[str]:
    """Return the words of *name* in small letters: ``apply.plan_id`` has three, ``killSwitch`` two."""
    return [word.lower() for word in _WORDS.findall(name)]


def looks_like_heartbeat(name: str) -> bool:
    """Say whether a key called *name* may be a heartbeat."""
    said = words(name)
    return bool(HEARTBEAT_WORDS.intersection(said)) or ("last", "seen") in pairwise(said)


def looks_like_flag(name: str) -> bool:
    """Say whether a key called *name* may be a switch that stops something."""
    last = words(parts(name)[-1]) if parts(name) else []
    plain = len(last) <= 3 and bool(FLAG_WORDS.intersection(last))
    return plain or bool(FLAG_PAIRS.intersection(pairwise(last)))


def service_of_key(name: str, also: frozenset[str] = HEARTBEAT_WORDS) -> str:
    """Return whose the key *name* is, without namespace and words that say what it is; empty if nobody's."""
    meant = [p for p in parts(name) if not also.intersection(words(p)) and slug(p) not in NO_NAMES]
    if len(meant) > 1:
        meant = meant[-1:]  # what stands before it is a namespace
    if meant:
        return "" if is_random(meant[0]) else slug(meant[0])
    inside = [w for w in words(name) if w not in also and w not in NO_NAMES and w != "last"]
    return "_".join(inside)[:LONGEST]


def service_of_group(group: str, stream: str) -> str:
    """Return whose a consumer group is by its own name; empty if that says nothing, as ``workers`` does."""
    common = set(parts(stream)[:1]) if len(parts(stream)) > 1 else set()
    found = [p for p in parts(group) if p not in common and slug(p) not in NO_NAMES and not is_random(p)]
    return (core(found[0]) if found else "") or ""


def service_of_stream(stream: str) -> str:
    """Return what a service that nobody names is called, after its *stream*."""
    found = [p for p in parts(stream) if slug(p) and slug(p) not in NO_NAMES and not is_random(p)]
    return slug(found[-1]) if found else slug(stream) or "stream"


def service_of_file(path: str) -> str:
    """Return whose a log file is, by its name without a date and an ending."""
    name = path.rsplit("/", 1)[-1]
    name = re.sub(r"(?:\.(?:log|txt|out|err|json|jsonl))+$", "", name)
    return slug(re.sub(r"[-_.]?\d{4}-?\d\d-?\d\d.*$", "", name)) or slug(path)


def service_of_unit(unit: str) -> str:
    """Return whose a systemd unit is."""
    return slug(unit.rsplit(".", 1)[0].replace("@", "_"))


def without_common_beginning(names: Sequence[str]) -> Mapping[str, str]:
    """Return each of *names* without the words that all of them begin with, where there are several."""
    split = [name.split("_") for name in names]
    shared = 0
    while len(split) > 1 and all(len(s) > shared + 1 and s[shared] == split[0][shared] for s in split):
        shared += 1
    return {name: "_".join(name.split("_")[shared:]) for name in names}


def service_of_consumers(consumers: Iterable[str], hosts: frozenset[str]) -> str:
    """Return what *consumers* have in common without hosts and process ids; empty if nothing."""
    bases = {_base(name, hosts) for name in consumers}
    return bases.pop() if len(bases) == 1 else ""


def _base(name: str, hosts: frozenset[str]) -> str:
    told = _UUID.sub("", name)
    for host in hosts:
        told = re.sub(rf"(?<![A-Za-z0-9]){re.escape(host)}(?![A-Za-z0-9])", "", told)
    kept = [part for part in re.split(r"[^A-Za-z0-9]+", told) if part and not is_random(part)]
    found = "_".join(kept).lower()
    return "" if found in NO_NAMES else found


class Known:
    """Names of services that something told for sure; says which of them another name means."""

    def __init__(self, names: Iterable[str]) -> None:
        """Know *names*, the longest first."""
        self.names = sorted(dict.fromkeys(names), key=lambda name: (-len(name), name))
        self._cores = {core(name): name for name in reversed(self.names)}

    def same(self, name: str) -> str | None:
        """Return the service that is called *name*, be it with another ending."""
        return self._cores.get(core(name))

    def begun(self, name: str) -> str | None:
        """Return the service with whose name *name* is, or begins."""
        said = slug(name).split("_")
        beginnings = ("_".join(said[:end]) for end in range(len(said), 0, -1))
        return self.same(name) or next((self._cores[b] for b in beginnings if b in self._cores), None)

    def ended(self, name: str) -> str | None:
        """Return the service with whose name *name* ends, as that of a unit does (``quantum_execution``)."""
        said = core(name).split("_")
        endings = ("_".join(said[begin:]) for begin in range(1, len(said)))
        return next((self._cores[e] for e in endings if e in self._cores), None)

    def hinted(self, name: str) -> str | None:
        """Return the one service that *name* means, in full or by its last word (``bridge``)."""
        if (found := self.same(name)) is not None:
            return found
        said = f"_{core(name)}"
        ending = [known for its, known in self._cores.items() if its.endswith(said)]
        return ending[0] if len(ending) == 1 else None
