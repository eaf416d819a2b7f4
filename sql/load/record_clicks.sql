-- The advertisements that people answered, one row for each contact and click, at the time of the
-- first message that says so. Derived from what is stored, so the order of days is no matter.
-- The click's own id is unique over all tenants: of two projects on one WhatsApp account the second
-- has it in the metadata only. The CRM writes '' where there is none, which can stand there once; we
-- write NULL, and then the advertisement itself tells one click from another. What the CRM recorded
-- itself is left to it.
-- No event is raised: an import starts nothing.
WITH concerned AS (
    SELECT contact_id FROM staged_messages WHERE metadata ? 'ad'
    UNION
    SELECT contact_id FROM public.trackings WHERE contact_id IN (SELECT contact_id FROM touched_spans)
), known AS (
    SELECT t.metadata ->> 'message_id' AS message_id
    FROM public.trackings AS t
    INNER JOIN concerned USING (contact_id)
), candidates AS (
    -- What may have changed, and what was the first until now.
    SELECT k.message_id
    FROM touched_spans AS span
    INNER JOIN concerned USING (contact_id)
    INNER JOIN history_sync.message_keys AS k
        ON k.channel_id = %(channel_id)s AND k.contact_id = span.contact_id
       AND k.at BETWEEN span.from_at AND span.until_at
    UNION
    SELECT k.message_id
    FROM known
    INNER JOIN history_sync.message_keys AS k ON k.message_id = known.message_id::uuid
), clicked AS (
    SELECT
        m.id AS message_id, m.contact_id, m.session_id, m."timestamp" AS at, m.metadata -> 'ad' AS ad,
        coalesce(
            'click/' || (m.metadata #>> '{ad,ctwa_clid}'),
            m.contact_id || '/' || coalesce(m.metadata #>> '{ad,source_id}', '') || '/'
                || coalesce(m.metadata #>> '{ad,source_url}', '')
        ) AS click
    FROM candidates AS c
    -- Candidate by candidate (OFFSET 0): the planner began with all that ever came in, and read it for
    -- each window, 0.4 s beside a million messages of which none had an advertisement.
    CROSS JOIN LATERAL (
        SELECT * FROM history_sync.message_keys WHERE message_id = c.message_id OFFSET 0
    ) AS k
    CROSS JOIN LATERAL (
        SELECT * FROM public.messages WHERE id = k.message_id OFFSET 0
    ) AS m
    WHERE k.channel_id = %(channel_id)s AND k.duplicate_of IS NULL AND NOT m.from_me
      -- A preview of any link looks like an advertisement, but names no source.
      AND (m.metadata -> 'ad') ?| ARRAY['ctwa_clid', 'source_id', 'conversion_source']
), first AS (
    SELECT DISTINCT ON (click)
        history_sync.id_of('tracking/' || %(project_id)s || '/' || click) AS id, c.*,
        lower(ad ->> 'source_app') AS app
    FROM clicked AS c
    ORDER BY click, at, message_id
), wanted AS (
    SELECT
        f.*,
        -- Whoever advertises on WhatsApp does so through Meta; a post that is none is a referral.
        CASE WHEN coalesce(f.ad ->> 'source_type', 'ad') = 'ad' THEN 'meta_ads'
            ELSE 'referral' END AS source,
        CASE WHEN f.app IN ('facebook', 'instagram') THEN f.app
            WHEN f.ad ->> 'source_url' ~* '^https?://([a-z0-9-]+\.)*instagram\.com(/|$)' THEN 'instagram'
            WHEN f.ad ->> 'source_url' ~* '^https?://([a-z0-9-]+\.)*(facebook\.com|fb\.me)(/|$)'
                OR f.ad ->> 'conversion_source' = 'FB_Ads' THEN 'facebook'
            ELSE 'whatsapp' END AS platform
    FROM first AS f
)
INSERT INTO public.trackings AS known (
    id, contact_id, session_id, tenant_id, project_id, source, platform, ad_id, ad_url, click_id,
    conversion_data, utm_source, utm_medium, metadata, created_at, updated_at
)
SELECT
    w.id, w.contact_id, w.session_id, %(tenant_id)s, %(project_id)s, w.source, w.platform,
    w.ad ->> 'source_id', w.ad ->> 'source_url',
    CASE WHEN NOT EXISTS (
        SELECT FROM public.trackings AS other
        WHERE other.click_id = w.ad ->> 'ctwa_clid' AND other.id <> w.id
    ) THEN w.ad ->> 'ctwa_clid' END,
    w.ad ->> 'conversion_data', w.ad ->> 'entry_point_conversion_external_source',
    w.ad ->> 'entry_point_conversion_external_medium',
    w.ad || jsonb_build_object('message_id', w.message_id), w.at, now()
FROM wanted AS w
-- In two, so that neither looks through all clicks for each: the CRM has no index of their contacts.
WHERE NOT EXISTS (
    SELECT FROM public.trackings AS other
    WHERE other.click_id = w.ad ->> 'ctwa_clid' AND other.id <> w.id
      AND other.project_id = %(project_id)s
) AND NOT EXISTS (
    SELECT FROM public.trackings AS other
    WHERE other.contact_id = w.contact_id AND other.id <> w.id
      AND other.project_id = %(project_id)s
      AND coalesce(other.click_id, '') = '' AND w.ad ->> 'ctwa_clid' IS NULL
      AND coalesce(other.ad_id, '') = coalesce(w.ad ->> 'source_id', '')
      AND coalesce(other.ad_url, '') = coalesce(w.ad ->> 'source_url', '')
)
ON CONFLICT (id) DO UPDATE SET
    contact_id = excluded.contact_id, session_id = excluded.session_id,
    metadata = known.metadata || excluded.metadata, created_at = excluded.created_at,
    updated_at = now()
-- Each channel of a project knows only its own messages.
WHERE (
    excluded.created_at <= known.created_at
    OR known.metadata ->> 'message_id' = excluded.metadata ->> 'message_id'
) AND (known.contact_id, known.session_id, known.metadata, known.created_at) IS DISTINCT FROM (
    excluded.contact_id, excluded.session_id, known.metadata || excluded.metadata,
    excluded.created_at
)
