"""Whether this process lives, and whether it can do its work.

What belongs here: the two questions that whoever runs the process asks. What does not: WAHA's
health (`ventros doctor`).
"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from ventros_pipeline.api.guard import ServiceOf
from ventros_pipeline.api.problems import Problem, described
from ventros_pipeline.crm import migrate
from ventros_pipeline.crm.database import DatabaseError

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """The process can work."""

    status: Literal["ready"] = "ready"
    migrated: str


@router.get(
    "/health", operation_id="health", summary="Whether the process lives", responses=described()
)
async def health() -> Alive:
    """Answer, and ask nobody."""
    return Alive()


@router.get(
    "/ready",
    operation_id="ready",
    summary="Whether the database answers",
    responses=described("unavailable"),
)
def ready(service: ServiceOf) -> Ready:
    """Ask the database, and whether its tables are this version's."""
    try:
        status = migrate.status(service.engine)
    except (DatabaseError, SQLAlchemyError):
        raise Problem("unavailable", "The database does not answer.") from None
    if status.pending or status.current is None:
        raise Problem("unavailable", "The database is not up to date: run `ventros db migrate`.")
    return Ready(migrated=status.current)
