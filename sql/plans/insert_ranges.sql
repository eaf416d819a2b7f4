INSERT INTO history_sync.plan_ranges (import_id, from_day, to_day)
SELECT %(import_id)s, planned.from_day, planned.to_day
FROM unnest(%(from_days)s::date[], %(to_days)s::date[]) AS planned (from_day, to_day)
