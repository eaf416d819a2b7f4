-- Loses nothing: the times stand in the CRM's own rows, too.
DROP TABLE history_sync.their_sessions;
CREATE INDEX sessions_contact ON history_sync.sessions (channel_id, contact_id);
DROP INDEX history_sync.sessions_time;
ALTER TABLE history_sync.sessions
    DROP COLUMN started_at, DROP COLUMN ended_at,
    ADD CONSTRAINT sessions_channel_id_fkey
        FOREIGN KEY (channel_id) REFERENCES public.channels (id) ON DELETE CASCADE;
CREATE INDEX message_keys_contact ON history_sync.message_keys (channel_id, contact_id);
DROP INDEX history_sync.message_keys_time;
ALTER TABLE history_sync.message_keys
    DROP COLUMN at,
    ADD CONSTRAINT message_keys_channel_id_fkey
        FOREIGN KEY (channel_id) REFERENCES public.channels (id) ON DELETE CASCADE;
