-- The conversation and the stanza id that a stored WAHA id names: `true_551...@c.us_3EB0...`, in
-- groups with the sender behind it. A bare id names no conversation.
CREATE FUNCTION history_sync.waha_id(
    channel_message_id text, OUT address text, OUT stanza_id text
) RETURNS SETOF record
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT
        replace(part[1], '@s.whatsapp.net', '@c.us'), coalesce(part[2], channel_message_id)
    FROM regexp_match(
        channel_message_id,
        '^(?:true|false)_([^@]+@[a-z.]+)_(.+?)(?:_[^_@]+(?:_\d+)?(?::\d+)?@[a-z.]+)?$'
    ) AS part
$$;
