-- Fills counters_daily_state from counter events.
CREATE MATERIALIZED VIEW IF NOT EXISTS counters_daily_mv TO counters_daily_state
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    events.service_name       AS service_name,
    toDate(events.timestamp)  AS day,
    events.object_type        AS object_type,
    events.object_id          AS object_id,
    events.counter_name       AS counter_name,
    events.is_bot             AS is_bot,
    sum(events.counter_value) AS value
FROM events
WHERE events.event_name = 'counter'
GROUP BY
    service_name,
    day,
    object_type,
    object_id,
    counter_name,
    is_bot
