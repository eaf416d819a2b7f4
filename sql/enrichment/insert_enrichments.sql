-- `pending` is what the CRM's enrichment worker asks the table for, every five seconds, and all it
-- asks for: no event, no group. When it is done it writes this row and nothing else. Among one kind
-- it takes the row with the earliest `created_at`, so the newest message gets it.
INSERT INTO public.message_enrichments (
    id, message_id, message_group_id, content_type, provider, media_url, status, metadata, context,
    created_at
)
SELECT
    history_sync.id_of('enrichment/' || message_id || '/' || provider), message_id,
    history_sync.id_of('enrichment/group/' || message_id), kind, provider, url, 'pending',
    jsonb_build_object(
        'source', 'history_import', 'run_id', %(run_id)s::text, 'priority', priority,
        'estimated_usd', usd
    ),
    %(context)s, now() + place * interval '1 microsecond'
FROM judged_media
WHERE reason IS NULL
ON CONFLICT (id) DO NOTHING
