UPDATE channels
SET config = config || jsonb_build_object('base_url', %(base_url)s::text), updated_at = now()
WHERE id = %(id)s AND config ->> 'base_url' <> %(base_url)s
