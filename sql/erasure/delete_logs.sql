DELETE FROM public.domain_event_logs AS e
WHERE e.aggregate_id IN (SELECT contact_id FROM departed)
   OR e.payload::text ~ %(ids)s
