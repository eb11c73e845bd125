-- Addresses that were refused, looked for what is not there, or came in bursts.
--
-- Parameters  since, until DateTime64(9, 'UTC'), half open; service ('' for all); limit;
--             bots Int8: -1 with robots, 0 without, 1 robots alone
-- Columns     client_address: its hash where only that is kept, '' when unknown; refused: status 401, 403 and 429;
--             not_found: status 404; errors: status 500 and above; paths, user_agents: distinct, about 0.9 % error;
--             busiest_minute: most requests within a minute of the clock
-- Order       refused and not found together descending, then busiest minute descending, then address and hash
SELECT
    if(address = toIPv6('::'), hash, replaceRegexpOne(toString(address), '^::ffff:', '')) AS client_address,
    max(country_of_minute)                   AS country,
    sum(requests_of_minute)                  AS requests,
    sum(refused_of_minute)                   AS refused,
    sum(not_found_of_minute)                 AS not_found,
    sum(errors_of_minute)                    AS errors,
    uniqCombined64Merge(14)(paths_of_minute) AS paths,
    uniqCombined64Merge(14)(agents_of_minute) AS user_agents,
    max(requests_of_minute)                  AS busiest_minute,
    sum(bot_requests_of_minute)              AS bot_requests,
    concat(replaceOne(toString(max(last_of_minute)), ' ', 'T'), 'Z') AS last_seen
FROM
(
    SELECT
        events.client_address                          AS address,
        events.client_address_hash                     AS hash,
        toStartOfMinute(events.timestamp, 'UTC')       AS minute,
        max(events.country)                            AS country_of_minute,
        count()                                        AS requests_of_minute,
        countIf(events.status_code IN (401, 403, 429)) AS refused_of_minute,
        countIf(events.status_code = 404)              AS not_found_of_minute,
        countIf(events.status_code >= 500)             AS errors_of_minute,
        uniqCombined64State(14)(events.path)           AS paths_of_minute,
        uniqCombined64State(14)(events.user_agent)     AS agents_of_minute,
        sum(events.is_bot)                             AS bot_requests_of_minute,
        max(events.timestamp)                          AS last_of_minute
    FROM events
    WHERE events.timestamp >= {since:DateTime64(9, 'UTC')} AND events.timestamp < {until:DateTime64(9, 'UTC')}
        AND events.event_name = 'request'
        AND ({service:String} = '' OR events.service_name = {service:String})
        AND ({bots:Int8} = -1 OR events.is_bot = {bots:Int8})
    GROUP BY address, hash, minute
)
GROUP BY address, hash
ORDER BY refused + not_found DESC, busiest_minute DESC, client_address, hash
LIMIT {limit:UInt32}
