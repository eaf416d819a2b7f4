"""Brings the whole WhatsApp history of a WAHA channel into Ventros CRM, once and silently.

Data flows one way: WAHA -> archive -> frames -> CRM. `waha/`, `transform/` and `crm/` know nothing
of Dagster; `assets/`, `checks/` and `sensors/` hold no rules.
"""

__version__ = "0.1.0"
