-- Visits and requests of the users who signed in.
--
-- A visit counts for the last user known in it. Of one that goes on for more than 31 days, what lies further away
-- from the range is not seen, as in `visits`.
--
-- Parameters  first_day, end_day Date (UTC), half open; first_day_read, end_day_read Date, 31 days around them;
--             service ('' for all); limit; bots Int8: -1 with robots, 0 without, 1 robots alone
-- Columns     visits: begun in the range, exact; requests, first_seen, last_seen: of these visits, also before the user
--             signed in; bot_visits: how many of the visits were robots'
-- Order       requests descending
SELECT
    user_id,
    count()                                                    AS visits,
    sum(requests_of_visit)                                     AS requests,
    concat(replaceOne(toString(min(started)), ' ', 'T'), 'Z')  AS first_seen,
    concat(replaceOne(toString(max(seen)), ' ', 'T'), 'Z')     AS last_seen,
    countIf(is_bot = 1)                                        AS bot_visits
FROM
(
    SELECT
        tupleElement(max(state.last_user), 2)     AS user_id,
        min(tupleElement(state.first_request, 1)) AS started,
        max(tupleElement(state.last_request, 1))  AS seen,
        sum(state.requests)                       AS requests_of_visit,
        max(state.is_bot)                         AS is_bot
    FROM visits_state AS state
    WHERE state.day >= {first_day_read:Date} AND state.day < {end_day_read:Date}
        AND ({service:String} = '' OR state.service_name = {service:String})
    GROUP BY state.service_name, state.visit_key_bytes
)
WHERE user_id != ''
    AND toDate(started) >= {first_day:Date} AND toDate(started) < {end_day:Date}
    AND ({bots:Int8} = -1 OR is_bot = {bots:Int8})
GROUP BY user_id
ORDER BY requests DESC, user_id
LIMIT {limit:UInt32}
