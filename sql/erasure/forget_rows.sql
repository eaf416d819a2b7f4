-- What is remembered of the CRM's rows and sessions of the person. Most of it went with these; what
-- was moved to somebody else since is looked for again, and as it is now.
WITH sessions AS (
    DELETE FROM history_sync.their_sessions
    WHERE contact_id IN (SELECT contact_id FROM departed)
), looks AS (
    DELETE FROM history_sync.live_looks WHERE channel_id = ANY(%(channel_ids)s::uuid[])
)
DELETE FROM history_sync.unknown_rows
WHERE channel_id = ANY(%(channel_ids)s::uuid[]) AND address = ANY(%(addresses)s::text[])
