-- Addresses that the run taught us of people who stay, where no message stands under them.
DELETE FROM history_sync.identities AS i
USING run_moments, public.contacts AS c
WHERE run_moments.written_at = i.learned_at AND i.project_id = ANY(%(project_ids)s::uuid[])
  AND c.id = i.contact_id AND c.created_at NOT IN (SELECT written_at FROM run_moments)
  AND NOT EXISTS (
      SELECT FROM history_sync.message_keys AS k
      WHERE k.channel_id = ANY(%(channel_ids)s::uuid[]) AND k.contact_id = i.contact_id
        AND k.address = i.address
  )
