-- Of some files those that a message has by now.
SELECT DISTINCT sha256 FROM history_sync.media WHERE sha256 = ANY(%(files)s::text[])
