-- Fills funnel_stages_state from reached stages; without a visit there is no way through a funnel to follow.
CREATE MATERIALIZED VIEW IF NOT EXISTS funnel_stages_mv TO funnel_stages_state
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    events.service_name      AS service_name,
    toDate(events.timestamp) AS day,
    events.funnel            AS funnel,
    events.stage_index       AS stage_index,
    events.stage             AS stage,
    events.visit_key_bytes   AS visit_key_bytes,
    min(events.timestamp)    AS reached_at,
    max((if(events.user_id = '', toDateTime64(0, 9, 'UTC'), events.timestamp), events.user_id)) AS last_user,
    max(events.is_bot)       AS is_bot
FROM events
WHERE events.event_name = 'stage_reached' AND events.visit_key_bytes != toFixedString('', 16)
GROUP BY
    service_name,
    day,
    funnel,
    stage_index,
    stage,
    visit_key_bytes
