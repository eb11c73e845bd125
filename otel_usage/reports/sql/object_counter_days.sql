-- What one counter of one object gained, day by day.
--
-- Parameters  object_type, object_id, counter; first_day, end_day Date (UTC), half open; bots: 0 leaves robots out;
--             service ('' for all)
-- Order       day ascending; days without events are absent
SELECT
    state.day        AS day,
    sum(state.value) AS value
FROM counters_daily_state AS state
WHERE state.object_type = {object_type:String}
    AND state.object_id = {object_id:String}
    AND state.counter_name = {counter:String}
    AND state.day >= {first_day:Date} AND state.day < {end_day:Date}
    AND state.is_bot <= {bots:UInt8}
    AND ({service:String} = '' OR state.service_name = {service:String})
GROUP BY day
ORDER BY day
