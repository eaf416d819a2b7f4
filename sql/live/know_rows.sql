-- The CRM stored a message that we had stored already, under an id that its unique index does not
-- take for the same. Its row gets a key, parked in a conversation of its own as copies are, and is
-- then placed beside ours as in a merge of people: the CRM's row stays, ours becomes its copy.
WITH paired AS (
    SELECT DISTINCT ON (k.message_id)
        k.*, m.id AS live_id, m.contact_id AS live_contact, m.from_me AS live_from_me,
        m.metadata AS live_metadata, m.status AS live_status, m."timestamp" AS live_time
    FROM live_places AS p
    INNER JOIN history_sync.message_keys AS k
        ON k.channel_id = %(channel_id)s AND k.stanza_id = p.stanza_id
       AND k.duplicate_of IS NULL
       AND (
           k.chat_id = p.chat_id OR k.contact_id = p.contact_id
           OR (p.is_self AND k.address LIKE '%%@g.us')
       )
    INNER JOIN public.messages AS ours
        ON ours.id = k.message_id AND ours.source = 'history_import'
       AND (NOT p.is_self OR ours.from_me)
    INNER JOIN public.messages AS m ON m.id = p.message_id AND m.deleted_at IS NULL
    ORDER BY k.message_id, m.created_at, m.id
), one_each AS (
    -- One row of the CRM is one message, even where several of ours could be it.
    SELECT DISTINCT ON (live_id) * FROM paired ORDER BY live_id, message_id
), known AS (
    INSERT INTO history_sync.message_keys (
        channel_id, chat_id, stanza_id, message_id, contact_id, waha_id, address, day,
        at, status_rank, time_trusted, kind_is_known, edited_at, read_at, reply_to_stanza,
        inserted_by_run
    )
    SELECT
        channel_id, live_id, stanza_id, live_id, live_contact, waha_id, address, day,
        live_time, CASE WHEN NOT live_from_me OR live_metadata ->> 'ack' IS NULL THEN 0
        ELSE CASE live_status WHEN 'queued' THEN 1 WHEN 'failed' THEN 2 WHEN 'sent' THEN 3
            WHEN 'delivered' THEN 4 WHEN 'read' THEN 5 WHEN 'played' THEN 6 ELSE 0 END END,
        live_time >= '2009-01-01Z', true, '-infinity', '-infinity', reply_to_stanza, %(run_id)s
    FROM one_each
)
INSERT INTO placed (message_id, channel_id, stanza_id, chat_id, contact_id, merge_id)
SELECT live_id, channel_id, stanza_id, chat_id, live_contact, NULL FROM one_each
