-- When WAHA was last asked whose a LID is, so that the one asked longest ago is asked next.
CREATE TABLE history_sync.lid_lookups (
    channel_id uuid NOT NULL REFERENCES public.channels (id) ON DELETE CASCADE,
    lid text NOT NULL,
    asked_at timestamptz NOT NULL,
    PRIMARY KEY (channel_id, lid)
);

-- The id of a row that is made once for what `name` says: the CRM's tables have no constraint that
-- would keep two loads from making it twice. RFC 9562 version 8, like `session_id`.
CREATE FUNCTION history_sync.id_of(name text) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT overlay(overlay(md5('ventros/' || name) PLACING '8' FROM 13) PLACING '8' FROM 17)::uuid
$$;
