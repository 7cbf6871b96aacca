"""The option of the commands that can look at a part of what the file says: `--shard 3/10`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from watchdog.config import Config
from watchdog.later import later
from watchdog.shards import parse_shard
from watchdog.terminal import fail

if TYPE_CHECKING:
    from watchdog import dividing
else:  # mostly nothing is divided
    dividing = later("watchdog.dividing")

ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        help="watch only this part of the services: 3/10 is the third of ten",
        envvar="WATCHDOG_SHARD",
        show_default=False,
    ),
]


def shared(config: Config, shard: str | None, status: int) -> Config:
    """Return the part of *config* that *shard* names (none: all of it), or end with the cure and *status*."""
    if not shard:  # an empty variable names none
        return config
    try:
        return dividing.share(config, parse_shard(shard))
    except ValueError as exc:
        raise fail(f"--shard: {exc}", status) from exc
