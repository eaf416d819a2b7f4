-- Loses nothing: limits of requests begin anew.
DROP TABLE history_sync.api_calls;
