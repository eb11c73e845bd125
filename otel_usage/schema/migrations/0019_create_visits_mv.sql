-- Fills visits_state from the requests and the activities that belong to a visit.
--
-- A visit is confirmed by any event that did not open it: its cookie came back. One of activities alone has no
-- requests; its first and last page is whatever came first and last. Requests without a user name one at the epoch,
-- so that any real one is later.
CREATE MATERIALIZED VIEW IF NOT EXISTS visits_mv TO visits_state
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    events.service_name                    AS service_name,
    toDate(events.timestamp)               AS day,
    events.visit_key_bytes                 AS visit_key_bytes,
    max(events.visitor_id_bytes)           AS visitor_id_bytes,
    countIf(events.event_name = 'request') AS requests,
    max(events.visit_is_new = 0)           AS confirmed,
    max(events.is_bot)                     AS is_bot,
    min((
        events.timestamp,
        events.path,
        events.client_address,
        events.browser,
        events.os,
        events.device_type,
        events.country,
        events.referrer_domain,
        events.campaign_source
    ))                                     AS first_request,
    max((events.timestamp, events.path))   AS last_request,
    max((if(events.user_id = '', toDateTime64(0, 9, 'UTC'), events.timestamp), events.user_id)) AS last_user
FROM events
WHERE events.event_name IN ('request', 'activity') AND events.visit_key_bytes != toFixedString('', 16)
GROUP BY
    service_name,
    day,
    visit_key_bytes
