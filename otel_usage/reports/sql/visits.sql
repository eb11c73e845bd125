-- Visits by the day on which they began, people and robots apart.
--
-- Parameters  first_day, end_day Date (UTC), half open; service ('' for all); limit
-- Columns     confirmed: visits whose cookie came back; single_request: visits of one request;
--             median_seconds: from the first to the last request
-- Order       day descending
SELECT
    toDate(visits.started)                                                             AS day,
    visits.service_name                                                                AS service_name,
    visits.is_bot                                                                      AS is_bot,
    count()                                                                            AS visits,
    countIf(visits.confirmed = 1)                                                      AS confirmed,
    countIf(visits.requests = 1)                                                       AS single_request,
    sum(visits.requests)                                                               AS requests,
    round(sum(visits.requests) / count(), 2)                                           AS requests_per_visit,
    round(quantileExact((toUnixTimestamp64Nano(visits.last_seen) - toUnixTimestamp64Nano(visits.started)) / 1e9), 3) AS median_seconds
FROM visits
WHERE toDate(visits.started) >= {first_day:Date} AND toDate(visits.started) < {end_day:Date}
    AND ({service:String} = '' OR visits.service_name = {service:String})
GROUP BY day, service_name, is_bot
ORDER BY day DESC, service_name, is_bot
LIMIT {limit:UInt32}
