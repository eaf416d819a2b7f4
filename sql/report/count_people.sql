-- People who have written, were written to or have a chat, by what is known of their addresses; those
-- with both a number and a hidden id by the best source that joins two of their addresses.
WITH met AS (
    SELECT DISTINCT contact_id FROM history_sync.message_keys
    WHERE channel_id = %(channel_id)s AND duplicate_of IS NULL
    UNION
    SELECT i.contact_id
    FROM history_sync.directory AS d
    INNER JOIN history_sync.identities AS i
        ON i.project_id = %(project_id)s AND i.address = d.address
    WHERE d.channel_id = %(channel_id)s AND d.has_chat
), addressed AS (
    SELECT
        p.contact_id, bool_or(i.address LIKE '%%@lid') AS has_lid,
        bool_or(i.address LIKE '%%@c.us') AS has_number
    FROM met
    INNER JOIN history_sync.people AS p ON p.contact_id = met.contact_id AND NOT p.is_group
    INNER JOIN history_sync.identities AS i
        ON i.project_id = %(project_id)s AND i.contact_id = p.contact_id
    GROUP BY p.contact_id
), proved AS (
    SELECT one.contact_id, min(array_position(%(sources)s::text[], e.source)) AS best
    FROM history_sync.evidence AS e
    INNER JOIN history_sync.identities AS one
        ON one.project_id = e.project_id AND one.address = e.one
    INNER JOIN history_sync.identities AS other
        ON other.project_id = e.project_id AND other.address = e.other
        AND other.contact_id = one.contact_id
    WHERE e.project_id = %(project_id)s
    GROUP BY one.contact_id
)
SELECT
    CASE
        WHEN a.has_lid AND a.has_number
            THEN coalesce((%(sources)s::text[])[p.best], 'looks')
        WHEN a.has_number THEN 'number_only'
        WHEN a.has_lid THEN 'lid_only'
        ELSE 'other'
    END AS evidence,
    count(*) AS people
FROM addressed AS a
LEFT JOIN proved AS p ON p.contact_id = a.contact_id
GROUP BY evidence
ORDER BY people DESC, evidence
