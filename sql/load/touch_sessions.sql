-- Where this window changes a contact's messages: at the times they come to stand, and at those they
-- stand at until now.
INSERT INTO touched_contacts (contact_id, span)
SELECT s.contact_id, tstzrange(moment.first_at, moment.last_at, '[]')
FROM staged_messages AS s
LEFT JOIN history_sync.message_keys AS k ON k.message_id = s.message_id AND NOT s.is_new
LEFT JOIN public.messages AS m ON m.id = k.message_id
CROSS JOIN LATERAL (
    SELECT s.at, s.at WHERE s.is_new
    UNION ALL
    SELECT k.at, k.at WHERE NOT s.is_new
    UNION ALL
    -- Somebody else has moved it.
    SELECT m."timestamp", m."timestamp" WHERE m."timestamp" <> k.at
    UNION ALL
    SELECT s.at, s.at WHERE s.time_trusted AND k.time_trusted AND s.at < k.at
    UNION ALL
    -- A time that is known at last may be later than the guess: whatever was first may be no more.
    SELECT '-infinity', 'infinity' WHERE s.time_trusted AND NOT k.time_trusted
    UNION ALL
    SELECT s.at, s.at WHERE NOT s.time_trusted AND NOT k.time_trusted AND s.at < k.at
) AS moment (first_at, last_at)
