-- Addresses that the run taught us of people who stay, where no message stands under them.
DELETE FROM history_sync.identities AS i
USING moments, history_sync.people AS p
WHERE moments.written_at = i.learned_at AND i.project_id = ANY(%(project_ids)s::uuid[])
  AND p.contact_id = i.contact_id
  AND (NOT p.is_ours OR p.created_by_run <> %(run_id)s::uuid)
  AND NOT EXISTS (
      SELECT FROM history_sync.message_keys AS k
      WHERE k.channel_id = ANY(%(channel_ids)s::uuid[]) AND k.contact_id = i.contact_id
        AND k.address = i.address
  )
