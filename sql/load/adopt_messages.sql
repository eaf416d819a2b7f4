-- A message that the CRM already holds (its own webhook wrote it, or this pipeline before its
-- memory was dropped) is matched, never doubled.
INSERT INTO history_sync.message_keys (
    channel_id, chat_id, stanza_id, message_id, contact_id, waha_id, address, day, at, status_rank,
    time_trusted, kind_is_known, edited_at, read_at, reply_to_stanza, inserted_by_run
)
SELECT DISTINCT ON (s.chat_id, s.stanza_id)
    %(channel_id)s, s.chat_id, s.stanza_id, m.id, m.contact_id,
    -- WAHA's name of the row, even where the CRM stored the bare stanza id: else every later read
    -- would count the row as a duplicate, and its time would never be compared with the archive's.
    s.waha_id, s.address, s.day, m."timestamp",
    CASE WHEN NOT m.from_me OR m.metadata ->> 'ack' IS NULL THEN 0 ELSE CASE m.status
        WHEN 'queued' THEN 1 WHEN 'failed' THEN 2 WHEN 'sent' THEN 3 WHEN 'delivered' THEN 4
        WHEN 'read' THEN 5 WHEN 'played' THEN 6 ELSE 0 END END,
    -- The webhook takes WAHA's seconds for milliseconds: January 1970 is no time to keep.
    m."timestamp" >= '2009-01-01Z', true, '-infinity', '-infinity', s.reply_to_stanza, %(run_id)s
FROM staged_messages AS s
INNER JOIN LATERAL (
    SELECT s.message_id AS id
    UNION ALL
    SELECT id
    FROM public.messages
    WHERE channel_id = %(channel_id)s AND channel_message_id = s.waha_id AND deleted_at IS NULL
    UNION ALL
    SELECT p.message_id
    FROM live_places AS p
    WHERE p.stanza_id = s.stanza_id AND (
        p.chat_id = s.chat_id OR p.contact_id = s.contact_id
        OR (p.is_self AND s.from_me AND s.address LIKE '%%@g.us')
    )
) AS found ON true
INNER JOIN public.messages AS m ON m.id = found.id
-- A row that has a key is another message already.
WHERE NOT EXISTS (
    SELECT FROM history_sync.message_keys AS taken WHERE taken.message_id = m.id OFFSET 0
)
ORDER BY s.chat_id, s.stanza_id, m.created_at, m.id
ON CONFLICT DO NOTHING
