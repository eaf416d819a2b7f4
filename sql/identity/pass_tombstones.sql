-- WhatsApp said of one copy that it was deleted for everyone; that is said of the message.
UPDATE public.messages AS kept
SET deleted_at = gone.deleted_at, updated_at = now(),
    metadata = coalesce(kept.metadata, '{}')
        || jsonb_build_object('revoked', gone.metadata -> 'revoked')
FROM doubled AS d
INNER JOIN public.messages AS gone ON gone.id = d.message_id
WHERE kept.id = d.kept_id AND kept.deleted_at IS NULL AND gone.deleted_at IS NOT NULL
  AND gone.metadata #>> '{revoked,by}' = 'row'
