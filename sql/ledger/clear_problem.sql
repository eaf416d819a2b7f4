UPDATE history_sync.channel_state
SET problem = NULL, problem_since = NULL
WHERE channel_id = %(channel_id)s AND problem IS NOT NULL
