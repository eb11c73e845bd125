-- Fills visits_state from the requests that belong to a visit.
--
-- A visit is confirmed by any request that did not open it: its cookie came back.
CREATE MATERIALIZED VIEW IF NOT EXISTS visits_mv TO visits_state AS
SELECT
    events.service_name                                                                AS service_name,
    toDate(events.timestamp)                                                           AS day,
    events.visit_key_bytes                                                             AS visit_key_bytes,
    max(events.visitor_id_bytes)                                                       AS visitor_id_bytes,
    min(events.timestamp)                                                              AS started,
    max(events.timestamp)                                                              AS last_seen,
    count()                                                                            AS requests,
    max(events.visit_is_new = 0)                                                       AS confirmed,
    max(events.is_bot)                                                                 AS is_bot,
    argMaxStateIf(events.user_id, (events.timestamp, events.trace_id_bytes, events.span_id_bytes), events.user_id != '') AS user_id,
    argMaxState(events.path, (events.timestamp, events.trace_id_bytes, events.span_id_bytes)) AS exit_path,
    argMinState(
        (
            events.client_address,
            toString(events.browser),
            toString(events.os),
            toString(events.device_type),
            toString(events.country),
            events.path,
            toString(events.referrer_domain),
            toString(events.campaign_source)
        ),
        (events.timestamp, events.trace_id_bytes, events.span_id_bytes)
    )                                                                                  AS first_request
FROM events
WHERE events.event_name = 'request' AND events.visit_key_bytes != toFixedString('', 16)
GROUP BY
    service_name,
    day,
    visit_key_bytes
