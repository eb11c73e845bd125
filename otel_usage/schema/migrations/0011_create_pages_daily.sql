-- One row per day, service, route, path and is_bot; the path of what was not found (404) is empty.
--
-- Columns  visits: distinct, about 0.9 % error, not to be added up; errors: status 500 and above;
--          duration_p50_ns, duration_p95_ns: 1 % relative error
CREATE VIEW IF NOT EXISTS pages_daily AS
SELECT
    day,
    service_name,
    path,
    route,
    is_bot,
    requests,
    visits,
    errors,
    toUInt64(durations[1]) AS duration_p50_ns,
    toUInt64(durations[2]) AS duration_p95_ns
FROM
(
    SELECT
        state.day                                         AS day,
        state.service_name                                AS service_name,
        state.path                                        AS path,
        state.route                                       AS route,
        state.is_bot                                      AS is_bot,
        sum(state.requests)                               AS requests,
        uniqCombined64Merge(14)(state.visits)             AS visits,
        sum(state.errors)                                 AS errors,
        quantilesDDMerge(0.01, 0.5, 0.95)(state.durations) AS durations
    FROM pages_daily_state AS state
    GROUP BY
        day,
        service_name,
        path,
        route,
        is_bot
)
