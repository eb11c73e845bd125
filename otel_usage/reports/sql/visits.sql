-- Visits by the day on which they began, people and robots apart.
--
-- Of a visit that goes on for more than 31 days, what lies further away from the range is not seen: reading all
-- of history for a week's report would cost more than that visit is worth. The view `visits` has it whole.
--
-- Parameters  first_day, end_day Date (UTC), half open; first_day_read, end_day_read Date, 31 days around them;
--             service ('' for all); limit; bots Int8: -1 with robots, 0 without, 1 robots alone
-- Columns     confirmed: visits whose cookie came back; single_request: visits of one request;
--             median_seconds: from the first to the last request; between the two in the middle where there are two
-- Order       day descending
SELECT
    toDate(started)                           AS day,
    service_name,
    is_bot,
    count()                                   AS visits,
    countIf(confirmed = 1)                    AS confirmed,
    countIf(requests_of_visit = 1)            AS single_request,
    sum(requests_of_visit)                    AS requests,
    round(requests / visits, 2)               AS requests_per_visit,
    round(quantileExactInclusive((toUnixTimestamp64Nano(last_seen) - toUnixTimestamp64Nano(started)) / 1e9), 3) AS median_seconds
FROM
(
    SELECT
        state.service_name                           AS service_name,
        min(tupleElement(state.first_request, 1)) AS started,
        max(tupleElement(state.last_request, 1))  AS last_seen,
        sum(state.requests)                          AS requests_of_visit,
        max(state.confirmed)                         AS confirmed,
        max(state.is_bot)                            AS is_bot
    FROM visits_state AS state
    WHERE state.day >= {first_day_read:Date} AND state.day < {end_day_read:Date}
        AND ({service:String} = '' OR state.service_name = {service:String})
    GROUP BY
        service_name,
        state.visit_key_bytes
)
WHERE toDate(started) >= {first_day:Date} AND toDate(started) < {end_day:Date}
    AND ({bots:Int8} = -1 OR is_bot = {bots:Int8})
GROUP BY day, service_name, is_bot
ORDER BY day DESC, service_name, is_bot
LIMIT {limit:UInt32}
