INSERT INTO history_sync.places (
    channel_id, message_id, day, waha_id, seen_at, missed_at, gone_at
)
SELECT
    k.channel_id, k.message_id, place.day, place.waha_id, place.seen_at, place.missed_at,
    place.gone_at
FROM undoing AS u
CROSS JOIN LATERAL jsonb_populate_recordset(
    NULL::history_sync.places, u.before -> 'places'
) AS place
INNER JOIN history_sync.message_keys AS k ON k.message_id = place.message_id
WHERE u.relation = 'history_sync.places'
