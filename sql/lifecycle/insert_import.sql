INSERT INTO history_sync.imports (import_id, channel_id, run_group, strategy, partial, status)
VALUES (
    %(import_id)s, %(channel_id)s, %(run_group)s, %(strategy)s, %(partial)s, 'requested'
)
