-- A name is ours to change only while it is the one we wrote, or no name at all: a person's typing
-- is never overwritten. A better source wins, then the newer one, so the order of days is no matter.
-- `version` stays: when a person edits the contact at this moment, their save is the one that holds.
WITH better AS (
    UPDATE history_sync.people AS known
    SET name = p.name, name_rank = p.name_rank, name_at = p.name_at
    FROM staged_people AS p, history_sync.people AS before
    WHERE known.contact_id = p.contact_id
      AND before.contact_id = p.contact_id
      AND p.name IS NOT NULL
      AND (p.name_rank, p.name_at, p.name) > (known.name_rank, known.name_at, coalesce(known.name, ''))
    RETURNING known.contact_id, known.name AS new_name, before.name AS old_name
)
UPDATE public.contacts AS c
SET name = better.new_name, updated_at = now()
FROM better
WHERE c.id = better.contact_id
  AND c.name IS DISTINCT FROM better.new_name
  AND (c.name IS NULL OR c.name = '' OR c.name = better.old_name OR c.name = c.phone)
