-- Merges commute, as in transform/messages.py: status rises, the earliest trusted time stays, and of
-- each fact the newest version that knows it wins. A row that would not change is not rewritten.
-- `channel_message_id` and the addresses in the metadata stay as first seen: the row hangs on the
-- contact of that sender, and a merge finds it by it. A tombstone of ours keeps learning, so that it
-- says the same whether the revoke or a version came first; a row that says nothing but "revoked" has
-- nothing to teach.
WITH merged AS (
    SELECT
        m.id,
        greatest(k.status_rank, s.status_rank) AS status_rank,
        t.trusted AS time_trusted,
        CASE WHEN t.is_earlier THEN s.at ELSE m."timestamp" END AS at,
        CASE WHEN t.is_earlier THEN s.day ELSE k.day END AS day,
        m.from_me OR s.from_me AS from_me,
        CASE WHEN v.is_newer THEN s.kind_is_known ELSE k.kind_is_known END AS kind_is_known,
        CASE WHEN v.is_newer THEN s.edited_at ELSE k.edited_at END AS edited_at,
        CASE WHEN v.is_newer THEN s.read_at ELSE k.read_at END AS read_at,
        CASE WHEN v.is_newer THEN coalesce(s.reply_to_stanza, k.reply_to_stanza)
            ELSE coalesce(k.reply_to_stanza, s.reply_to_stanza) END AS reply_to_stanza,
        CASE WHEN v.is_newer THEN s.content_type ELSE m.content_type END AS content_type,
        CASE WHEN v.is_newer THEN coalesce(s.text, m.text) ELSE coalesce(m.text, s.text) END AS text,
        -- The CRM may have stored the file meanwhile: its address stays.
        coalesce(m.media_url, s.media_url) AS media_url,
        CASE WHEN v.is_newer THEN coalesce(s.media_mimetype, m.media_mimetype)
            ELSE coalesce(m.media_mimetype, s.media_mimetype) END AS media_mimetype,
        CASE WHEN v.is_newer THEN coalesce(s.mentions, m.mentions)
            ELSE coalesce(m.mentions, s.mentions) END AS mentions,
        (
            -- A tombstone is not learnt from a copy: without its date it would read as taken back.
            CASE WHEN v.is_newer THEN v.stored || (s.metadata - 'revoked')
                ELSE (s.metadata - 'revoked') || v.stored END
            - ARRAY['ack', 'chat', 'sender', 'timestamp_problem', 'timestamp_raw']
        ) || jsonb_strip_nulls(jsonb_build_object(
            'ack', coalesce(a.ack, v.stored -> 'ack'),
            'chat', coalesce(v.stored -> 'chat', s.metadata -> 'chat'),
            'sender', coalesce(v.stored -> 'sender', s.metadata -> 'sender'),
            'timestamp_problem', t.marks -> 'timestamp_problem',
            'timestamp_raw', t.marks -> 'timestamp_raw'
        )) AS metadata
    FROM staged_messages AS s
    INNER JOIN history_sync.message_keys AS k
        ON k.channel_id = %(channel_id)s AND k.message_id = s.message_id
    INNER JOIN public.messages AS m ON m.id = s.message_id
    CROSS JOIN LATERAL (
        SELECT
            (s.kind_is_known, s.edited_at, s.read_at) > (k.kind_is_known, k.edited_at, k.read_at)
                AS is_newer,
            coalesce(m.metadata, '{}') AS stored
    ) AS v
    CROSS JOIN LATERAL (
        SELECT *, CASE WHEN is_earlier THEN s.metadata ELSE v.stored END AS marks
        FROM (
            SELECT
                k.time_trusted OR s.time_trusted AS trusted,
                -- A trusted time comes before any other.
                (NOT s.time_trusted, s.at) < (NOT k.time_trusted, m."timestamp") AS is_earlier
        ) AS compared
    ) AS t
    CROSS JOIN LATERAL (
        -- The ack that is furthest along; an error stands between pending and sent.
        SELECT CASE WHEN furthest = 0.5 THEN '-1'::jsonb ELSE to_jsonb(furthest::int) END AS ack
        FROM (
            SELECT max(CASE WHEN ack = '-1' THEN 0.5 ELSE ack::numeric END) AS furthest
            FROM (VALUES (v.stored -> 'ack'), (s.metadata -> 'ack')) AS said (ack)
            -- A row that the CRM wrote may say it in words.
            WHERE jsonb_typeof(ack) = 'number'
        ) AS acks
    ) AS a
    WHERE NOT s.is_new AND NOT s.only_revoked
      AND (m.deleted_at IS NULL OR m.metadata -> 'revoked' IS NOT NULL)
), changed AS (
    UPDATE public.messages AS m
    SET
        "timestamp" = said.at,
        from_me = said.from_me,
        status = said.status,
        content_type = said.content_type,
        text = said.text,
        media_url = said.media_url,
        media_mimetype = said.media_mimetype,
        mentions = said.mentions,
        metadata = said.metadata,
        updated_at = now()
    FROM (
        SELECT merged.*, CASE WHEN status_rank = 0 THEN stored.status
            ELSE history_sync.status_of(status_rank, merged.content_type IN ('voice', 'video'))
        END AS status
        FROM merged
        INNER JOIN public.messages AS stored USING (id)
    ) AS said
    WHERE m.id = said.id
      AND (
          m."timestamp", m.from_me, m.status, m.content_type, m.text, m.media_url,
          m.media_mimetype, m.mentions, m.metadata
      ) IS DISTINCT FROM (
          said.at, said.from_me, said.status, said.content_type, said.text, said.media_url,
          said.media_mimetype, said.mentions, said.metadata
      )
    RETURNING m.id
), remembered AS (
    UPDATE history_sync.message_keys AS k
    SET day = merged.day, at = merged.at, status_rank = merged.status_rank,
        time_trusted = merged.time_trusted,
        kind_is_known = merged.kind_is_known, edited_at = merged.edited_at,
        read_at = merged.read_at, reply_to_stanza = merged.reply_to_stanza,
        changed_by_run = %(run_id)s
    FROM merged
    WHERE k.message_id = merged.id
      AND (
          k.day, k.at, k.status_rank, k.time_trusted, k.kind_is_known, k.edited_at, k.read_at,
          k.reply_to_stanza
      ) IS DISTINCT FROM (
          merged.day, merged.at, merged.status_rank, merged.time_trusted,
          merged.kind_is_known, merged.edited_at, merged.read_at, merged.reply_to_stanza
      )
)
INSERT INTO changed_messages (message_id)
SELECT id FROM changed
ON CONFLICT DO NOTHING
