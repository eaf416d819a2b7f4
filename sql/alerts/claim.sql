-- Returns a row to the one process that is to tell it, which keeps the row's lock until it has.
INSERT INTO history_sync.alerts AS known (channel_id, topic, said, said_at)
VALUES (%(channel_id)s, %(topic)s, %(said)s, %(now)s)
ON CONFLICT (channel_id, topic) DO UPDATE SET said = excluded.said, said_at = excluded.said_at
WHERE CASE known.topic
    WHEN 'problem' THEN known.said <> excluded.said
    ELSE known.said_at <= excluded.said_at - %(quiet)s::interval
END
RETURNING channel_id
