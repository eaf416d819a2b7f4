-- Loses: where and when messages were last seen. Messages that were marked as deleted stay so.
DROP FUNCTION history_sync.is_mark(history_sync.message_keys, public.messages);
DROP FUNCTION history_sync.revoked(text, timestamptz);
DROP TABLE history_sync.places;
