-- The row that stayed takes back what it learned from its copy, unless it has changed since.
WITH undone AS (
    SELECT
        merge.merged_at, r.row_id,
        jsonb_populate_record(NULL::public.messages, r.before -> 'message') AS was,
        jsonb_populate_record(NULL::history_sync.message_keys, r.before -> 'key') AS key
    FROM history_sync.merges AS merge
    INNER JOIN history_sync.merged_rows AS r USING (merge_id)
    WHERE merge.merge_id = ANY(%(merge_ids)s::uuid[]) AND r.relation = 'kept'
), restored AS (
    UPDATE public.messages AS m
    SET "timestamp" = (undone.was)."timestamp", from_me = (undone.was).from_me,
        status = (undone.was).status, content_type = (undone.was).content_type,
        text = (undone.was).text, media_url = (undone.was).media_url,
        media_mimetype = (undone.was).media_mimetype, mentions = (undone.was).mentions,
        metadata = (undone.was).metadata, deleted_at = (undone.was).deleted_at,
        updated_at = now()
    FROM undone
    WHERE m.id = undone.row_id AND m.updated_at = undone.merged_at
    RETURNING m.id
)
UPDATE history_sync.message_keys AS k
SET day = (undone.key).day, at = (undone.was)."timestamp",
    status_rank = (undone.key).status_rank,
    time_trusted = (undone.key).time_trusted, kind_is_known = (undone.key).kind_is_known,
    edited_at = (undone.key).edited_at, read_at = (undone.key).read_at,
    reply_to_stanza = (undone.key).reply_to_stanza, changed_by_run = (undone.key).changed_by_run
FROM undone, restored
WHERE k.message_id = undone.row_id AND restored.id = undone.row_id
