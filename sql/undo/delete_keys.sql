-- Of rows that the run found and did not make.
DELETE FROM history_sync.message_keys WHERE inserted_by_run = %(run_id)s::uuid
