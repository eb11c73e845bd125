-- Requests, visits and visitors by browser.
--
-- Parameters  first_day, end_day Date (UTC), half open; service ('' for all); limit;
--             bots Int8: -1 with robots, 0 without, 1 robots alone
-- Columns     visits: begun in the range, exact; visitors: distinct over the range, about 0.9 % error;
--             bot_requests: how many of the requests were robots'
-- Order       requests descending
SELECT
    state.browser                           AS browser,
    sum(state.requests)                     AS requests,
    sum(state.visits)                       AS visits,
    uniqCombined64Merge(14)(state.visitors) AS visitors,
    sumIf(state.requests, state.is_bot = 1) AS bot_requests
FROM browsers_daily_state AS state
WHERE state.day >= {first_day:Date} AND state.day < {end_day:Date}
    AND ({service:String} = '' OR state.service_name = {service:String})
    AND ({bots:Int8} = -1 OR state.is_bot = {bots:Int8})
GROUP BY browser
ORDER BY requests DESC, browser
LIMIT {limit:UInt32}
