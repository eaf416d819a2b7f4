WITH theirs AS (
    SELECT s.id FROM public.sessions AS s INNER JOIN departed USING (contact_id)
), parted AS (
    DELETE FROM public.agent_sessions AS a USING theirs WHERE a.session_id = theirs.id
)
DELETE FROM public.sessions AS s USING theirs WHERE s.id = theirs.id
