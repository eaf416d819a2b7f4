-- A contact that the CRM made is never removed: people may have written on it. Only ours retire.
WITH absorbed AS (
    UPDATE history_sync.people AS p
    SET absorbed_by = m.taker
    FROM moves AS m
    WHERE p.contact_id = m.giver
    RETURNING p.chat_id
), closed AS (
    -- Conversations of ours, that is (their ids are of version 5); the CRM's stay, too.
    UPDATE public.chats AS c
    SET deleted_at = now(), version = c.version + 1, updated_at = now()
    FROM absorbed
    WHERE c.id = absorbed.chat_id AND c.deleted_at IS NULL AND substr(c.id::text, 15, 1) = '5'
)
UPDATE public.contacts AS c
SET deleted_at = now(), version = c.version + 1, updated_at = now()
FROM moves AS m
WHERE c.id = m.giver AND m.takes_all AND c.deleted_at IS NULL
