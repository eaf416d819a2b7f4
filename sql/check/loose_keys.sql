-- Keys and CRM rows agree one to one: no key without its row, no imported row without a key, and
-- what they both say is the same.
SELECT
    count(*) OVER () AS found, min(day) OVER () AS from_day, max(day) OVER () AS to_day,
    day, message_id, problem
FROM (
    SELECT k.day, k.message_id::text, 'the row differs from its key' AS problem
    FROM history_sync.message_keys AS k
    INNER JOIN public.messages AS m ON m.id = k.message_id
    -- A copy stands in no conversation.
    WHERE k.channel_id = %(channel_id)s AND (%(days)s::date[] IS NULL OR k.day = ANY(%(days)s::date[]))
      AND k.duplicate_of IS NULL
      AND (m.channel_id <> k.channel_id OR m.contact_id <> k.contact_id
          -- The CRM may have put its own row into another chat with the same contact.
          OR (m.source = 'history_import' AND m.chat_id <> k.chat_id))
    UNION ALL
    SELECT k.day, k.message_id::text, 'a key without a row'
    FROM history_sync.message_keys AS k
    WHERE k.channel_id = %(channel_id)s AND (%(days)s::date[] IS NULL OR k.day = ANY(%(days)s::date[]))
      AND NOT EXISTS (SELECT FROM public.messages AS m WHERE m.id = k.message_id)
    UNION ALL
    SELECT
        (m."timestamp" AT TIME ZONE 'UTC')::date, m.id::text, 'an imported row without a key'
    FROM public.messages AS m
    WHERE m.channel_id = %(channel_id)s AND m.source = 'history_import' AND m.deleted_at IS NULL
      AND (%(days)s::date[] IS NULL OR m."timestamp" BETWEEN %(since)s AND %(until)s)
      AND NOT EXISTS (SELECT FROM history_sync.message_keys AS k WHERE k.message_id = m.id)
) AS loose
ORDER BY message_id
LIMIT 20
