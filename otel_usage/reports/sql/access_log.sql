-- The requests as the fields of an access log, oldest first.
--
-- The bytes of a stream are those of its event response_sent, which came when the stream had ended: up to a day after
-- the request is looked for it.
--
-- Parameters  since, until DateTime64(9, 'UTC'), half open; service ('' for all); limit;
--             bots Int8: -1 with robots, 0 without, 1 robots alone
-- Order       timestamp, then event id, so that the end of one export is where the next one begins
WITH
    requests AS
    (
        SELECT
            events.timestamp            AS timestamp,
            events.trace_id_bytes       AS trace_id_bytes,
            events.span_id_bytes        AS span_id_bytes,
            events.client_address       AS client_address,
            events.client_address_hash  AS client_address_hash,
            events.user_id              AS user_id,
            events.method               AS method,
            events.path                 AS path,
            events.query                AS query,
            events.status_code          AS status_code,
            events.bytes_sent           AS bytes_sent,
            events.referrer             AS referrer,
            events.user_agent           AS user_agent
        FROM events
        WHERE events.timestamp >= {since:DateTime64(9, 'UTC')} AND events.timestamp < {until:DateTime64(9, 'UTC')}
            AND ({service:String} = '' OR events.service_name = {service:String})
            AND ({bots:Int8} = -1 OR events.is_bot = {bots:Int8})
            AND events.event_name = 'request'
        ORDER BY events.timestamp, events.trace_id_bytes, events.span_id_bytes
        LIMIT {limit:UInt32}
    ),
    streams AS
    (
        SELECT
            events.trace_id_bytes       AS trace_id_bytes,
            events.parent_span_id_bytes AS request_id_bytes,
            max(events.bytes_sent)      AS bytes_sent
        FROM events
        WHERE events.timestamp >= {since:DateTime64(9, 'UTC')}
            AND events.timestamp < {until:DateTime64(9, 'UTC')} + toIntervalDay(1)
            AND ({service:String} = '' OR events.service_name = {service:String})
            AND events.event_name = 'response_sent'
        GROUP BY
            trace_id_bytes,
            request_id_bytes
    )
SELECT
    concat(replaceOne(toString(requests.timestamp), ' ', 'T'), 'Z') AS timestamp,
    if(requests.client_address = toIPv6('::'), requests.client_address_hash, replaceRegexpOne(toString(requests.client_address), '^::ffff:', '')) AS client_address,
    requests.user_id                                                AS user_id,
    requests.method                                                 AS method,
    requests.path                                                   AS path,
    requests.query                                                  AS query,
    requests.status_code                                            AS status_code,
    ifNull(requests.bytes_sent, streams.bytes_sent)                 AS bytes_sent,
    requests.referrer                                               AS referrer,
    requests.user_agent                                             AS user_agent
FROM requests
LEFT JOIN streams ON streams.trace_id_bytes = requests.trace_id_bytes AND streams.request_id_bytes = requests.span_id_bytes
ORDER BY requests.timestamp, requests.trace_id_bytes, requests.span_id_bytes
