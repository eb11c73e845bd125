-- Requests, visits, errors and durations by route and path.
--
-- Parameters  first_day, end_day Date (UTC), half open; service ('' for all); limit;
--             bots Int8: -1 with robots, 0 without, 1 robots alone
-- Columns     path: '' for what was not found; visits: distinct, about 0.9 % error; errors: status 500 and above;
--             durations in milliseconds, 1 % relative error; bot_requests: how many of the requests were robots'
-- Order       requests descending
SELECT
    route,
    path,
    requests,
    visits,
    errors,
    round(durations[1] / 1e6, 3) AS duration_p50_ms,
    round(durations[2] / 1e6, 3) AS duration_p95_ms,
    bot_requests
FROM
(
    SELECT
        state.route                                        AS route,
        state.path                                         AS path,
        sum(state.requests)                                AS requests,
        uniqCombined64Merge(14)(state.visits)              AS visits,
        sum(state.errors)                                  AS errors,
        quantilesDDMerge(0.01, 0.5, 0.95)(state.durations) AS durations,
        sumIf(state.requests, state.is_bot = 1)            AS bot_requests
    FROM pages_daily_state AS state
    WHERE state.day >= {first_day:Date} AND state.day < {end_day:Date}
        AND ({service:String} = '' OR state.service_name = {service:String})
        AND ({bots:Int8} = -1 OR state.is_bot = {bots:Int8})
    GROUP BY route, path
)
ORDER BY requests DESC, route, path
LIMIT {limit:UInt32}
