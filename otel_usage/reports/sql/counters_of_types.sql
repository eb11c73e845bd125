-- Sum and average of counters, a row for each object and counter of some types, as a file for other programs.
--
-- Parameters  object_types Array(String); counters Array(String), empty for all; first_day, end_day Date (UTC), half open; bots: 0
--             leaves robots out; service ('' for all)
-- Columns     sum; average: over the days on which the counter was counted; days: how many these are
-- Order       object type, object id, counter
SELECT
    state.object_type                       AS object_type,
    state.object_id                         AS object_id,
    state.counter_name                      AS counter_name,
    sum(state.value)                        AS sum,
    sum(state.value) / uniqExact(state.day) AS average,
    uniqExact(state.day)                    AS days
FROM counters_daily_state AS state
WHERE state.day >= {first_day:Date} AND state.day < {end_day:Date}
    AND state.object_type IN {object_types:Array(String)}
    AND (empty({counters:Array(String)}) OR state.counter_name IN {counters:Array(String)})
    AND state.is_bot <= {bots:UInt8}
    AND ({service:String} = '' OR state.service_name = {service:String})
GROUP BY object_type, object_id, counter_name
ORDER BY object_type, object_id, counter_name
