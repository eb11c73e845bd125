-- Fills browsers_daily_state from requests, and its visits and visitors also from activities, which are pages
-- that only the browser knows. A visitor without an id is no visitor.
CREATE MATERIALIZED VIEW IF NOT EXISTS browsers_daily_mv TO browsers_daily_state
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    events.service_name                                                                         AS service_name,
    toDate(events.timestamp)                                                                    AS day,
    events.browser                                                                              AS browser,
    events.os                                                                                   AS os,
    events.device_type                                                                          AS device_type,
    events.is_bot                                                                               AS is_bot,
    countIf(events.event_name = 'request')                                                      AS requests,
    sum(events.visit_is_new)                                                                    AS visits,
    uniqCombined64StateIf(14)(events.visitor_id_bytes, events.visitor_id_bytes != toFixedString('', 16)) AS visitors
FROM events
WHERE events.event_name IN ('request', 'activity')
GROUP BY
    service_name,
    day,
    browser,
    os,
    device_type,
    is_bot
