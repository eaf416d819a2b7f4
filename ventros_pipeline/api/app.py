"""The application: routes, guard, frame and document put together.

What belongs here: the assembly. What does not: anything that answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from sqlalchemy.engine import Engine

from ventros_pipeline.api import events, health, imports, metrics, problems
from ventros_pipeline.api.frame import REQUEST_SECONDS, Frame
from ventros_pipeline.api.guard import Service
from ventros_pipeline.settings import Settings

_ABOUT = """Start, watch and cancel imports of WhatsApp history, and take WAHA's webhooks.

Errors are `application/problem+json`, wherever they arise. `type` is `urn:ventros:problem:` and
"""


def create_app(
    engine: Engine,
    settings: Settings,
    *,
    now: Callable[[], datetime] | None = None,
    request_seconds: float = REQUEST_SECONDS,
) -> FastAPI:
    """Return the application over a migrated database.

    Args:
        now: the clock, UTC.
        request_seconds: how long one request may take.
    """
    app = FastAPI(
        title="Ventros history import",
        description=_ABOUT + "".join(_kinds()),
        version=version("ventros-pipeline"),
        # Their pages load scripts from elsewhere; the document itself is at /openapi.json.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # Whoever wants traces sets them up around the process: bodies and keys are in these.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.service = Service(engine, settings, now or (lambda: datetime.now(UTC)))
    app.state.registry = metrics.registry_of(engine)
    for part in (imports, events, health, metrics):
        app.include_router(part.router)
    problems.install(app)
    app.add_middleware(Frame, seconds=request_seconds)
    _document(app)
    return app


def _kinds() -> Iterator[str]:
    for kind, (status, title) in problems.KINDS.items():
        yield f"\n- `{kind}` ({status}): {title}"


def _document(app: FastAPI) -> None:
    """Let the OpenAPI document say what a problem is, and nothing of FastAPI's own errors."""
    document = app.openapi

    def with_problems() -> dict[str, Any]:
        if app.openapi_schema is None:
            schemas = document()["components"]["schemas"]
            schema = problems.ProblemDetails.model_json_schema(
                ref_template="#/components/schemas/{model}"
            )
            schemas |= {**schema.pop("$defs"), "Problem": schema}
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
        return app.openapi_schema or {}

    app.openapi = with_problems  # type: ignore[method-assign]
