-- Loses: all that is known of messages, people and days. The next import finds the CRM's rows again.
DROP FUNCTION history_sync.status_of(smallint, boolean);
DROP FUNCTION history_sync.session_id(uuid);
DROP TABLE history_sync.quarantine;
DROP TABLE history_sync.balance;
DROP TABLE history_sync.coverage;
DROP TABLE history_sync.sessions;
DROP TABLE history_sync.message_keys;
DROP TABLE history_sync.directory;
DROP TABLE history_sync.evidence;
DROP TABLE history_sync.identities;
DROP TABLE history_sync.people;
DROP TABLE history_sync.runs;
DROP TABLE history_sync.channel_state;
