-- Which robots come, and how much they read.
--
-- Parameters  since, until DateTime64(9, 'UTC'), half open; service ('' for all); limit
-- Columns     bot_name: '' for a robot without a name; addresses, paths: distinct, about 0.9 % error; client_errors:
--             status 400 to 499; errors: status 500 and above; transfer: bytes of bodies
-- Order       requests descending
SELECT
    events.bot_name AS bot_name,
    countIf(events.event_name = 'request') AS requests,
    uniqCombined64If(14)((events.client_address, events.client_address_hash), events.event_name = 'request') AS addresses,
    uniqCombined64If(14)(events.path, events.event_name = 'request') AS paths,
    countIf(events.event_name = 'request' AND events.status_code BETWEEN 400 AND 499) AS client_errors,
    countIf(events.event_name = 'request' AND events.status_code >= 500) AS errors,
    sum(ifNull(events.bytes_sent, 0)) AS transfer,
    concat(replaceOne(toString(max(events.timestamp)), ' ', 'T'), 'Z') AS last_seen
FROM events
WHERE events.timestamp >= {since:DateTime64(9, 'UTC')} AND events.timestamp < {until:DateTime64(9, 'UTC')}
    AND events.event_name IN ('request', 'response_sent')
    AND events.is_bot = 1
    AND ({service:String} = '' OR events.service_name = {service:String})
GROUP BY bot_name
ORDER BY requests DESC, bot_name
LIMIT {limit:UInt32}
