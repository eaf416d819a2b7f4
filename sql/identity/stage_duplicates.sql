-- A copy's facts, as if it had just been read: update_messages.sql merges them into the row that
-- stays, by the same laws as any reading. A mark has nothing to teach but that there was a revoke,
-- and that is for pass_tombstones.sql.
INSERT INTO staged_messages (
    day, chat_id, stanza_id, message_id, contact_id, waha_id, address, at, time_trusted, from_me,
    content_type, text, media_url, media_mimetype, status_rank, can_play, mentions,
    reply_to_stanza, metadata, kind_is_known, edited_at, read_at, only_revoked, is_new
)
SELECT
    k.day, d.chat_id, d.stanza_id, d.kept_id, m.contact_id, k.waha_id, k.address, m."timestamp",
    k.time_trusted, m.from_me, m.content_type, m.text, m.media_url, m.media_mimetype,
    k.status_rank, m.content_type IN ('voice', 'video'), m.mentions, k.reply_to_stanza,
    coalesce(m.metadata, '{}') - 'revoked', k.kind_is_known, k.edited_at, k.read_at,
    history_sync.is_mark(k, m), false
FROM doubled AS d
INNER JOIN history_sync.message_keys AS k ON k.message_id = d.message_id
INNER JOIN public.messages AS m ON m.id = d.message_id
WHERE d.channel_id = %(channel_id)s AND d.copy = %(copy)s
