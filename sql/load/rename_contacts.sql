-- The best name of a contact is the one of the better source, then the newer one, so the order of
-- days is no matter; of two mere numbers it is the one that stands for the person now. Whether it
-- may take the place of the name in the CRM is the policy's business:
--   never   what was written stays; only the digits of a LID, which are nobody's name, give way to
--           the number when that becomes known
--   if-raw  it may where there is no name, the one we wrote, or a mere number: no letters, and the
--           digits of the contact's own number or LID, in whatever format
--   always  it may everywhere, but a mere number never takes the place of a name
-- What we wrote is remembered only where we wrote it: a name that a person typed and WhatsApp later
-- says, too, would else be taken for ours.
-- `version` rises: a person who edits the contact at this moment is told that it has changed, and does
-- not save an old name over a new one unawares.
WITH staged AS (
    SELECT
        p.*, known.name AS was, known.name_rank AS was_rank, known.name_at AS was_at,
        known.name IS NULL OR p.name_rank > known.name_rank
            OR (p.name_rank = known.name_rank AND (
                p.name_rank <= 1 OR (p.name_at, p.name) >= (known.name_at, known.name)
            )) AS is_newer
    FROM staged_people AS p
    INNER JOIN history_sync.people AS known ON known.contact_id = p.contact_id
    WHERE p.name IS NOT NULL
), best AS (
    SELECT
        contact_id, was, was_rank,
        CASE WHEN is_newer THEN name ELSE was END AS name,
        CASE WHEN is_newer THEN name_rank ELSE was_rank END AS name_rank,
        CASE WHEN is_newer THEN name_at ELSE was_at END AS name_at
    FROM staged
), allowed AS (
    SELECT best.*
    FROM best
    INNER JOIN public.contacts AS c ON c.id = best.contact_id
    CROSS JOIN LATERAL (
        SELECT
            coalesce(btrim(c.name), '') = '' OR coalesce(c.name = best.was, false) OR (
                -- Digits, and what stands between digits: ASCII signs, the narrow and invisible
                -- spaces and the unbreakable hyphens that phones copy along with a number.
                c.name ~ '^[\s!-@\[-`{-~\u00A0\u2000-\u206F\uFEFF]+$' AND EXISTS (
                    SELECT FROM (
                        SELECT regexp_replace(c.phone, '[^0-9]', '', 'g')
                        UNION ALL
                        SELECT split_part(i.address, '@', 1)
                        FROM history_sync.identities AS i WHERE i.contact_id = c.id
                    ) AS own (digits)
                    WHERE own.digits <> ''
                      AND own.digits = regexp_replace(c.name, '[^0-9]', '', 'g')
                )
            ) AS is_free
    ) AS held
    WHERE CASE %(contact_names)s::text
        WHEN 'never' THEN c.name = best.was AND best.was_rank = 0 AND best.name_rank = 1
        WHEN 'always' THEN held.is_free OR best.name_rank > 1
        ELSE held.is_free END
), remembered AS (
    UPDATE history_sync.people AS known
    SET name = allowed.name, name_rank = allowed.name_rank, name_at = allowed.name_at
    FROM allowed
    WHERE known.contact_id = allowed.contact_id
      AND (known.name, known.name_rank, known.name_at)
          IS DISTINCT FROM (allowed.name, allowed.name_rank, allowed.name_at)
)
UPDATE public.contacts AS c
SET name = allowed.name, version = c.version + 1, updated_at = now()
FROM allowed
WHERE c.id = allowed.contact_id AND c.name IS DISTINCT FROM allowed.name
