"""The page `docs/reference/metrics.md`, from the table that the exporter reads."""

from __future__ import annotations

from ventros_pipeline.metrics import metrics_reference

_HEAD = """# Metrics

`ventros serve` answers `GET /metrics` in the format of Prometheus to whoever sends the value of
`VENTROS_METRICS_TOKEN` as `Authorization: Bearer …`. Without that setting nothing is there (404):
the figures name the channels of all tenants. All figures are the database's, so every process that
serves tells the same, and one is enough to ask. They are read at most every 5 seconds, cost what
channels and days cost, and look at no message.

The label `channel` is the channel's key, as `ventros channel list` shows it. A channel that is
deleted is not there any more.

| metric | type | labels | what it says |
|---|---|---|---|
"""
_FOOT = """
`ventros_pipeline/deploy/prometheus-rules.yaml` holds alert rules over them, and
`ventros_pipeline/deploy/grafana-dashboard.json` a dashboard. Prometheus asks with

```yaml
scrape_configs:
  - job_name: ventros
    authorization:
      credentials_file: /etc/prometheus/ventros-token
    static_configs:
      - targets: ["127.0.0.1:8090"]
```
"""


def metrics_page() -> str:
    """Return the page as Markdown."""
    rows = [
        f"| `{name}` | {kind} | {labels} | {says} |"
        for name, kind, labels, says in metrics_reference()
    ]
    return _HEAD + "\n".join(rows) + "\n" + _FOOT
