DELETE FROM history_sync.people AS p
WHERE p.contact_id IN (SELECT contact_id FROM departed)
   OR (
       -- Contacts of the CRM that the run came to know.
       p.created_by_run = %(run_id)s::uuid AND NOT p.is_ours
       AND NOT EXISTS (
           SELECT FROM history_sync.message_keys AS k
           WHERE k.channel_id = ANY(%(channel_ids)s::uuid[]) AND k.contact_id = p.contact_id
       )
   )
