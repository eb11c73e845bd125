-- Views, visits and users by object.
--
-- Parameters  first_day, end_day Date (UTC), half open; service ('' for all); limit
-- Columns     visits, users: distinct, about 0.9 % error
-- Order       views descending
SELECT
    state.object_type                     AS object_type,
    state.object_id                       AS object_id,
    state.is_bot                          AS is_bot,
    sum(state.views)                      AS views,
    uniqCombined64Merge(14)(state.visits) AS visits,
    uniqCombined64Merge(14)(state.users)  AS users
FROM objects_daily_state AS state
WHERE state.day >= {first_day:Date} AND state.day < {end_day:Date}
    AND ({service:String} = '' OR state.service_name = {service:String})
GROUP BY object_type, object_id, is_bot
ORDER BY views DESC, object_type, object_id, is_bot
LIMIT {limit:UInt32}
