-- Messages of others that name the person: the digits go, the message stays. Of a card that somebody
-- passed on nothing stays but that there was one.
UPDATE public.messages AS m
SET mentions = (
        SELECT array_agg(regexp_replace(name, %(in_text)s, '0', 'g') ORDER BY place)
        FROM unnest(m.mentions) WITH ORDINALITY AS told (name, place)
    ),
    metadata = regexp_replace(
        (m.metadata - CASE WHEN m.content_type = 'contact' THEN '{contact,contacts,details}'
            ELSE '{}' END::text[])::text,
        %(in_text)s, '0', 'g'
    )::jsonb,
    text = CASE WHEN m.content_type <> 'contact'
        THEN regexp_replace(m.text, '@' || %(in_text)s, '@0', 'g') END,
    updated_at = now()
WHERE m.project_id = %(project_id)s
  AND (array_to_string(m.mentions, ' ') ~ %(in_text)s OR m.metadata::text ~ %(in_text)s)
