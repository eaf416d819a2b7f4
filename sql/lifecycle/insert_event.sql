-- Pending, so that the CRM's own trigger tells its outbox processor. Not so the request: to it the
-- CRM's consumer answers with its own importer, on the same channel and at the same time; this one is
-- for the record. The time is not now(): events of one transaction have an order, too.
INSERT INTO outbox_events (
    event_id, aggregate_id, aggregate_type, event_type, event_data, metadata, tenant_id,
    project_id, created_at, processed_at, status
)
SELECT
    %(event_id)s, %(channel_id)s, 'channel', %(event_type)s, %(event_data)s::jsonb,
    %(metadata)s::jsonb, %(tenant_id)s, %(project_id)s, clock_timestamp(),
    CASE WHEN is_request THEN clock_timestamp() END,
    CASE WHEN is_request THEN 'processed' ELSE 'pending' END
FROM (SELECT %(event_type)s = 'channel.history_import.requested' AS is_request) AS kind
