-- One row per day, service, object type, object id and is_bot.
--
-- Columns  visits, users: distinct, about 0.9 % error, not to be added up; users: of those who were signed in
CREATE VIEW IF NOT EXISTS objects_daily AS
SELECT
    state.day                             AS day,
    state.service_name                    AS service_name,
    state.object_type                     AS object_type,
    state.object_id                       AS object_id,
    state.is_bot                          AS is_bot,
    sum(state.views)                      AS views,
    uniqCombined64Merge(14)(state.visits) AS visits,
    uniqCombined64Merge(14)(state.users)  AS users
FROM objects_daily_state AS state
GROUP BY
    day,
    service_name,
    object_type,
    object_id,
    is_bot
