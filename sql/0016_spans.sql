-- Where messages and sessions stand in time, beside their contact: a load finds the ones around what
-- it brings, and need not look at all that a contact has.

-- As public.messages has it; the CRM has no index by contact and time.
ALTER TABLE history_sync.message_keys ADD COLUMN at timestamptz;
UPDATE history_sync.message_keys AS k
SET at = m."timestamp"
FROM public.messages AS m
WHERE m.id = k.message_id;
ALTER TABLE history_sync.message_keys
    ALTER COLUMN at SET NOT NULL,
    -- The message has it, and a key goes with its message; looked up for each row it was a thirtieth
    -- of a load.
    DROP CONSTRAINT message_keys_channel_id_fkey;
CREATE INDEX message_keys_time ON history_sync.message_keys (channel_id, contact_id, at);
DROP INDEX history_sync.message_keys_contact;

-- The first and the last message, as the newest cut found them.
ALTER TABLE history_sync.sessions
    ADD COLUMN started_at timestamptz,
    ADD COLUMN ended_at timestamptz;
UPDATE history_sync.sessions AS ours
SET started_at = s.started_at, ended_at = coalesce(s.ended_at, s.last_activity_at)
FROM public.sessions AS s
WHERE s.id = ours.session_id;
ALTER TABLE history_sync.sessions
    ALTER COLUMN started_at SET NOT NULL, ALTER COLUMN ended_at SET NOT NULL,
    DROP CONSTRAINT sessions_channel_id_fkey;
CREATE INDEX sessions_time ON history_sync.sessions (channel_id, contact_id, started_at);
DROP INDEX history_sync.sessions_contact;

-- Sessions that the CRM opened, as they were when the messages of their contact were last placed.
-- One that is new or has grown since may take in messages that no load brings.
CREATE TABLE history_sync.their_sessions (
    channel_id uuid NOT NULL REFERENCES public.channels (id) ON DELETE CASCADE,
    session_id uuid NOT NULL REFERENCES public.sessions (id) ON DELETE CASCADE,
    contact_id uuid NOT NULL,
    opens_at timestamptz NOT NULL,
    closes_at timestamptz NOT NULL,
    PRIMARY KEY (channel_id, session_id)
);
