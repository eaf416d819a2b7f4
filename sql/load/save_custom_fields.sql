-- What the CRM's webhook path notes of a person on WhatsApp, as digits in a JSON string: `waha_wid`
-- and `waha_jid` are the number's account (`…@c.us` for WAHA, `…@s.whatsapp.net` in the engines, so
-- the digits are the same), `waha_lid` the LID, of several the lowest. The webhook writes a LID into
-- `waha_wid` where it knows no number; the CRM sends to `waha_wid`, so here it stays away until
-- there is a number.
-- A value that is the address of nobody we know was typed by a person, and stays. Any other one is
-- WhatsApp's own, and follows it: written anew when it changes, taken away (softly) when the address
-- has become another contact's.
WITH wanted AS (
    SELECT p.contact_id, field.key, field.value
    FROM staged_people AS p
    LEFT JOIN LATERAL (
        SELECT split_part(i.address, '@', 1) AS digits
        FROM history_sync.identities AS i
        WHERE i.contact_id = p.contact_id AND i.address ~ '^[0-9]+@lid$'
        ORDER BY length(i.address), i.address LIMIT 1
    ) AS lid ON true
    CROSS JOIN LATERAL (VALUES
        ('waha_wid', ltrim(p.phone, '+')),
        ('waha_lid', lid.digits),
        ('waha_jid', ltrim(p.phone, '+'))
    ) AS field (key, value)
    WHERE NOT p.is_group
), held AS (
    SELECT
        f.id, w.contact_id, w.key, w.value AS wanted, f.field_value #>> '{}' AS value,
        owner.contact_id AS owner
    FROM wanted AS w
    INNER JOIN public.contact_custom_fields AS f
        ON f.contact_id = w.contact_id AND f.field_key = w.key AND f.deleted_at IS NULL
    LEFT JOIN LATERAL (
        SELECT i.contact_id FROM history_sync.identities AS i
        WHERE i.project_id = %(project_id)s AND i.address IN (
            (f.field_value #>> '{}') || '@c.us', (f.field_value #>> '{}') || '@lid'
        )
        ORDER BY i.contact_id = w.contact_id DESC LIMIT 1
    ) AS owner ON true
), changed AS (
    UPDATE public.contact_custom_fields AS f
    SET field_value = coalesce(to_jsonb(held.wanted), f.field_value), field_type = 'text',
        deleted_at = CASE WHEN held.wanted IS NULL THEN now() END, updated_at = now()
    FROM held
    WHERE f.id = held.id AND CASE
        WHEN held.wanted IS NULL THEN held.owner <> held.contact_id
        ELSE held.value IS DISTINCT FROM held.wanted
            AND (coalesce(held.value, '') = '' OR held.owner IS NOT NULL)
    END
)
INSERT INTO public.contact_custom_fields AS gone (
    id, contact_id, tenant_id, field_key, field_type, field_value, created_at, updated_at
)
SELECT
    history_sync.id_of('field/' || w.contact_id || '/' || w.key), w.contact_id, %(tenant_id)s,
    w.key, 'text', to_jsonb(w.value), now(), now()
FROM wanted AS w
WHERE w.value IS NOT NULL
  AND NOT EXISTS (
      SELECT FROM held WHERE held.contact_id = w.contact_id AND held.key = w.key
  )
ON CONFLICT (id) DO UPDATE SET
    field_value = excluded.field_value, deleted_at = NULL, updated_at = now()
WHERE gone.deleted_at IS NOT NULL
