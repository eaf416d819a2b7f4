-- Sessions of ours that the new cut left without a message: joined into a neighbour, or opened by
-- a message that is no longer the first. Their agents go with them.
-- Nearly none is left so, and only of those the messages are asked, one session at a time (OFFSET 0):
-- all at once the planner read the whole table of messages for each window.
WITH unplanned AS MATERIALIZED (
    SELECT ours.session_id
    FROM touched_spans AS span
    CROSS JOIN LATERAL (
        SELECT s.session_id
        FROM history_sync.sessions AS s
        WHERE s.channel_id = %(channel_id)s AND s.contact_id = span.contact_id
          AND s.started_at BETWEEN span.from_at AND span.until_at
        OFFSET 0
    ) AS ours
    WHERE NOT EXISTS (SELECT FROM planned_sessions AS p WHERE p.session_id = ours.session_id)
), emptied AS (
    SELECT u.session_id AS id
    FROM unplanned AS u
    WHERE NOT EXISTS (
        SELECT FROM public.messages AS m WHERE m.session_id = u.session_id OFFSET 0
    )
), parted AS (
    DELETE FROM public.agent_sessions AS a
    USING emptied
    WHERE a.session_id = emptied.id
)
DELETE FROM public.sessions AS s
USING emptied
WHERE s.id = emptied.id
