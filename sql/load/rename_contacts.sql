-- A name is ours to change only while it is the one we wrote, or no name at all: a person's typing
-- is never overwritten. A better source wins, then the newer one, so the order of days is no matter.
-- What we wrote is remembered only where we wrote it: a name that a person typed and WhatsApp later
-- says, too, would else be taken for ours.
-- `version` stays: when a person edits the contact at this moment, their save is the one that holds.
WITH better AS (
    SELECT known.contact_id, p.name, p.name_rank, p.name_at
    FROM staged_people AS p
    INNER JOIN history_sync.people AS known ON known.contact_id = p.contact_id
    INNER JOIN public.contacts AS c ON c.id = p.contact_id
    WHERE p.name IS NOT NULL
      AND (p.name_rank, p.name_at, p.name) > (known.name_rank, known.name_at, coalesce(known.name, ''))
      AND (c.name IS NULL OR c.name = '' OR c.name = known.name OR c.name = c.phone)
), remembered AS (
    UPDATE history_sync.people AS known
    SET name = better.name, name_rank = better.name_rank, name_at = better.name_at
    FROM better
    WHERE known.contact_id = better.contact_id
)
UPDATE public.contacts AS c
SET name = better.name, updated_at = now()
FROM better
WHERE c.id = better.contact_id AND c.name IS DISTINCT FROM better.name
