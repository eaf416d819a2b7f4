-- People without a picture whom the channel has met, those asked for longest ago first; by number
-- where there is one.
SELECT DISTINCT ON (c.profile_picture_fetched_at, c.created_at, c.id) c.id::text, i.address
FROM history_sync.identities AS i
INNER JOIN history_sync.people AS p USING (contact_id)
INNER JOIN public.contacts AS c ON c.id = i.contact_id
WHERE i.project_id = %(project_id)s AND NOT p.is_group AND c.deleted_at IS NULL
  AND coalesce(c.profile_picture_url, '') = ''
  AND (i.address LIKE '%%@c.us' OR i.address LIKE '%%@lid')
  AND (
      EXISTS (
          SELECT FROM history_sync.directory AS d
          WHERE d.channel_id = %(channel_id)s AND d.address = i.address
      )
      OR EXISTS (
          SELECT FROM history_sync.message_keys AS k
          WHERE k.channel_id = %(channel_id)s AND k.contact_id = c.id
      )
  )
ORDER BY
    c.profile_picture_fetched_at NULLS FIRST, c.created_at, c.id, i.address LIKE '%%@lid', i.address
LIMIT %(max_contacts)s
