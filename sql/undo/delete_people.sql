DELETE FROM history_sync.people AS p
WHERE p.contact_id IN (SELECT contact_id FROM departed)
   OR (
       -- Contacts of the CRM that the run came to know.
       p.created_by_run = %(run_id)s::uuid
       AND NOT EXISTS (
           SELECT FROM public.contacts AS c
           INNER JOIN run_moments ON run_moments.written_at = c.created_at
           WHERE c.id = p.contact_id
       )
       AND NOT EXISTS (
           SELECT FROM history_sync.message_keys AS k
           WHERE k.channel_id = ANY(%(channel_ids)s::uuid[]) AND k.contact_id = p.contact_id
       )
   )
