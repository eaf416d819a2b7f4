-- Every imported media message with what it would cost, or the reason why it is not enriched. A dry
-- run and a run read the same table, so that the one says what the other does.
CREATE TEMPORARY TABLE judged_media ON COMMIT DROP AS
WITH rule AS (
    SELECT *
    FROM jsonb_to_recordset(%(rules)s::jsonb) AS r (
        kind text, provider text, priority smallint, max_bytes bigint, unit text, usd numeric,
        off text
    )
), media AS (
    SELECT
        m.id AS message_id, m.content_type AS kind, m."timestamp" AS at, m.from_me, m.tenant_id,
        m.contact_id, m.session_id, m.deleted_at, m.source, file.state AS file_state,
        -- WAHA's own links need its key, and it deletes the file after minutes.
        CASE WHEN m.media_url ~* '^https?://' AND m.media_url !~ '/api/files/[^/]+/[^/]+$'
            THEN m.media_url END AS link,
        CASE WHEN file.state = 'stored' THEN
            %(media_url)s::text || '/' || left(file.sha256, 2) || '/' || substr(file.sha256, 3, 2)
            || '/' || file.sha256
            -- Never sent to the server, and what a provider takes for the file's name.
            || coalesce('#file.' || coalesce(
                %(endings)s::jsonb ->> split_part(coalesce(file.mimetype, m.media_mimetype), ';', 1),
                lower(substring(m.metadata ->> 'filename' FROM '\.([A-Za-z0-9]{1,8})$'))
            ), '')
        END AS served,
        coalesce(file.bytes, said.bytes) AS bytes, said.seconds, said.pages
    FROM history_sync.message_keys AS k
    INNER JOIN public.messages AS m ON m.id = k.message_id
    LEFT JOIN history_sync.media AS file ON file.message_id = m.id
    CROSS JOIN LATERAL (
        -- A row that the CRM wrote itself may say anything here; nothing or zero is unknown.
        SELECT
            max(number) FILTER (WHERE what = 'size')::bigint AS bytes,
            max(number) FILTER (WHERE what = 'seconds')::bigint AS seconds,
            max(number) FILTER (WHERE what = 'pages')::bigint AS pages
        FROM (
            SELECT what, CASE WHEN jsonb_typeof(value) = 'number'
                THEN nullif(trunc(greatest(least((value #>> '{}')::numeric, 1e12), 0)), 0)
            END AS number
            FROM (VALUES
                ('size', m.metadata #> '{media,size}'),
                ('seconds', m.metadata #> '{media,seconds}'),
                ('pages', m.metadata #> '{details,pages}')
            ) AS named (what, value)
        ) AS numbers
    ) AS said
    WHERE k.channel_id = %(channel_id)s AND m.content_type = ANY(%(kinds)s)
)
SELECT
    media.message_id, media.kind, media.at, media.tenant_id, media.contact_id, media.session_id,
    rule.provider, rule.priority, coalesce(media.link, media.served) AS url,
    media.bytes, media.seconds, media.pages,
    CASE
        WHEN rule.usd = 0 THEN 0
        WHEN rule.unit = 'minute' THEN round(media.seconds / 60.0 * rule.usd, 6)
        WHEN rule.unit = 'image' THEN rule.usd
        WHEN rule.unit = 'page' THEN media.pages * rule.usd
    END AS usd,
    CASE
        WHEN media.deleted_at IS NOT NULL THEN 'revoked'
        WHEN EXISTS (
            SELECT FROM public.message_enrichments AS e WHERE e.message_id = media.message_id
        ) THEN 'requested_before'
        -- What the CRM's own writer stored is the CRM's own to enrich.
        WHEN media.source <> 'history_import' THEN 'not_imported'
        WHEN rule.kind IS NULL THEN 'no_rule_for_kind'
        WHEN rule.off IS NOT NULL THEN rule.off
        -- The CRM enriches what comes in; what it sent itself it knows.
        WHEN media.from_me AND NOT %(outgoing)s THEN 'sent_by_us'
        WHEN media.session_id IS NULL THEN 'no_session'
        WHEN media.bytes > rule.max_bytes THEN 'too_large'
        WHEN coalesce(media.link, media.served) IS NOT NULL THEN NULL
        WHEN media.file_state IS NULL THEN 'file_not_fetched'
        WHEN media.file_state = 'stored' THEN 'file_not_served'
        ELSE 'file_' || media.file_state
    END AS reason,
    NULL::bigint AS place
FROM media
LEFT JOIN rule USING (kind)
