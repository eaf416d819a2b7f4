-- Answers with the seconds to wait, none or less where a turn is left over from a quiet moment. The
-- database's clock is everybody's clock, and it is read while the row is locked: a moment read before
-- that could lie before one that was given away since.
INSERT INTO history_sync.courtesy_pace AS pace (server, next_at)
VALUES (
    %(server)s,
    clock_timestamp() + (%(spacing)s - %(saved)s::float8) * interval '1 second'
)
ON CONFLICT (server) DO UPDATE
SET next_at = greatest(pace.next_at, clock_timestamp() - %(saved)s * interval '1 second')
    + %(spacing)s * interval '1 second'
RETURNING extract(epoch FROM next_at - clock_timestamp()) - %(spacing)s AS wait
