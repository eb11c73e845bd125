-- Sums of the counters of one object.
--
-- Parameters  object_type, object_id; first_day, end_day Date (UTC), half open; bots: 0 leaves robots out; service
--             ('' for all)
-- Order       by name
SELECT
    state.counter_name AS counter_name,
    sum(state.value)   AS value
FROM counters_daily_state AS state
WHERE state.object_type = {object_type:String}
    AND state.object_id = {object_id:String}
    AND state.day >= {first_day:Date} AND state.day < {end_day:Date}
    AND state.is_bot <= {bots:UInt8}
    AND ({service:String} = '' OR state.service_name = {service:String})
GROUP BY counter_name
ORDER BY counter_name
