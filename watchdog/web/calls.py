"""What an operation of the API is: a question with all it takes to answer it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel
from starlette.exceptions import HTTPException

from watchdog.report import Snapshot
from watchdog.sidecar import Sidecar
from watchdog.web.bodies import Query

NOT_YET = "the first tick is not finished"
QueryT = TypeVar("QueryT")
BodyT = TypeVar("BodyT")


@dataclass(frozen=True, slots=True)
class Call(Generic[QueryT, BodyT]):
    """One question: asked by *who* at *now*; *name* is the part of the path that varies."""

    sidecar: Sidecar
    now: datetime
    who: str
    name: str
    query: QueryT
    body: BodyT

    @property
    def latest(self) -> Snapshot:
        """Return what the sidecar knows; 503 before it has looked."""
        if self.sidecar.latest is None:
            raise HTTPException(503, NOT_YET)
        return self.sidecar.latest


Plain = Call[Query, None]
"""A question without parameters."""


@dataclass(frozen=True, slots=True)
class Operation:
    """
    One thing the API does.

    *answer* is the type of what *does* returns; *refuses* are the statuses with which it says no,
    besides those that all have. *also* is a second path, as Alertmanager has it.
    """

    method: str
    path: str
    summary: str
    does: Callable[[Call[Any, Any]], object]
    answer: Any
    query: type[Query] = Query
    body: type[BaseModel] | None = None
    status: int = 200
    refuses: tuple[int, ...] = ()
    also: str = ""
