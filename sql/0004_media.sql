-- Media files are fetched after the messages, one by one, and never stand in a message's way.
CREATE TABLE history_sync.media (
    message_id uuid PRIMARY KEY REFERENCES history_sync.message_keys (message_id) ON DELETE CASCADE,
    channel_id uuid NOT NULL REFERENCES public.channels (id) ON DELETE CASCADE,
    -- wanted: to be fetched. stored: in the archive. expired: WhatsApp has it no more, or never gave
    -- it in all attempts. refused: too large, or the server may not or does not give it.
    state text NOT NULL DEFAULT 'wanted'
        CHECK (state IN ('wanted', 'stored', 'expired', 'refused')),
    reason text,
    -- Of the content, hex: the file's name in the archive.
    sha256 text,
    bytes bigint,
    mimetype text,
    attempts integer NOT NULL DEFAULT 0,
    tried_at timestamptz,
    CHECK ((state = 'stored') = (sha256 IS NOT NULL))
);
CREATE INDEX media_wanted ON history_sync.media (channel_id, attempts) WHERE state = 'wanted';
CREATE INDEX media_channel ON history_sync.media (channel_id, state);
