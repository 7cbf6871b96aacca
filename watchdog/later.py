"""
What is loaded only if somebody needs it: a sidecar is always there, and most need no more than a part.

numpy is for logs alone and takes 12 MB. Colours are for terminals: httpx and structlog load `rich`
wherever it is installed, which a service never uses, and do without where it is not.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

PLUGINS, NONE = "PYDANTIC_DISABLE_PLUGINS", "__all__"
LOADER = "pydantic.plugin._loader"


class _Later(ModuleType):
    def __getattr__(self, name: str) -> Any:
        found = getattr(importlib.import_module(self.__name__), name)
        setattr(self, name, found)  # asked for once, it is as near as in the module itself
        return found


def later(name: str) -> Any:
    """Stand in for the module called *name*, which is loaded once something of it is asked for."""
    return _Later(name)


@contextlib.contextmanager
def without(*names: str) -> Iterator[None]:
    """Let modules that are loaded meanwhile find nothing of these *names* installed."""
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.modules |= dict.fromkeys(names)  # type: ignore[arg-type]  # as documented: importing them fails
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
        sys.modules |= before


def without_plugins() -> None:
    """
    Let pydantic have no plugins, and not load what looks for them; unless the environment names some.

    It would go through all packages there are.
    """
    if os.environ.setdefault(PLUGINS, NONE) == NONE:
        nobody = ModuleType(LOADER)
        nobody.get_plugins = tuple  # type: ignore[attr-defined]
        sys.modules.setdefault(LOADER, nobody)
