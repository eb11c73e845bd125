-- Requests and visits by client address.
--
-- Parameters  first_day, end_day Date (UTC), half open; service ('' for all); limit
-- Columns     client_address: '' when unknown; first_seen, last_seen: within the days of the range
-- Order       requests descending
SELECT
    if(state.client_address = toIPv6('::'), '', replaceRegexpOne(toString(state.client_address), '^::ffff:', '')) AS client_address,
    max(state.country)                                                    AS country,
    state.is_bot                                                          AS is_bot,
    sum(state.requests)                                                   AS requests,
    sum(state.visits)                                                     AS visits,
    concat(replaceOne(toString(min(state.first_seen)), ' ', 'T'), 'Z')    AS first_seen,
    concat(replaceOne(toString(max(state.last_seen)), ' ', 'T'), 'Z')     AS last_seen
FROM ips_daily_state AS state
WHERE state.day >= {first_day:Date} AND state.day < {end_day:Date}
    AND ({service:String} = '' OR state.service_name = {service:String})
GROUP BY state.client_address, is_bot
ORDER BY requests DESC, client_address, is_bot
LIMIT {limit:UInt32}
