-- First and last interaction come from the stored times of messages. What the CRM wrote is never taken
-- back: the last interaction falls only when it was the time of a message that has moved since.
WITH seen AS (
    SELECT contact_id, min(first_at) AS first_at, max(last_at) AS last_at
    FROM moments
    GROUP BY contact_id
), moved AS MATERIALIZED (
    SELECT DISTINCT c.id
    FROM moved_messages AS moved
    INNER JOIN public.contacts AS c
        ON c.id = moved.contact_id AND c.last_interaction_at = moved.was_at
), left_behind AS MATERIALIZED (
    -- It looks at all messages of a contact, so it must not be asked for any other.
    SELECT moved.id, latest.at
    FROM moved
    CROSS JOIN LATERAL (
        SELECT max(m."timestamp") AS at
        FROM public.messages AS m
        LEFT JOIN history_sync.message_keys AS k ON k.message_id = m.id
        WHERE m.contact_id = moved.id AND CASE WHEN k.message_id IS NULL THEN m.deleted_at IS NULL
            ELSE k.time_trusted AND k.duplicate_of IS NULL
                AND NOT history_sync.is_mark(k, m) END
    ) AS latest
), said AS (
    SELECT
        c.id, least(c.first_interaction_at, seen.first_at) AS first_at,
        coalesce(left_behind.at, greatest(c.last_interaction_at, seen.last_at)) AS last_at
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
