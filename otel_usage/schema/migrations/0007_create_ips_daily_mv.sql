-- Fills ips_daily_state from requests, and its visits and times also from activities; `::` stands for those
-- without an address.
CREATE MATERIALIZED VIEW IF NOT EXISTS ips_daily_mv TO ips_daily_state
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    events.service_name                    AS service_name,
    toDate(events.timestamp)               AS day,
    events.client_address                  AS client_address,
    events.is_bot                          AS is_bot,
    max(events.country)                    AS country,
    countIf(events.event_name = 'request') AS requests,
    sum(events.visit_is_new)               AS visits,
    min(events.timestamp)                  AS first_seen,
    max(events.timestamp)                  AS last_seen
FROM events
WHERE events.event_name IN ('request', 'activity')
GROUP BY
    service_name,
    day,
    client_address,
    is_bot
