"""The page, the dashboard and the rules speak of the metrics that are exported, and of all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
import yaml

from docs.metrics_page import metrics_page
from ventros_pipeline.metrics import BY_NAME, METRICS, Metric

DEPLOY = resources.files("ventros_pipeline.deploy")
DASHBOARD = json.loads(DEPLOY.joinpath("grafana-dashboard.json").read_text("utf-8"))
RULES = yaml.safe_load(DEPLOY.joinpath("prometheus-rules.yaml").read_text("utf-8"))
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
# What Prometheus itself makes of a job.
OWN = {"up"}


def shown() -> Iterator[tuple[str, str]]:
    """Yield each question of the dashboard, with the legend of its answer."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"], target["legendFormat"]


def asked(expression: str) -> list[tuple[str, set[str]]]:
    """Return the metrics of a question, each with the labels that it is asked by."""
    found = re.findall(r"\b(ventros_\w+|up\b)(?:\{([^}]*)\})?", expression)
    return [(name, set(re.findall(r"(\w+)\s*=", labels))) for name, labels in found]


def test_the_page_names_every_metric() -> None:
    for metric in METRICS:
        assert f"| `{metric.name}` | {metric.kind} |" in metrics_page()


@pytest.mark.parametrize(
    "expression", [*(expr for expr, _ in shown()), *(rule["expr"] for rule in ALERTS)]
)
def test_every_question_is_about_metrics_and_labels_that_are_exported(expression: str) -> None:
    found = asked(expression)
    assert found
    for name, labels in found:
        metric = BY_NAME.get(name)
        assert (metric is not None) or name in OWN, name
        if metric is not None:
            assert labels <= set(metric.labels)
            assert_counted(metric, expression)


def assert_counted(metric: Metric, expression: str) -> None:
    """Assert that a counter is asked by how it rises, and a gauge is not."""
    rises = re.search(rf"(rate|increase)\({metric.name}\b", expression) is not None
    assert rises == (metric.kind == "counter")


def test_the_dashboard_shows_every_metric_and_legends_name_labels() -> None:
    assert {name for expr, _ in shown() for name, _ in asked(expr)} == set(BY_NAME)
    for expr, legend in shown():
        labels = {label for name, _ in asked(expr) for label in BY_NAME[name].labels}
        assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= labels
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken)), "panels overlap"
    assert all(x < 24 for x, _ in taken)


def test_every_rule_says_how_bad_it_is_and_what_to_do() -> None:
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS)
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
