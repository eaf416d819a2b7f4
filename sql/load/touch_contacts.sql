-- First and last interaction come from message times the account can be trusted on. They are
-- derived figures, recomputed by every load, so `version` stays: a stale write costs nothing.
WITH seen AS (
    SELECT contact_id, min(at) AS first_at, max(at) AS last_at
    FROM staged_messages
    WHERE time_trusted
    GROUP BY contact_id
)
UPDATE public.contacts AS c
SET first_interaction_at = least(c.first_interaction_at, seen.first_at),
    last_interaction_at = greatest(c.last_interaction_at, seen.last_at),
    updated_at = now()
FROM seen
WHERE c.id = seen.contact_id
  AND (
      c.first_interaction_at IS NULL OR seen.first_at < c.first_interaction_at
      OR c.last_interaction_at IS NULL OR seen.last_at > c.last_interaction_at
  )
