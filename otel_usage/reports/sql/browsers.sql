-- Requests, visits and visitors by browser, operating system and device.
--
-- Parameters  first_day, end_day Date (UTC), half open; service ('' for all); limit
-- Columns     visits: begun in the range, exact; visitors: distinct over the range, about 0.9 % error
-- Order       requests descending
SELECT
    state.browser                           AS browser,
    state.os                                AS os,
    state.device_type                       AS device_type,
    state.is_bot                            AS is_bot,
    sum(state.requests)                     AS requests,
    sum(state.visits)                       AS visits,
    uniqCombined64Merge(14)(state.visitors) AS visitors
FROM browsers_daily_state AS state
WHERE state.day >= {first_day:Date} AND state.day < {end_day:Date}
    AND ({service:String} = '' OR state.service_name = {service:String})
GROUP BY browser, os, device_type, is_bot
ORDER BY requests DESC, browser, os, device_type, is_bot
LIMIT {limit:UInt32}
