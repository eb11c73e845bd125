-- One page of the sums of all counters, in the order of their names.
--
-- Sums change while somebody turns the pages, names do not: so no page repeats or skips a counter.
--
-- Parameters  first_day, end_day Date (UTC), half open; object_type, object_id, counter ('' for all); direction
--             1 for the counters after a place, -1 for those before it, with the nearest first, 0 for the first
--             ones; place_type, place_id, place_counter: the place; limit
-- Columns     bot_value: how much of the value came from robots
-- Order       object type, object id, counter name; descending with direction -1
SELECT
    state.object_type                    AS object_type,
    state.object_id                      AS object_id,
    state.counter_name                   AS counter_name,
    sum(state.value)                     AS value,
    sumIf(state.value, state.is_bot = 1) AS bot_value
FROM counters_daily_state AS state
WHERE state.day >= {first_day:Date} AND state.day < {end_day:Date}
    AND ({object_type:String} = '' OR state.object_type = {object_type:String})
    AND ({object_id:String} = '' OR state.object_id = {object_id:String})
    AND ({counter:String} = '' OR state.counter_name = {counter:String})
    AND multiIf(
        {direction:Int8} = 0,
        1,
        {direction:Int8} = -1,
        (state.object_type, state.object_id, state.counter_name)
            < ({place_type:String}, {place_id:String}, {place_counter:String}),
        (state.object_type, state.object_id, state.counter_name)
            > ({place_type:String}, {place_id:String}, {place_counter:String})
    )
GROUP BY object_type, object_id, counter_name
ORDER BY
    if({direction:Int8} = -1, object_type, '') DESC,
    if({direction:Int8} = -1, object_id, '') DESC,
    if({direction:Int8} = -1, counter_name, '') DESC,
    object_type,
    object_id,
    counter_name
LIMIT {limit:UInt32}
