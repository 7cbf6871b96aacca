"""docs/reference/clients.md offers lines to copy: they must be right, and name what the libraries really make."""

from __future__ import annotations

import re

from tests.clients import test_faststream, test_streaq, test_taskiq
from tests.clients.test_faststream import PAGE
from watchdog.config import parse


def test_the_samples_watch_what_the_libraries_make() -> None:
    """Each is a whole file, and its first group is the one that the tests watch."""
    configs = [parse(sample) for sample in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    watched = [
        next(dict(spec.key.labels) for spec in config.signals if spec.key.kind == "consumes")
        for config in configs
    ]
    modules = (test_taskiq, test_faststream, test_streaq)
    assert watched == [{"stream": m.LIBRARY.stream, "group": m.LIBRARY.group} for m in modules]
