SELECT v.what, v.value, count(*) AS messages
FROM history_sync.message_keys AS k
INNER JOIN public.messages AS m ON m.id = k.message_id AND m.deleted_at IS NULL
CROSS JOIN LATERAL (
    VALUES
        ('kind', m.content_type),
        ('direction', CASE WHEN m.from_me THEN 'outgoing' ELSE 'incoming' END),
        ('status', CASE WHEN m.from_me THEN m.status END)
) AS v (what, value)
WHERE k.channel_id = %(channel_id)s AND v.value IS NOT NULL
GROUP BY v.what, v.value
ORDER BY v.what, count(*) DESC, v.value
