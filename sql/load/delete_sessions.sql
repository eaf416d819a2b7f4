-- Sessions of ours that the new cut left without a message: joined into a neighbour, or opened by
-- a message that is no longer the first.
DELETE FROM public.sessions AS gone
USING history_sync.sessions AS ours
WHERE gone.id = ours.session_id
  AND ours.channel_id = %(channel_id)s
  AND ours.contact_id IN (SELECT contact_id FROM touched_contacts)
  AND NOT EXISTS (SELECT FROM planned_sessions AS p WHERE p.session_id = gone.id)
  AND NOT EXISTS (SELECT FROM public.messages AS m WHERE m.session_id = gone.id)
