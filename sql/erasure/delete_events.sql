-- What the CRM told of the contact, its sessions and its messages.
DELETE FROM public.outbox_events AS e
WHERE e.aggregate_id IN (SELECT contact_id FROM departed)
   OR e.event_data::text ~ %(ids)s
