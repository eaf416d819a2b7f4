INSERT INTO departed (contact_id)
SELECT unnest(%(contacts)s::uuid[])
