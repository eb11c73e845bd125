-- One row per visit and service, whole: also when it went on over midnight.
--
-- Columns  started, last_seen: its first and last request; user_id: the last one known, '' when never signed in;
--          client_address to campaign_source: of the first request; exit_path: of the last one;
--          confirmed: 1 once its cookie came back; is_bot: 1 when any of its requests was a robot's
CREATE VIEW IF NOT EXISTS visits AS
SELECT
    lower(hex(visit_key_bytes))                                                                       AS visit_key,
    service_name,
    started,
    last_seen,
    requests,
    user_id,
    tupleElement(first_request, 1)                                                                    AS client_address,
    tupleElement(first_request, 2)                                                                    AS browser,
    tupleElement(first_request, 3)                                                                    AS os,
    tupleElement(first_request, 4)                                                                    AS device_type,
    tupleElement(first_request, 5)                                                                    AS country,
    is_bot,
    tupleElement(first_request, 6)                                                                    AS entry_path,
    exit_path,
    tupleElement(first_request, 7)                                                                    AS referrer_domain,
    tupleElement(first_request, 8)                                                                    AS campaign_source,
    confirmed,
    if(visitor_id_bytes = toFixedString('', 16), '', lower(hex(visitor_id_bytes)))                    AS visitor_id
FROM
(
    SELECT
        state.service_name                AS service_name,
        state.visit_key_bytes             AS visit_key_bytes,
        max(state.visitor_id_bytes)       AS visitor_id_bytes,
        min(state.started)                AS started,
        max(state.last_seen)              AS last_seen,
        sum(state.requests)               AS requests,
        max(state.confirmed)              AS confirmed,
        max(state.is_bot)                 AS is_bot,
        argMaxMerge(state.user_id)        AS user_id,
        argMaxMerge(state.exit_path)      AS exit_path,
        argMinMerge(state.first_request)  AS first_request
    FROM visits_state AS state
    GROUP BY
        service_name,
        visit_key_bytes
)
