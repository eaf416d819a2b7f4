INSERT INTO history_sync.channel_state (
    channel_id, own_addresses, engine, waha_version, directory_read_at
)
VALUES (%(channel_id)s, %(own_addresses)s, %(engine)s, %(waha_version)s, %(listed_at)s)
ON CONFLICT (channel_id) DO UPDATE SET
    own_addresses = excluded.own_addresses, engine = excluded.engine,
    waha_version = excluded.waha_version, directory_read_at = excluded.directory_read_at
