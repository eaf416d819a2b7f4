-- One stanza id under a LID and a phone is one person, when the message came in and has the same
-- time: what comes in has one sender. Outgoing ones are no evidence, for a broadcast is one stanza id
-- to many people. Times are compared as they are stored by now, the first and the last edit's, so
-- that it does not matter which version came first. A mark's time is the revoke's, and tells nothing.
-- Row by row on purpose (OFFSET 0): right after a first load the keys have no statistics, and a join
-- of 30,000 of them with themselves was planned as a nested loop of half a minute.
INSERT INTO history_sync.evidence (project_id, one, other, source, channel_id, seen_at)
SELECT %(project_id)s, pair.lid, pair.phone, 'stanzas', %(channel_id)s, max(one."timestamp")
FROM staged_messages AS s
CROSS JOIN LATERAL (
    SELECT t.*
    FROM history_sync.message_keys AS t
    WHERE t.channel_id = %(channel_id)s AND t.stanza_id = s.stanza_id
      AND t.chat_id <> s.chat_id
      AND t.duplicate_of IS NULL AND t.time_trusted
    OFFSET 0
) AS twin
INNER JOIN history_sync.message_keys AS k ON k.message_id = s.message_id
INNER JOIN public.messages AS one ON one.id = k.message_id
INNER JOIN public.messages AS other ON other.id = twin.message_id
CROSS JOIN LATERAL (
    SELECT
        CASE WHEN k.address LIKE '%%@lid' THEN k.address ELSE twin.address END AS lid,
        CASE WHEN k.address LIKE '%%@lid' THEN twin.address ELSE k.address END AS phone
) AS pair
WHERE NOT s.from_me AND s.address NOT LIKE '%%@g.us' AND k.duplicate_of IS NULL
  AND pair.lid LIKE '%%@lid' AND pair.phone LIKE '%%@c.us'
  AND NOT one.from_me AND NOT other.from_me AND k.time_trusted
  AND (
      one."timestamp" = other."timestamp"
      OR (k.edited_at = twin.edited_at AND k.edited_at > '-infinity')
  )
  AND (k.kind_is_known OR one.metadata ->> 'kind' IS DISTINCT FROM 'revoked')
  AND (twin.kind_is_known OR other.metadata ->> 'kind' IS DISTINCT FROM 'revoked')
GROUP BY pair.lid, pair.phone
-- Said again while the two are still apart, it counts again: an import cut off between this and what
-- follows from it left them two until the lists were read the next time.
ON CONFLICT (project_id, one, other, source) DO UPDATE
SET seen_at = greatest(excluded.seen_at, evidence.seen_at)
