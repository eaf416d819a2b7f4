INSERT INTO history_sync.merges (
    merge_id, project_id, kept, absorbed, kept_addresses, absorbed_addresses, sources,
    kept_before, run_id
)
SELECT
    pair.merge_id, %(project_id)s, pair.taker, pair.giver, kept.addresses, gone.addresses,
    ARRAY(
        SELECT DISTINCT e.source FROM history_sync.evidence AS e
        WHERE e.project_id = %(project_id)s
          AND e.one = ANY(kept.addresses || gone.addresses || pair.person)
          AND e.other = ANY(kept.addresses || gone.addresses || pair.person)
        ORDER BY e.source
    ),
    jsonb_build_object('contact', to_jsonb(c), 'person', to_jsonb(p)), %(run_id)s
FROM unnest(%(merge_ids)s::uuid[], %(givers)s::uuid[], %(takers)s::uuid[], %(people)s::jsonb[])
    AS pair_text (merge_id, giver, taker, person)
CROSS JOIN LATERAL (
    SELECT
        pair_text.merge_id, pair_text.giver, pair_text.taker,
        ARRAY(SELECT jsonb_array_elements_text(pair_text.person)) AS person
) AS pair
CROSS JOIN LATERAL (
    SELECT array_agg(i.address ORDER BY i.address) AS addresses
    FROM history_sync.identities AS i WHERE i.contact_id = pair.taker
) AS kept
CROSS JOIN LATERAL (
    SELECT array_agg(i.address ORDER BY i.address) AS addresses
    FROM history_sync.identities AS i WHERE i.contact_id = pair.giver
) AS gone
INNER JOIN public.contacts AS c ON c.id = pair.taker
INNER JOIN history_sync.people AS p ON p.contact_id = pair.taker
