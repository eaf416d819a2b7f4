"""Jobs over assets: the import of days, and the report of a channel."""

import dagster as dg

HISTORY_IMPORT = "history_import"
CHANNEL_REPORT = "channel_report"

history_import = dg.define_asset_job(
    HISTORY_IMPORT,
    selection=dg.AssetSelection.assets("raw_messages", "crm_messages"),
    description="Reads days of a channel from WAHA and loads them into the CRM, with all checks.",
)
channel_report = dg.define_asset_job(
    CHANNEL_REPORT,
    selection=dg.AssetSelection.assets("import_report"),
    description="Writes the report of a channel: balance, coverage, kinds, people.",
)
