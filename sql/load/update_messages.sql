-- Merges commute: status rises, the earliest trusted time stays, the newest version's content wins
-- where it knows something. A row that would not change is not rewritten.
WITH merged AS (
    SELECT
        m.id,
        greatest(k.status_rank, s.status_rank) AS status_rank,
        k.time_trusted OR s.time_trusted AS time_trusted,
        CASE
            WHEN NOT s.time_trusted THEN m."timestamp"
            WHEN k.time_trusted THEN least(m."timestamp", s.at)
            ELSE s.at
        END AS at,
        greatest(k.edited_at, s.edited_at) AS edited_at,
        greatest(k.read_at, s.read_at) AS read_at,
        v.is_newer,
        CASE WHEN v.is_newer THEN s.content_type ELSE m.content_type END AS content_type,
        CASE WHEN v.is_newer THEN coalesce(s.text, m.text) ELSE coalesce(m.text, s.text) END AS text,
        coalesce(m.media_url, s.media_url) AS media_url,
        coalesce(m.media_mimetype, s.media_mimetype) AS media_mimetype,
        coalesce(m.mentions, s.mentions) AS mentions,
        CASE
            WHEN v.is_newer THEN coalesce(m.metadata, '{}') || s.metadata
            ELSE s.metadata || coalesce(m.metadata, '{}')
        END AS metadata,
        s.can_play
    FROM staged_messages AS s
    INNER JOIN history_sync.message_keys AS k
        ON k.channel_id = %(channel_id)s AND k.message_id = s.message_id
    INNER JOIN public.messages AS m ON m.id = s.message_id
    CROSS JOIN LATERAL (
        SELECT (s.edited_at, s.read_at) > (k.edited_at, k.read_at) AS is_newer
    ) AS v
    WHERE NOT s.is_new AND m.deleted_at IS NULL
), changed AS (
    UPDATE public.messages AS m
    SET
        "timestamp" = merged.at,
        status = CASE WHEN merged.status_rank = 0 THEN m.status
            ELSE history_sync.status_of(merged.status_rank, merged.can_play) END,
        content_type = merged.content_type,
        text = merged.text,
        media_url = merged.media_url,
        media_mimetype = merged.media_mimetype,
        mentions = merged.mentions,
        metadata = merged.metadata,
        updated_at = now()
    FROM merged
    WHERE m.id = merged.id
      AND (
          m."timestamp", m.status, m.content_type, m.text, m.media_url, m.media_mimetype,
          m.mentions, m.metadata
      ) IS DISTINCT FROM (
          merged.at,
          CASE WHEN merged.status_rank = 0 THEN m.status
              ELSE history_sync.status_of(merged.status_rank, merged.can_play) END,
          merged.content_type, merged.text, merged.media_url, merged.media_mimetype,
          merged.mentions, merged.metadata
      )
    RETURNING m.id
), remembered AS (
    UPDATE history_sync.message_keys AS k
    SET status_rank = merged.status_rank, time_trusted = merged.time_trusted,
        edited_at = merged.edited_at, read_at = merged.read_at, changed_by_run = %(run_id)s
    FROM changed INNER JOIN merged USING (id)
    WHERE k.message_id = changed.id
)
INSERT INTO changed_messages (message_id)
SELECT id FROM changed
