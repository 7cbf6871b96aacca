"""Who reads and who writes each stream, and why that is believed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from watchdog.entries import Entry
from watchdog.firstlook.links import Link, find_links
from watchdog.firstlook.names import (
    NO_NAMES,
    Known,
    core,
    is_random,
    service_of_consumers,
    service_of_group,
    service_of_stream,
    slug,
    words,
)
from watchdog.firstlook.outcomes import said_by
from watchdog.firstlook.seen import GroupSeen, StreamSeen

SOURCE_FIELDS = ("source", "producer", "service", "origin", "sender", "publisher", "emitted_by", "app")
AGREED = 0.8
"""So large a part of the entries that name their writer name the same one."""
RECENT = 86_400_000
"""Consumers that did nothing for a day (in ms) do not tell who reads now."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A service, and why it is taken to be the one."""

    service: str
    why: str
    seen: bool = True
    """Whether anything but the stream's own name says so."""


class Owners:
    """Readers and writers of all streams."""

    def __init__(self, streams: Sequence[StreamSeen], known: Iterable[str], hosts: frozenset[str]) -> None:
        """Tell whose *streams* are; *known* are names of services that keys, units and logs gave away."""
        self._known = Known(known)
        self.readers: dict[tuple[str, str], Owner] = {
            (stream.key, group.name): self._reader(stream, group, hosts)
            for stream in streams
            for group in stream.groups
        }
        self._known = Known([*self._known.names, *(owner.service for owner in self.readers.values())])
        self._entries = {stream.key: stream.entries for stream in streams}
        self.links: Mapping[str, Sequence[Link]] = self._read_ones(find_links(streams))
        self.writers = {stream.key: self._writer(stream) for stream in streams}

    def reading(self, stream: str) -> list[str]:
        """Return the services that read *stream*."""
        return list(dict.fromkeys(o.service for (key, _), o in self.readers.items() if key == stream))

    def read_by(self, service: str) -> list[str]:
        """Return the streams that *service* reads."""
        return list(dict.fromkeys(key for (key, _), o in self.readers.items() if o.service == service))

    def entries(self, stream: str) -> Sequence[Entry]:
        """Return the entries of *stream* that were read."""
        return self._entries[stream]

    def input_of(self, stream: str) -> Link | None:
        """Return from which stream that its writer reads *stream* follows, if that can be seen."""
        read = self.read_by(self.writers[stream].service)
        return next((link for link in self.links.get(stream, ()) if link.source in read), None)

    def _read_ones(self, links: Mapping[str, Sequence[Link]]) -> Mapping[str, Sequence[Link]]:
        """Return *links* from streams that somebody reads: from others nothing can follow."""
        read = {key for key, _ in self.readers}
        return {key: [link for link in some if link.source in read] for key, some in links.items()}

    def _reader(self, stream: StreamSeen, group: GroupSeen, hosts: frozenset[str]) -> Owner:
        lately = [one.name for one in group.consumers if one.idle_ms < RECENT]
        names = lately or [one.name for one in group.consumers]
        base = service_of_consumers(names, hosts)
        if base and (known := self._known.begun(base)) is not None:
            return Owner(known, f"its consumers are called {base}…")
        own = service_of_group(group.name, stream.key)
        for part in (own, slug(group.name)):
            if part and (known := self._known.begun(part)) is not None:
                return Owner(known, "by the name of its group")
        if own:
            return Owner(own, "named after the group")
        if base:
            return Owner(core(base), f"its consumers are called {base}…")
        return Owner(service_of_stream(stream.key), "named after the stream: the group's name says nothing")

    def _writer(self, stream: StreamSeen) -> Owner:
        said = said_by(stream.entries, SOURCE_FIELDS)
        stranger = ""
        if said is not None:
            name, word, count, of = said
            if count >= AGREED * of and not is_random(word) and core(word):
                says = f"its entries say {name}={word}"
                says += f" ({count:,} of {of:,} that name one)" if count < of else ""
                if (known := self._known.hinted(word)) is not None:
                    return Owner(known, says)
                stranger = says
        for link in self.links.get(stream.key, ())[:1]:
            readers = self.reading(link.source)
            writer = readers[0] if len(readers) == 1 else _alike(readers, stream.key)
            if writer is not None:
                why = f"{link.matched:,} of {link.of:,} entries carry an id of {link.source}, which it reads"
                return Owner(writer, why)
        if stranger and said is not None:
            return Owner(core(said[1]), stranger)
        return Owner(service_of_stream(stream.key), "who writes it could not be seen", seen=False)


def _alike(services: Sequence[str], stream: str) -> str | None:
    """Return the one of *services* that has a word in common with the name of *stream*."""
    said = set(words(stream)) - NO_NAMES
    found = [service for service in services if said.intersection(words(service))]
    return found[0] if len(found) == 1 else None
