-- What a source says again is only newer.
INSERT INTO history_sync.evidence AS known (project_id, one, other, source, channel_id, seen_at)
SELECT %(project_id)s, pair.one, pair.other, pair.source, %(channel_id)s, max(pair.seen_at)
FROM unnest(
    %(ones)s::text[], %(others)s::text[], %(sources)s::text[], %(seen_at)s::timestamptz[]
) AS pair (one, other, source, seen_at)
WHERE NOT EXISTS (
    SELECT FROM history_sync.evidence AS same
    WHERE same.project_id = %(project_id)s AND same.one = pair.one AND same.other = pair.other
      AND same.source = pair.source AND same.seen_at >= pair.seen_at
)
GROUP BY pair.one, pair.other, pair.source
ORDER BY pair.one, pair.other, pair.source
ON CONFLICT (project_id, one, other, source) DO UPDATE SET seen_at = excluded.seen_at
WHERE excluded.seen_at > known.seen_at
RETURNING (xmax = 0) AS is_new
