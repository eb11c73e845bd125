-- Fills pages_daily_state from requests. An error is a status of 500 and above.
CREATE MATERIALIZED VIEW IF NOT EXISTS pages_daily_mv TO pages_daily_state
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    events.service_name                                                                        AS service_name,
    toDate(events.timestamp)                                                                   AS day,
    events.route                                                                               AS route,
    if(events.status_code = 404, '', events.path)                                              AS path,
    events.is_bot                                                                              AS is_bot,
    count()                                                                                    AS requests,
    uniqCombined64StateIf(14)(events.visit_key_bytes, events.visit_key_bytes != toFixedString('', 16)) AS visits,
    countIf(events.status_code >= 500)                                                         AS errors,
    quantilesDDState(0.01, 0.5, 0.95)(events.duration_ns)                                      AS durations
FROM events
WHERE events.event_name = 'request'
GROUP BY
    service_name,
    day,
    route,
    if(events.status_code = 404, '', events.path),
    is_bot
