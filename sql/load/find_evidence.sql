-- One stanza id under a LID and a phone is one person, when the message came in and has the same
-- time: what comes in has one sender. Outgoing ones are no evidence, for a broadcast is one stanza id
-- to many people.
-- Row by row on purpose (OFFSET 0): right after a first load the keys have no statistics, and a join
-- of 30,000 of them with themselves was planned as a nested loop of half a minute.
INSERT INTO history_sync.evidence (project_id, one, other, source, channel_id, seen_at)
SELECT %(project_id)s, pair.lid, pair.phone, 'stanzas', %(channel_id)s, max(s.at)
FROM staged_messages AS s
CROSS JOIN LATERAL (
    SELECT k.message_id, k.chat_id, k.address, k.time_trusted
    FROM history_sync.message_keys AS k
    WHERE k.channel_id = %(channel_id)s AND k.stanza_id = s.stanza_id
      AND k.duplicate_of IS NULL
    OFFSET 0
) AS other
INNER JOIN public.messages AS m
    ON m.id = other.message_id AND NOT m.from_me AND m."timestamp" = s.at
CROSS JOIN LATERAL (
    SELECT
        CASE WHEN s.address LIKE '%%@lid' THEN s.address ELSE other.address END AS lid,
        CASE WHEN s.address LIKE '%%@lid' THEN other.address ELSE s.address END AS phone
) AS pair
WHERE NOT s.from_me AND s.time_trusted AND other.time_trusted AND other.chat_id <> s.chat_id
  AND pair.lid LIKE '%%@lid' AND pair.phone LIKE '%%@c.us'
GROUP BY pair.lid, pair.phone
ON CONFLICT DO NOTHING
