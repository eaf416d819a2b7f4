-- WAHA sends an event again until it is answered; its id keeps it single.
INSERT INTO history_sync.hints (channel_id, event_id, event, stanza_id, message_at, received_at)
VALUES (%(channel_id)s, %(event_id)s, %(event)s, %(stanza_id)s, %(message_at)s, %(received_at)s)
ON CONFLICT (channel_id, event_id) DO NOTHING
RETURNING event_id
