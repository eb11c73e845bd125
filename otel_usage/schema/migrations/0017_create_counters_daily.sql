-- One row per day, service, object, counter and is_bot; `value` may be added up over days.
CREATE VIEW IF NOT EXISTS counters_daily AS
SELECT
    state.day          AS day,
    state.service_name AS service_name,
    state.object_type  AS object_type,
    state.object_id    AS object_id,
    state.counter_name AS counter_name,
    state.is_bot       AS is_bot,
    sum(state.value)   AS value
FROM counters_daily_state AS state
GROUP BY
    day,
    service_name,
    object_type,
    object_id,
    counter_name,
    is_bot
