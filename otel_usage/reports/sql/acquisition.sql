-- Where visits come from and what they come with: the 20 keys of most visits of each kind.
--
-- Of a visit that goes on for more than 31 days, what lies further away from the range is not seen, as in `visits`.
--
-- Parameters  first_day, end_day Date (UTC), half open; first_day_read, end_day_read Date, 31 days around them;
--             service ('' for all); limit; bots Int8: -1 with robots, 0 without, 1 robots alone
-- Columns     kind: browser, campaign, country, device, entry_page, os or referrer, each of the first request; key: ''
--             where it said none; visits: begun in the range, exact; confirmed: visits whose cookie came back;
--             single_request: visits of one request; bot_visits: how many of the visits were robots'
-- Order       kind, then visits descending
SELECT
    kind,
    key,
    count()                        AS visits,
    countIf(confirmed = 1)         AS confirmed,
    countIf(requests_of_visit = 1) AS single_request,
    sum(requests_of_visit)         AS requests,
    countIf(is_bot = 1)            AS bot_visits
FROM
(
    SELECT
        min(state.first_request) AS first,
        sum(state.requests)      AS requests_of_visit,
        max(state.confirmed)     AS confirmed,
        max(state.is_bot)        AS is_bot
    FROM visits_state AS state
    WHERE state.day >= {first_day_read:Date} AND state.day < {end_day_read:Date}
        AND ({service:String} = '' OR state.service_name = {service:String})
    GROUP BY state.service_name, state.visit_key_bytes
)
ARRAY JOIN
    ['entry_page', 'browser', 'os', 'device', 'country', 'referrer', 'campaign'] AS kind,
    [
        tupleElement(first, 2),
        tupleElement(first, 4),
        tupleElement(first, 5),
        tupleElement(first, 6),
        tupleElement(first, 7),
        tupleElement(first, 8),
        tupleElement(first, 9)
    ] AS key
WHERE toDate(tupleElement(first, 1)) >= {first_day:Date} AND toDate(tupleElement(first, 1)) < {end_day:Date}
    AND ({bots:Int8} = -1 OR is_bot = {bots:Int8})
GROUP BY kind, key
ORDER BY kind, visits DESC, key
LIMIT 20 BY kind
LIMIT {limit:UInt32}
