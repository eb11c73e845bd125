-- Views of the pages that browsers told of through the client API, by the path that only they know.
--
-- Parameters  since, until DateTime64(9, 'UTC'), half open; service ('' for all); limit;
--             bots Int8: -1 with robots, 0 without, 1 robots alone
-- Columns     fragment: what stands after the # where an app keeps its route there (`/…` or `!…`), else '';
--             views: log calls; visits, visitors, users: distinct, about 0.9 % error; bot_views: how many of the
--             views were robots'
-- Order       views descending
SELECT
    events.path AS path,
    if(match(events.properties['fragment'], '^[/!]'), events.properties['fragment'], '') AS fragment,
    count() AS views,
    uniqCombined64If(14)(events.visit_key_bytes, events.visit_key_bytes != toFixedString('', 16)) AS visits,
    uniqCombined64If(14)(events.visitor_id_bytes, events.visitor_id_bytes != toFixedString('', 16)) AS visitors,
    uniqCombined64If(14)(events.user_id, events.user_id != '') AS users,
    sum(events.is_bot) AS bot_views
FROM events
WHERE events.event_name = 'activity'
    AND events.timestamp >= {since:DateTime64(9, 'UTC')} AND events.timestamp < {until:DateTime64(9, 'UTC')}
    AND ({service:String} = '' OR events.service_name = {service:String})
    AND ({bots:Int8} = -1 OR events.is_bot = {bots:Int8})
GROUP BY path, fragment
ORDER BY views DESC, path, fragment
LIMIT {limit:UInt32}
