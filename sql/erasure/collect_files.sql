-- Remembered until they are deleted: with the messages everything that names them goes.
UPDATE history_sync.erasures
SET files = ARRAY(
    SELECT DISTINCT own.sha256
    FROM history_sync.media AS own
    INNER JOIN removed USING (message_id)
    WHERE own.sha256 IS NOT NULL AND NOT EXISTS (
        SELECT FROM history_sync.media AS other
        WHERE other.sha256 = own.sha256
          AND other.message_id NOT IN (SELECT message_id FROM removed)
    )
)
WHERE erasure_id = %(erasure_id)s
RETURNING cardinality(files)
