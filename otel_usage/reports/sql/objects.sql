-- Views, visits and users by object.
--
-- Parameters  first_day, end_day Date (UTC), half open; service, object_type ('' for all); limit;
--             bots Int8: -1 with robots, 0 without, 1 robots alone
-- Columns     visits, users: distinct, about 0.9 % error; bot_views: how many of the views were robots'
-- Order       views descending
SELECT
    state.object_type                     AS object_type,
    state.object_id                       AS object_id,
    sum(state.views)                      AS views,
    uniqCombined64Merge(14)(state.visits) AS visits,
    uniqCombined64Merge(14)(state.users)  AS users,
    sumIf(state.views, state.is_bot = 1)  AS bot_views
FROM objects_daily_state AS state
WHERE state.day >= {first_day:Date} AND state.day < {end_day:Date}
    AND ({service:String} = '' OR state.service_name = {service:String})
    AND ({bots:Int8} = -1 OR state.is_bot = {bots:Int8})
    AND ({object_type:String} = '' OR state.object_type = {object_type:String})
GROUP BY object_type, object_id
ORDER BY views DESC, object_type, object_id
LIMIT {limit:UInt32}
