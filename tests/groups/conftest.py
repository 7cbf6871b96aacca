"""Each of the three servers, one a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.groups.wire import SERVERS, Wire, served


@pytest.fixture(scope="module", params=list(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, Wire]]:
    """Return the name of a running server, and a wire to it."""
    with served(request.param) as wire:
        yield request.param, wire
