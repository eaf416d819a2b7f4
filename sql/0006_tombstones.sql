-- Messages that were deleted for everyone. The CRM's row stays, deleted softly: nothing is ever
-- deleted for good.

-- Where WAHA shows a message, told only of messages that stand in several places (an edit moves a
-- row to another day, a person's row comes under either address) or that a read has missed; any
-- other message stands where its key says. A message is gone when all of its places are.
CREATE TABLE history_sync.places (
    -- Places are written before the new keys they belong to.
    message_id uuid NOT NULL REFERENCES history_sync.message_keys (message_id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    day date NOT NULL,
    waha_id text NOT NULL,
    -- The newest read known to have shown it there, and the first two complete reads since then, of
    -- a day that had stopped growing, that did not.
    seen_at timestamptz NOT NULL,
    missed_at timestamptz,
    gone_at timestamptz,
    PRIMARY KEY (message_id, day, waha_id),
    CHECK (missed_at > seen_at AND gone_at > missed_at),
    CHECK (missed_at IS NOT NULL OR gone_at IS NULL)
);

-- What a tombstone says in the message's metadata: how the revoke is known, `row` (WhatsApp said so)
-- or `absence` (two reads missed the message), and the moment of the read that told.
CREATE FUNCTION history_sync.revoked(told_by text, told_at timestamptz) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT jsonb_build_object('revoked', jsonb_build_object(
        'by', told_by, 'at', to_char(told_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
    ))
$$;

-- Whether a stored row is only a mark: WhatsApp's "revoked" in the place of a message never read.
CREATE FUNCTION history_sync.is_mark(key history_sync.message_keys, message public.messages)
RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT NOT key.kind_is_known AND coalesce(message.metadata ->> 'kind' = 'revoked', false)
$$;
