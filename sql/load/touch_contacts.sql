-- First and last interaction come from the stored times of messages, as far as they can be trusted;
-- what is only the mark of a revoke has no time of its own. What the CRM wrote is never taken back:
-- the last interaction falls only when it was the time of a message that has moved since.
WITH seen AS (
    SELECT m.contact_id, min(m."timestamp") AS first_at, max(m."timestamp") AS last_at
    FROM staged_messages AS s
    INNER JOIN history_sync.message_keys AS k
        ON k.channel_id = %(channel_id)s AND k.message_id = s.message_id
    INNER JOIN public.messages AS m ON m.id = s.message_id
    WHERE k.time_trusted AND NOT history_sync.is_mark(k, m)
    GROUP BY m.contact_id
), left_behind AS (
    -- Asked contact by contact, so that it costs nothing where nothing has moved.
    SELECT c.id, (
        SELECT max(m."timestamp")
        FROM public.messages AS m
        LEFT JOIN history_sync.message_keys AS k ON k.message_id = m.id
        WHERE m.contact_id = c.id AND CASE WHEN k.message_id IS NULL THEN m.deleted_at IS NULL
            ELSE k.time_trusted AND k.duplicate_of IS NULL
                AND NOT history_sync.is_mark(k, m) END
    ) AS last_at
    FROM (SELECT DISTINCT contact_id, was_at FROM moved_messages) AS moved
    INNER JOIN public.contacts AS c ON c.id = moved.contact_id AND c.last_interaction_at = moved.was_at
), said AS (
    SELECT
        c.id, least(c.first_interaction_at, seen.first_at) AS first_at,
        coalesce(left_behind.last_at, greatest(c.last_interaction_at, seen.last_at)) AS last_at
    FROM seen
    INNER JOIN public.contacts AS c ON c.id = seen.contact_id
    LEFT JOIN left_behind ON left_behind.id = c.id
)
UPDATE public.contacts AS c
SET first_interaction_at = said.first_at, last_interaction_at = said.last_at,
    version = c.version + 1, updated_at = now()
FROM said
WHERE c.id = said.id
  AND (c.first_interaction_at, c.last_interaction_at) IS DISTINCT FROM (said.first_at, said.last_at)
