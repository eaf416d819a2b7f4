-- Absorbed contacts that go altogether: ours, and those that a person joined by hand.
SELECT p.contact_id::text
FROM unnest(%(absorbed)s::uuid[], %(keepers)s::uuid[]) AS pair (absorbed, keeper)
INNER JOIN history_sync.people AS p ON p.contact_id = pair.absorbed
WHERE p.is_ours OR EXISTS (
    SELECT FROM history_sync.evidence AS e
    INNER JOIN history_sync.identities AS one
        ON one.project_id = e.project_id AND one.address = e.one
    INNER JOIN history_sync.identities AS other
        ON other.project_id = e.project_id AND other.address = e.other
    WHERE e.project_id = %(project_id)s AND e.source = 'operator'
      AND pair.absorbed IN (one.contact_id, other.contact_id)
      AND pair.keeper IN (one.contact_id, other.contact_id)
)
