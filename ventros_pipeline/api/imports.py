"""Start, watch and cancel the import of a channel's history.

What belongs here: what these three answer. What does not: who may ask (`guard.py`), what a plan is
and who runs it (`crm/plans.py`).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Body
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ventros_pipeline.api.guard import (
    GuardedRoute,
    ReadableChannel,
    Service,
    ServiceOf,
    StartableChannel,
)
from ventros_pipeline.api.problems import Problem, described
from ventros_pipeline.crm import ledger, lifecycle, plans
from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.limits import DayRange, Wish
from ventros_pipeline.planning import PlanError, plan_runs

router = APIRouter(prefix="/api/v1/crm/channels/{channel_id}", route_class=GuardedRoute)
_ALWAYS = ("unauthenticated", "not-found", "invalid", "too-many-requests")
_STARTING = (*_ALWAYS, "forbidden", "busy", "unsupported-media-type")


def _whole(value: object) -> object:
    """To JSON 7.0 is an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_Integer = Annotated[int, BeforeValidator(_whole)]


class ImportRequest(BaseModel):
    """What is to be imported."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "if": {"properties": {"strategy": {"const": "time_range"}}, "required": ["strategy"]},
            "then": {
                "properties": {"time_range_days": {"minimum": 1}},
                "required": ["time_range_days"],
            },
            "else": {"properties": {"time_range_days": {"const": 0}}},
        },
    )

    strategy: Literal["time_range", "full", "recent", "all", "maximum"] = Field(
        default="full",
        description="`time_range`: the last `time_range_days` days; `recent`: what is new since "
        "the last complete import; `full`, `all`, `maximum`: everything. Never more than the "
        "channel's own limits allow.",
    )
    time_range_days: _Integer = Field(
        default=0, ge=0, le=36_500, description="Only with `time_range`; today is the first day."
    )
    limit: _Integer = Field(
        default=0, ge=0, le=1_000_000, description="Only the newest messages of each chat; 0: all."
    )
    dry_run: bool = Field(default=False, description="Only say which days would be read.")

    @model_validator(mode="after")
    def _days_belong_to_a_range(self) -> Self:
        if (self.strategy == "time_range") != (self.time_range_days > 0):
            raise ValueError("time_range_days above 0 and the strategy time_range go together")
        return self

    @property
    def wish(self) -> Wish:
        """The same in the CRM's words."""
        return Wish(self.strategy, self.time_range_days, self.limit)


class Days(BaseModel):
    """Contiguous UTC days that one run reads."""

    first: date = Field(alias="from")
    last: date = Field(alias="to")
    days: int


class DryRun(BaseModel):
    """What an import would read."""

    channel: str
    dry_run: Literal[True] = True
    strategy: str
    days_total: int
    ranges: list[Days] = Field(description="The newest first, which is the order of reading.")


class PlannedDays(BaseModel):
    """A part of a plan."""

    first: date = Field(alias="from")
    last: date = Field(alias="to")
    state: str = Field(description="waiting, running, done or failed.")
    attempt: int = Field(description="How often it was begun.")
    failure: str | None = Field(description="configuration, not_ready, transient or poison.")
    error: str | None = Field(description="Why it failed, and what to do.")
    not_before: datetime | None = Field(description="Until when it is left alone.")
    started_at: datetime | None
    ended_at: datetime | None


class PlanAnswer(BaseModel):
    """An import: what it reads, and how far it is."""

    import_id: str
    channel: str
    driver: str = Field(description="Who runs it: run, command or sensor.")
    strategy: str
    status: str = Field(description="requested, running, completed or failed.")
    error: str | None
    days: int | None = Field(description="What was asked for; null is no limit.")
    max_per_chat: int | None
    surveyed: bool = Field(description="Whether WAHA was asked how far back its messages go.")
    requested_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    runs: int
    days_total: int
    days_done: int
    days_read: int
    messages: int = Field(description="Messages read so far.")
    contacts_created: int
    sessions_created: int
    rate: float | None = Field(description="Messages a second.")
    seconds_left: float | None = Field(description="Null where it cannot be told.")
    ranges: list[PlannedDays] = Field(description="The newest first, which is the order.")


class Balance(BaseModel):
    """Every row that WAHA gave is accounted for, or the balance does not close."""

    seen: int
    inserted: int
    updated: int
    unchanged: int
    duplicate: int
    filtered: int
    quarantined: int
    closes: bool


class CoverageLine(BaseModel):
    """Days of which the same is known."""

    state: str
    days: int
    from_day: date
    to_day: date
    rows: int


class Stats(BaseModel):
    """The CRM's own figures of the newest import."""

    model_config = ConfigDict(extra="allow")


class ImportStatus(BaseModel):
    """Where a channel's history stands."""

    channel: str
    id: str
    state: str = Field(description="idle, importing, completed or failed.")
    enabled: bool
    max_days: int | None
    max_per_chat: int | None
    stats: Stats | None
    last_import_at: datetime | None = Field(description="When the last complete import ended.")
    last_error: str | None = Field(description="Why the newest import failed.")
    problem: str | None = Field(description="What a person has to mend before WAHA can be read.")
    problem_since: datetime | None
    progress: PlanAnswer | None = Field(description="The newest import; null where none was.")
    balance: Balance
    coverage: list[CoverageLine]


@router.post(
    "/import-history",
    tags=["imports"],
    summary="Start an import",
    operation_id="startImport",
    status_code=202,
    response_model=PlanAnswer,
    responses={
        200: {"description": "A dry run: what would be read", "model": DryRun},
        **described(*_STARTING, "refused"),
    },
)
def start(
    channel: StartableChannel,
    service: ServiceOf,
    asked: Annotated[ImportRequest, Body()] = ImportRequest(),  # noqa: B008 - it is only read
) -> PlanAnswer | JSONResponse:
    """Store the plan of an import. The history sensor runs it, the newest days first."""
    ranges = _planned(service, channel, asked.wish)
    if asked.dry_run:
        dry = _dry(channel, asked, ranges)
        return JSONResponse(dry.model_dump(mode="json", by_alias=True))
    try:
        plans.request(service.engine, channel, asked.wish, ranges)
    except lifecycle.AlreadyImportingError as error:
        raise Problem("busy", _sentence(error)) from None
    except lifecycle.LifecycleError as error:
        raise Problem("refused", _sentence(error)) from None
    return _newest(service, channel)


@router.get(
    "/import-status",
    tags=["imports"],
    summary="How far the import is",
    operation_id="importStatus",
    responses=described(*_ALWAYS),
)
def status(channel: ReadableChannel, service: ServiceOf) -> ImportStatus:
    """Return the state, the newest plan's progress, the balance and what is known of the days."""
    engine = service.engine
    state = lifecycle.state_of(engine, channel)
    known = ledger.channel_state(engine, channel)
    plan = plans.plan_of(engine, channel)
    days = ledger.latest_balance(engine, channel)
    balance = {name: sum(day[name] for day in days) for name in ledger.COUNTS}
    return ImportStatus.model_validate(
        {
            "channel": channel.key,
            "id": str(channel.id),
            "state": state.status,
            "enabled": state.enabled,
            "max_days": state.max_days,
            "max_per_chat": state.max_per_chat,
            "stats": state.stats,
            "last_import_at": state.last_import_at,
            "last_error": plan.error if plan else None,
            "problem": known.problem,
            "problem_since": known.problem_since,
            "progress": plan and _answer(channel, plan.as_json()),
            "balance": {**balance, "closes": ledger.closes(balance)},
            "coverage": ledger.coverage(engine, channel),
        }
    )


@router.post(
    "/cancel",
    tags=["imports"],
    summary="Cancel the import",
    operation_id="cancelImport",
    status_code=202,
    responses=described(*_STARTING),
)
def cancel(channel: StartableChannel, service: ServiceOf) -> PlanAnswer:
    """Drop what is still waiting. A run in flight ends by itself; what was loaded is kept."""
    if not plans.cancel(service.engine, channel):
        raise Problem("busy", f"Channel {channel.key}: no import runs, so none was cancelled.")
    return _newest(service, channel)


def _planned(service: Service, channel: Channel, wish: Wish) -> list[DayRange]:
    """Return the days to read, without asking WAHA: the sensor does, and trims them."""
    today = service.now().date()
    settings = service.settings
    try:
        return plan_runs(
            settings.history_start,
            today,
            since=lifecycle.first_day(service.engine, channel, wish, today),
            until=None,
            oldest=None,
            run_days=settings.run_days,
        )
    except PlanError as error:
        raise Problem("refused", _sentence(error)) from None


def _dry(channel: Channel, asked: ImportRequest, ranges: list[DayRange]) -> DryRun:
    return DryRun(
        channel=channel.key,
        strategy=asked.strategy,
        days_total=sum(days.days for days in ranges),
        ranges=[
            Days.model_validate({"from": days.first, "to": days.last, "days": days.days})
            for days in ranges
        ],
    )


def _newest(service: Service, channel: Channel) -> PlanAnswer:
    plan = plans.plan_of(service.engine, channel)
    if plan is None:
        raise Problem("busy", f"Channel {channel.key}: its import is gone already.")
    return PlanAnswer.model_validate(_answer(channel, plan.as_json()))


def _answer(channel: Channel, plan: dict[str, Any]) -> dict[str, Any]:
    return {"channel": channel.key, **plan}


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
