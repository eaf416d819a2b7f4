"""The HTTP API: start, watch and cancel imports, and take WAHA's webhooks.

What belongs here: HTTP: routes, bodies, headers, limits, problems. What does not: who may do what
(`crm/access.py`), the lifecycle and plan of an import (`crm/`), what an event means (`waha/`), and
Dagster, which the API never imports: it stores a plan, and the history sensor runs it.
"""
