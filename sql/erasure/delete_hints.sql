DELETE FROM history_sync.hints AS h
USING history_sync.message_keys AS k, removed
WHERE k.message_id = removed.message_id
  AND h.channel_id = k.channel_id AND h.stanza_id = k.stanza_id
