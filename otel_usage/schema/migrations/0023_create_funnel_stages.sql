-- One row per service, funnel, stage and visit: the first time the visit reached the stage, ever.
--
-- Columns  stage_index: position in the funnel, from 1; user_id: the last one known at that stage, '' if none
CREATE VIEW IF NOT EXISTS funnel_stages AS
SELECT
    state.funnel                       AS funnel,
    state.stage                        AS stage,
    state.stage_index                  AS stage_index,
    state.service_name                 AS service_name,
    lower(hex(state.visit_key_bytes))  AS visit_key,
    tupleElement(max(state.last_user), 2) AS user_id,
    min(state.reached_at)              AS reached_at,
    max(state.is_bot)                  AS is_bot
FROM funnel_stages_state AS state
GROUP BY
    funnel,
    stage,
    stage_index,
    service_name,
    visit_key
