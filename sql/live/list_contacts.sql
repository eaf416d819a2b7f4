-- What a contact of a bare row says of itself: its number, which the CRM also makes of a LID's digits,
-- and what its webhook notes.
SELECT c.id::text, array_remove(array_agg(DISTINCT said.digits), '')
FROM (SELECT DISTINCT contact_id FROM live_rows WHERE address IS NULL) AS live
INNER JOIN public.contacts AS c ON c.id = live.contact_id
LEFT JOIN public.contact_custom_fields AS f
    ON f.contact_id = c.id AND f.deleted_at IS NULL
   AND f.field_key IN ('waha_wid', 'waha_lid', 'waha_jid')
CROSS JOIN LATERAL (
    SELECT regexp_replace(coalesce(value, ''), '\D', '', 'g') AS digits
    FROM (VALUES (c.phone), (f.field_value #>> '{}')) AS told (value)
) AS said
GROUP BY c.id
