-- The number of an address that has left. What stands on a contact that the CRM made is its own
-- matter, or was given back when the merge was undone.
UPDATE public.contacts AS c
SET phone = NULL, version = c.version + 1, updated_at = now()
FROM unnest(%(givers)s::uuid[], %(phones)s::text[]) AS left_with (giver, phone)
INNER JOIN history_sync.people AS p ON p.contact_id = left_with.giver AND p.is_ours
WHERE c.id = left_with.giver AND ltrim(c.phone, '+') = ltrim(left_with.phone, '+')
