-- Hits and bytes by each kind of key: the 20 keys of most hits of each.
--
-- Parameters  first_day, end_day Date (UTC), half open; service ('' for all); limit;
--             bots Int8: -1 with robots, 0 without, 1 robots alone
-- Columns     kind: url, remote, useragent, browser, language, geo, status or server; transfer: bytes of bodies;
--             visits: those that began with a request of this key, exact; errors: status 500 and above;
--             bot_hits: how many of the hits were robots'
-- Order       kind, then hits descending
SELECT
    state.kind                          AS kind,
    state.key                           AS key,
    sum(state.hits)                     AS hits,
    sum(state.transfer)                 AS transfer,
    sum(state.visits)                   AS visits,
    sum(state.errors)                   AS errors,
    sumIf(state.hits, state.is_bot = 1) AS bot_hits
FROM summaries_state AS state
WHERE state.day >= {first_day:Date} AND state.day < {end_day:Date}
    AND ({service:String} = '' OR state.service_name = {service:String})
    AND ({bots:Int8} = -1 OR state.is_bot = {bots:Int8})
GROUP BY kind, key
ORDER BY kind, hits DESC, key
LIMIT 20 BY kind
LIMIT {limit:UInt32}
