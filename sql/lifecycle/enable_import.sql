UPDATE channels
SET history_import_enabled = true,
    history_import_status = 'idle',
    default_agent_id = coalesce(%(agent_id)s, default_agent_id),
    history_import_max_days = %(max_days)s,
    history_import_max_messages_per_chat = %(max_per_chat)s,
    updated_at = now()
WHERE id = %(channel_id)s
