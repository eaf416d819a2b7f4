UPDATE history_sync.runs
SET days_read = days_read + %(days_read)s,
    days_loaded = days_loaded + %(days_loaded)s,
    messages_read = messages_read + %(messages_read)s,
    requests = requests + %(requests)s,
    retries = retries + %(retries)s,
    contacts_created = contacts_created + %(contacts_created)s,
    sessions_created = sessions_created + %(sessions_created)s
WHERE run_id = %(run_id)s::uuid AND channel_id = %(channel_id)s
