-- Field by field: what is still as the merge left it is as it was before; what has changed since
-- stays.
WITH undone AS (
    SELECT
        merge.kept,
        jsonb_populate_record(NULL::public.contacts, merge.kept_before -> 'contact') AS before,
        jsonb_populate_record(NULL::public.contacts, merge.kept_after -> 'contact') AS after,
        jsonb_populate_record(NULL::history_sync.people, merge.kept_before -> 'person') AS was,
        jsonb_populate_record(NULL::history_sync.people, merge.kept_after -> 'person') AS became
    FROM history_sync.merges AS merge
    WHERE merge.merge_id = ANY(%(merge_ids)s::uuid[]) AND merge.kept_after IS NOT NULL
), forgotten AS (
    UPDATE history_sync.people AS p
    SET name = (undone.was).name, name_rank = (undone.was).name_rank,
        name_at = (undone.was).name_at
    FROM undone
    WHERE p.contact_id = undone.kept
      AND (p.name, p.name_rank, p.name_at) IS NOT DISTINCT FROM
          ((undone.became).name, (undone.became).name_rank, (undone.became).name_at)
)
UPDATE public.contacts AS c
SET name = CASE WHEN c.name IS NOT DISTINCT FROM (undone.after).name
        THEN (undone.before).name ELSE c.name END,
    phone = CASE WHEN c.phone IS NOT DISTINCT FROM (undone.after).phone
        THEN (undone.before).phone ELSE c.phone END,
    email = CASE WHEN c.email IS NOT DISTINCT FROM (undone.after).email
        THEN (undone.before).email ELSE c.email END,
    timezone = CASE WHEN c.timezone IS NOT DISTINCT FROM (undone.after).timezone
        THEN (undone.before).timezone ELSE c.timezone END,
    profile_picture_url = CASE
        WHEN c.profile_picture_url IS NOT DISTINCT FROM (undone.after).profile_picture_url
        THEN (undone.before).profile_picture_url ELSE c.profile_picture_url END,
    profile_picture_fetched_at = CASE
        WHEN c.profile_picture_fetched_at IS NOT DISTINCT FROM
            (undone.after).profile_picture_fetched_at
        THEN (undone.before).profile_picture_fetched_at ELSE c.profile_picture_fetched_at END,
    tags = CASE WHEN c.tags IS NOT DISTINCT FROM (undone.after).tags
        THEN (undone.before).tags ELSE c.tags END,
    first_interaction_at = CASE
        WHEN c.first_interaction_at IS NOT DISTINCT FROM (undone.after).first_interaction_at
        THEN (undone.before).first_interaction_at ELSE c.first_interaction_at END,
    last_interaction_at = CASE
        WHEN c.last_interaction_at IS NOT DISTINCT FROM (undone.after).last_interaction_at
        THEN (undone.before).last_interaction_at ELSE c.last_interaction_at END,
    version = c.version + 1,
    updated_at = now()
FROM undone
WHERE c.id = undone.kept
