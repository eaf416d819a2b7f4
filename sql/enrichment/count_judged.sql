SELECT
    kind, coalesce(provider, '') AS provider, coalesce(reason, 'fits') AS outcome,
    count(*) AS messages,
    coalesce(sum(bytes), 0)::bigint AS bytes,
    count(*) FILTER (WHERE bytes IS NULL) AS bytes_unknown,
    coalesce(sum(seconds), 0)::bigint AS seconds,
    coalesce(sum(pages), 0)::bigint AS pages,
    coalesce(sum(usd), 0)::float AS usd,
    count(*) FILTER (WHERE usd IS NULL) AS price_unknown
FROM judged_media
GROUP BY kind, provider, priority, reason
ORDER BY priority DESC NULLS LAST, kind, reason NULLS FIRST
