-- Of the rows that no key names those that a message of this window may be, or one that is stored.
WITH met AS (
    UPDATE history_sync.unknown_rows AS u
    SET has_twin = true
    FROM (SELECT DISTINCT unnest(%(stanzas)s::text[]) AS stanza_id) AS read
    WHERE u.channel_id = %(channel_id)s AND u.stanza_id = read.stanza_id AND NOT u.has_twin
    RETURNING u.message_id
), known AS (
    DELETE FROM history_sync.unknown_rows AS u
    USING history_sync.message_keys AS k
    WHERE u.channel_id = %(channel_id)s AND u.has_twin AND k.message_id = u.message_id
)
INSERT INTO live_rows (message_id, contact_id, stanza_id, address)
SELECT u.message_id, m.contact_id, u.stanza_id, u.address
FROM (
    SELECT message_id FROM history_sync.unknown_rows
    WHERE channel_id = %(channel_id)s AND has_twin
    UNION
    SELECT message_id FROM met
) AS wanted
INNER JOIN history_sync.unknown_rows AS u USING (message_id)
INNER JOIN public.messages AS m ON m.id = u.message_id AND m.deleted_at IS NULL
WHERE NOT EXISTS (
    SELECT FROM history_sync.message_keys AS k WHERE k.message_id = u.message_id OFFSET 0
)
