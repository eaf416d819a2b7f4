SELECT DISTINCT unnest(s.own_addresses)
FROM history_sync.channel_state AS s
INNER JOIN public.channels AS c ON c.id = s.channel_id
WHERE c.project_id = %(project_id)s
