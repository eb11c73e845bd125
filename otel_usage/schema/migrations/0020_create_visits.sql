-- One row per visit and service, whole: also when it went on over midnight.
--
-- Columns  started, last_seen: its first and last request or activity; user_id: the last one known, '' when never signed in;
--          client_address to campaign_source: of the first request; exit_path: of the last one;
--          confirmed: 1 once its cookie came back; is_bot: 1 when any of its requests was a robot's
CREATE VIEW IF NOT EXISTS visits AS
SELECT
    lower(hex(visit_key_bytes))                                      AS visit_key,
    service_name,
    tupleElement(first_request, 1)                                   AS started,
    tupleElement(last_request, 1)                                    AS last_seen,
    requests,
    tupleElement(last_user, 2)                                       AS user_id,
    tupleElement(first_request, 3)                                   AS client_address,
    tupleElement(first_request, 4)                                   AS browser,
    tupleElement(first_request, 5)                                   AS os,
    tupleElement(first_request, 6)                                   AS device_type,
    tupleElement(first_request, 7)                                   AS country,
    is_bot,
    tupleElement(first_request, 2)                                   AS entry_path,
    tupleElement(last_request, 2)                                    AS exit_path,
    tupleElement(first_request, 8)                                   AS referrer_domain,
    tupleElement(first_request, 9)                                   AS campaign_source,
    confirmed,
    repeat(lower(hex(visitor_id_bytes)), notEmpty(visitor_id_bytes)) AS visitor_id
FROM
(
    SELECT
        state.service_name          AS service_name,
        state.visit_key_bytes       AS visit_key_bytes,
        max(state.visitor_id_bytes) AS visitor_id_bytes,
        sum(state.requests)         AS requests,
        max(state.confirmed)        AS confirmed,
        max(state.is_bot)           AS is_bot,
        min(state.first_request)    AS first_request,
        max(state.last_request)     AS last_request,
        max(state.last_user)        AS last_user
    FROM visits_state AS state
    GROUP BY
        service_name,
        visit_key_bytes
)
