DELETE FROM history_sync.people AS p USING departed WHERE p.contact_id = departed.contact_id
