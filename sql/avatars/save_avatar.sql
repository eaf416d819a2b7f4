-- A picture that somebody has set meanwhile stays. The moment is one of ours, as any other write's.
WITH written AS (
    INSERT INTO history_sync.writes (run_id, channel_id)
    VALUES (%(run_id)s::uuid, %(channel_id)s)
    ON CONFLICT DO NOTHING
)
UPDATE public.contacts
SET profile_picture_url = coalesce(%(url)s::text, profile_picture_url),
    profile_picture_fetched_at = %(fetched_at)s, version = version + 1, updated_at = now()
WHERE id = %(contact_id)s AND deleted_at IS NULL AND coalesce(profile_picture_url, '') = ''
