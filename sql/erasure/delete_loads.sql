-- What is left of a day is looked at again.
DELETE FROM history_sync.loaded_days WHERE channel_id = ANY(%(channel_ids)s::uuid[])
