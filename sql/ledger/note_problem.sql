-- Returns a row only when the problem is news: a person is told once, not at every run.
INSERT INTO history_sync.channel_state AS state (channel_id, problem, problem_since)
VALUES (%(channel_id)s, %(problem)s, now())
ON CONFLICT (channel_id) DO UPDATE SET
    problem = excluded.problem, problem_since = excluded.problem_since
WHERE state.problem IS DISTINCT FROM excluded.problem
RETURNING channel_id
