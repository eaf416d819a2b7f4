"""`GET /metrics`: the figures of all channels, as Prometheus reads them.

What belongs here: the token, the exposition, and how long an answer is kept. What does not: the
figures (`crm/measuring.py`) and what they mean (`ventros_pipeline/metrics.py`).

They name the channels of all tenants, so no key of a CRM user opens them: there is a token of their
own, and without one there is nothing at this address. A caller on loopback is nobody special, for a
proxy on this machine is one, too. All figures are the database's, so every process tells the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from hmac import compare_digest

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from sqlalchemy.engine import Engine

from ventros_pipeline.api.guard import ServiceOf
from ventros_pipeline.api.problems import Problem
from ventros_pipeline.crm.measuring import Sample, measure
from ventros_pipeline.metrics import METRICS

# Several servers of Prometheus, or an impatient one, cost the database one question in this time.
KEPT_SECONDS = 5.0
router = APIRouter()
_FAMILIES = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}


class Figures(Collector):
    """Gives the figures to Prometheus' library, and keeps them for a moment."""

    def __init__(self, engine: Engine) -> None:
        """Prepare to ask a database."""
        self._engine = engine
        self._lock = threading.Lock()
        self._kept: list[Sample] = []
        self._until = float("-inf")

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, also one that has no sample."""
        by_name: dict[str, list[Sample]] = {}
        for sample in self._samples():
            by_name.setdefault(sample.metric, []).append(sample)
        for metric in METRICS:
            family = _FAMILIES[metric.kind](metric.name, metric.says, labels=metric.labels)
            for sample in by_name.get(metric.name, ()):
                others = [] if sample.label is None else [sample.label]
                family.add_metric([sample.channel, *others], sample.value)
            yield family

    def _samples(self) -> list[Sample]:
        with self._lock:
            if time.monotonic() >= self._until:
                self._kept = measure(self._engine)
                self._until = time.monotonic() + KEPT_SECONDS
            return self._kept


def registry_of(engine: Engine) -> CollectorRegistry:
    """Return a registry of these figures alone, and nothing of this process."""
    # `auto_describe` would ask the database when the application is made.
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(engine))
    return registry


# Whoever calls is no client of the API that the document describes.
@router.get("/metrics", include_in_schema=False)
def metrics(request: Request, service: ServiceOf) -> Response:
    """Answer with all figures, to whoever shows the token."""
    token = service.settings.metrics_token
    if token is None:
        raise Problem("not-found", "Metrics are not served: VENTROS_METRICS_TOKEN is not set.")
    if not _shows(request, token.get_secret_value()):
        raise Problem(
            "unauthenticated",
            "Send the value of VENTROS_METRICS_TOKEN, as `Authorization: Bearer …`.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(request.app.state.registry), headers={"Content-Type": content_type})


def _shows(request: Request, token: str) -> bool:
    """Say whether a request shows the token, once; how long it takes tells nothing of it."""
    given = request.headers.getlist("authorization")
    scheme, _, shown = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    hashes = (sha256(each.encode()).digest() for each in (shown.strip(), token))
    return compare_digest(*hashes) and scheme.lower() == "bearer"
