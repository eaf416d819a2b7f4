INSERT INTO history_sync.lid_lookups AS known (channel_id, lid, asked_at)
SELECT %(channel_id)s, lid, %(asked_at)s
FROM unnest(%(lids)s::text[]) AS lid
ON CONFLICT (channel_id, lid) DO UPDATE SET asked_at = excluded.asked_at
WHERE excluded.asked_at > known.asked_at
