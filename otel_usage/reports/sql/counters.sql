-- Sums of counters by object, and their average over the days on which they were counted.
--
-- Parameters  first_day, end_day Date (UTC), half open; service, object_type ('' for all); limit;
--             bots Int8: -1 with robots, 0 without, 1 robots alone
-- Columns     bot_value: how much of the value came from robots; days: on which the counter was counted
-- Order       value descending
SELECT
    state.object_type                       AS object_type,
    state.object_id                         AS object_id,
    state.counter_name                      AS counter_name,
    sum(state.value)                        AS value,
    sumIf(state.value, state.is_bot = 1)    AS bot_value,
    uniqExact(state.day)                    AS days,
    sum(state.value) / uniqExact(state.day) AS average_per_day
FROM counters_daily_state AS state
WHERE state.day >= {first_day:Date} AND state.day < {end_day:Date}
    AND ({service:String} = '' OR state.service_name = {service:String})
    AND ({bots:Int8} = -1 OR state.is_bot = {bots:Int8})
    AND ({object_type:String} = '' OR state.object_type = {object_type:String})
GROUP BY object_type, object_id, counter_name
ORDER BY value DESC, object_type, object_id, counter_name
LIMIT {limit:UInt32}
