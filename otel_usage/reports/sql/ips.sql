-- Requests and visits by client address.
--
-- Parameters  first_day, end_day Date (UTC), half open; service ('' for all); limit;
--             bots Int8: -1 with robots, 0 without, 1 robots alone
-- Columns     client_address: '' when unknown; visits: begun in the range, exact; first_seen, last_seen: within
--             the days of the range; bot_requests: how many of the requests were robots'
-- Order       requests descending
SELECT
    if(state.client_address = toIPv6('::'), '', replaceRegexpOne(toString(state.client_address), '^::ffff:', '')) AS client_address,
    max(state.country)                                                    AS country,
    sum(state.requests)                                                   AS requests,
    sum(state.visits)                                                     AS visits,
    concat(replaceOne(toString(min(state.first_seen)), ' ', 'T'), 'Z')    AS first_seen,
    concat(replaceOne(toString(max(state.last_seen)), ' ', 'T'), 'Z')     AS last_seen,
    sumIf(state.requests, state.is_bot = 1)                               AS bot_requests
FROM ips_daily_state AS state
WHERE state.day >= {first_day:Date} AND state.day < {end_day:Date}
    AND ({service:String} = '' OR state.service_name = {service:String})
    AND ({bots:Int8} = -1 OR state.is_bot = {bots:Int8})
GROUP BY state.client_address
ORDER BY requests DESC, client_address
LIMIT {limit:UInt32}
