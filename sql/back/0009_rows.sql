-- Loses: who stands in groups, until the next listing, and the agents' parts in imported sessions, which
-- the way forward adds again under the same ids.
DELETE FROM public.agent_sessions AS part
USING history_sync.sessions AS ours
WHERE part.session_id = ours.session_id
  AND part.id = history_sync.id_of('participation/' || part.session_id || '/' || part.agent_id);
ALTER TABLE history_sync.directory DROP COLUMN members;
