-- LIDs of people without a number that this channel has met, in a message or in a list; the one
-- asked longest ago first.
SELECT i.address
FROM history_sync.identities AS i
INNER JOIN history_sync.people AS p ON p.contact_id = i.contact_id AND NOT p.is_group
INNER JOIN public.contacts AS c ON c.id = i.contact_id
LEFT JOIN history_sync.lid_lookups AS asked
    ON asked.channel_id = %(channel_id)s AND asked.lid = i.address
WHERE i.project_id = %(project_id)s
  AND i.address LIKE '%%@lid'
  AND c.deleted_at IS NULL AND coalesce(c.phone, '') = ''
  AND (
      EXISTS (
          SELECT FROM history_sync.message_keys AS k
          WHERE k.channel_id = %(channel_id)s AND k.contact_id = i.contact_id
      )
      OR EXISTS (
          SELECT FROM history_sync.directory AS d
          WHERE d.channel_id = %(channel_id)s AND d.address = i.address
      )
  )
ORDER BY asked.asked_at NULLS FIRST, i.address
LIMIT %(max_lids)s
