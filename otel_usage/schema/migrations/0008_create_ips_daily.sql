-- One row per day, service, client address and is_bot. IPv4 addresses are mapped (::ffff:192.0.2.1).
--
-- Columns  visits: begun that day, exact; first_seen, last_seen: of that day
CREATE VIEW IF NOT EXISTS ips_daily AS
SELECT
    state.day             AS day,
    state.service_name    AS service_name,
    state.client_address  AS client_address,
    max(state.country)    AS country,
    state.is_bot          AS is_bot,
    sum(state.requests)   AS requests,
    sum(state.visits)     AS visits,
    min(state.first_seen) AS first_seen,
    max(state.last_seen)  AS last_seen
FROM ips_daily_state AS state
GROUP BY
    day,
    service_name,
    client_address,
    is_bot
