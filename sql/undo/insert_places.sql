INSERT INTO history_sync.places
SELECT place.*
FROM undoing AS u
CROSS JOIN LATERAL jsonb_populate_recordset(
    NULL::history_sync.places, u.before -> 'places'
) AS place
INNER JOIN history_sync.message_keys AS k ON k.message_id = place.message_id
WHERE u.relation = 'history_sync.places'
