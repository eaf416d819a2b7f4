-- A row that only said "revoked" was kept in the place of a message that nobody had read. Now the
-- message itself has come, and takes the place with all it says, as if it had come first; the mark's
-- own time, sender and id say nothing of it. What is known of its revoke goes with it.
WITH marks AS (
    SELECT
        s.chat_id, s.stanza_id, k.message_id, k.contact_id AS former_contact, k.at AS former_time,
        k.read_at AS told_at
    FROM staged_messages AS s
    INNER JOIN history_sync.message_keys AS k ON k.message_id = s.message_id
    INNER JOIN public.messages AS m ON m.id = k.message_id
    WHERE NOT s.is_new AND NOT s.only_revoked AND history_sync.is_mark(k, m)
), told AS (
    UPDATE staged_messages AS s
    SET revoked_at = least(s.revoked_at, marks.told_at)
    FROM marks
    WHERE s.chat_id = marks.chat_id AND s.stanza_id = marks.stanza_id
), filled AS (
    UPDATE public.messages AS m
    SET
        "timestamp" = s.at, from_me = s.from_me, contact_id = s.contact_id,
        -- The mark's session is its sender's; the next cut gives the message its own.
        session_id = NULL,
        content_type = s.content_type, text = s.text, media_url = s.media_url,
        media_mimetype = s.media_mimetype, mentions = s.mentions, channel_message_id = s.waha_id,
        status = history_sync.status_of(s.status_rank, s.can_play), metadata = s.metadata,
        updated_at = now()
    FROM staged_messages AS s
    INNER JOIN marks USING (chat_id, stanza_id)
    WHERE m.id = marks.message_id
    RETURNING m.id
), remembered AS (
    UPDATE history_sync.message_keys AS k
    SET contact_id = s.contact_id, waha_id = s.waha_id, address = s.address, day = s.day,
        at = s.at,
        status_rank = s.status_rank, time_trusted = s.time_trusted,
        kind_is_known = s.kind_is_known, edited_at = s.edited_at, read_at = s.read_at,
        reply_to_stanza = s.reply_to_stanza, changed_by_run = %(run_id)s
    FROM staged_messages AS s
    INNER JOIN marks USING (chat_id, stanza_id)
    WHERE k.message_id = marks.message_id
), changed AS (
    INSERT INTO changed_messages (message_id) SELECT id FROM filled
)
INSERT INTO touched_contacts (contact_id, span)
SELECT former_contact, tstzrange(former_time, former_time, '[]') FROM marks
