-- A person first met under a LID has no phone number; the day somebody says whose it is, the number
-- is filled in. A number that another contact of the project carries already is left to a merge.
UPDATE public.contacts AS c
SET phone = p.phone, version = c.version + 1, updated_at = now()
FROM staged_people AS p
WHERE c.id = p.contact_id
  AND c.phone IS NULL
  AND p.phone IS NOT NULL
  AND NOT EXISTS (
      SELECT FROM public.contacts AS other
      WHERE other.project_id = c.project_id AND other.deleted_at IS NULL
        AND other.phone IN (p.phone, ltrim(p.phone, '+'))
  )
