-- Contacts that the run made, and that nothing else hangs on: a contact that somebody has written to
-- or on since stays.
INSERT INTO departed (contact_id)
SELECT p.contact_id
FROM history_sync.people AS p
INNER JOIN public.contacts AS c ON c.id = p.contact_id
INNER JOIN run_moments ON run_moments.written_at = c.created_at
WHERE p.created_by_run = %(run_id)s::uuid
  AND NOT EXISTS (
      SELECT FROM public.messages AS m
      WHERE (m.contact_id = p.contact_id OR m.chat_id = p.chat_id)
        AND NOT EXISTS (SELECT FROM removed WHERE removed.message_id = m.id)
        -- What the run itself moved here goes back.
        AND NOT EXISTS (
            SELECT FROM undoing AS u
            WHERE u.relation = 'public.messages' AND u.row_id = m.id
              AND (u.before ? 'contact_id' OR u.before ? 'chat_id')
        )
  )
  AND NOT EXISTS (
      SELECT FROM public.sessions AS s
      WHERE s.contact_id = p.contact_id
        AND NOT EXISTS (SELECT FROM history_sync.sessions AS ours WHERE ours.session_id = s.id)
        AND NOT EXISTS (
            SELECT FROM undoing AS u WHERE u.relation = 'public.sessions' AND u.row_id = s.id
        )
  )
FOR UPDATE OF c
