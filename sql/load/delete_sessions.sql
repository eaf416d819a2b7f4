-- Sessions of ours that the new cut left without a message: joined into a neighbour, or opened by
-- a message that is no longer the first. Their agents go with them.
WITH emptied AS (
    SELECT gone.id
    FROM public.sessions AS gone
    INNER JOIN history_sync.sessions AS ours ON ours.session_id = gone.id
    WHERE ours.channel_id = %(channel_id)s
      AND ours.contact_id IN (SELECT contact_id FROM touched_contacts)
      AND NOT EXISTS (SELECT FROM planned_sessions AS p WHERE p.session_id = gone.id)
      AND NOT EXISTS (SELECT FROM public.messages AS m WHERE m.session_id = gone.id)
), parted AS (
    DELETE FROM public.agent_sessions AS a
    USING emptied
    WHERE a.session_id = emptied.id
)
DELETE FROM public.sessions AS s
USING emptied
WHERE s.id = emptied.id
