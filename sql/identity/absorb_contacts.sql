-- What the retired contact knew and the other does not. A name that a person typed on the one comes
-- before a name that WhatsApp gave the other; of two that WhatsApp gave, the better one.
WITH known AS (
    SELECT
        m.taker, m.giver, gone.email, gone.timezone, gone.profile_picture_url,
        gone.profile_picture_fetched_at, gone.first_interaction_at, gone.last_interaction_at,
        gone.tags, gone.name,
        gone_person.name_rank, gone_person.name_at,
        gone.name IS DISTINCT FROM gone_person.name AS is_typed,
        kept.name IS NOT DISTINCT FROM kept_person.name AND (
            gone.name IS DISTINCT FROM gone_person.name
            OR (gone_person.name_rank, gone_person.name_at, coalesce(gone_person.name, ''))
                > (kept_person.name_rank, kept_person.name_at, coalesce(kept_person.name, ''))
        ) AND gone.name <> '' AS is_better
    FROM (SELECT DISTINCT giver, taker, takes_all FROM moves) AS m
    INNER JOIN public.contacts AS gone ON gone.id = m.giver
    INNER JOIN public.contacts AS kept ON kept.id = m.taker
    INNER JOIN history_sync.people AS gone_person ON gone_person.contact_id = m.giver
    INNER JOIN history_sync.people AS kept_person ON kept_person.contact_id = m.taker
    WHERE m.takes_all
), best AS (
    -- Several contacts may go into one.
    SELECT
        taker,
        (array_agg(name ORDER BY is_typed DESC, name_rank DESC, name_at DESC, name DESC)
            FILTER (WHERE is_better))[1] AS name,
        (array_agg(is_typed ORDER BY is_typed DESC, name_rank DESC, name_at DESC, name DESC)
            FILTER (WHERE is_better))[1] AS is_typed,
        (array_agg(name_rank ORDER BY is_typed DESC, name_rank DESC, name_at DESC, name DESC)
            FILTER (WHERE is_better))[1] AS name_rank,
        (array_agg(name_at ORDER BY is_typed DESC, name_rank DESC, name_at DESC, name DESC)
            FILTER (WHERE is_better))[1] AS name_at,
        min(nullif(email, '')) AS email,
        min(nullif(timezone, '')) AS timezone,
        min(first_interaction_at) AS first_at,
        max(last_interaction_at) AS last_at,
        (array_agg(profile_picture_url ORDER BY profile_picture_fetched_at DESC NULLS LAST)
            FILTER (WHERE profile_picture_url <> ''))[1] AS picture,
        max(profile_picture_fetched_at) FILTER (WHERE profile_picture_url <> '') AS picture_at
    FROM known
    GROUP BY taker
), remembered AS (
    UPDATE history_sync.people AS p
    SET name = best.name, name_rank = best.name_rank, name_at = best.name_at
    FROM best
    WHERE p.contact_id = best.taker AND best.name IS NOT NULL AND NOT best.is_typed
)
UPDATE public.contacts AS c
SET name = coalesce(best.name, c.name),
    email = coalesce(nullif(c.email, ''), best.email, c.email),
    timezone = coalesce(nullif(c.timezone, ''), best.timezone, c.timezone),
    profile_picture_url = coalesce(nullif(c.profile_picture_url, ''), best.picture,
        c.profile_picture_url),
    profile_picture_fetched_at = coalesce(c.profile_picture_fetched_at, best.picture_at),
    first_interaction_at = least(c.first_interaction_at, best.first_at),
    last_interaction_at = greatest(c.last_interaction_at, best.last_at),
    tags = CASE WHEN jsonb_typeof(c.tags) = 'array' THEN c.tags || coalesce((
        SELECT jsonb_agg(DISTINCT tag) FROM known
        CROSS JOIN LATERAL jsonb_array_elements(
            CASE WHEN jsonb_typeof(known.tags) = 'array' THEN known.tags ELSE '[]' END
        ) AS tag
        WHERE known.taker = c.id AND NOT c.tags @> jsonb_build_array(tag)
    ), '[]') ELSE c.tags END,
    version = c.version + 1,
    updated_at = now()
FROM best
WHERE c.id = best.taker
