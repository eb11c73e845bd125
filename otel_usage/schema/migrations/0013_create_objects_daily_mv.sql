-- Fills objects_daily_state from object views alone: the last object on a request's row would count twice.
CREATE MATERIALIZED VIEW IF NOT EXISTS objects_daily_mv TO objects_daily_state
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    events.service_name                                                                        AS service_name,
    toDate(events.timestamp)                                                                   AS day,
    events.object_type                                                                         AS object_type,
    events.object_id                                                                           AS object_id,
    events.is_bot                                                                              AS is_bot,
    count()                                                                                    AS views,
    uniqCombined64StateIf(14)(events.visit_key_bytes, events.visit_key_bytes != toFixedString('', 16)) AS visits,
    uniqCombined64StateIf(14)(events.user_id, events.user_id != '')                            AS users
FROM events
WHERE events.event_name = 'object_viewed'
GROUP BY
    service_name,
    day,
    object_type,
    object_id,
    is_bot
