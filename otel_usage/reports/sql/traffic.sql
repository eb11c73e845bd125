-- Requests, visits, errors, durations and bytes over time.
--
-- Parameters  since, until DateTime64(9, 'UTC'), half open; bucket_seconds UInt32: how long a bucket is, from 1 on;
--             service ('' for all); limit; bots Int8: -1 with robots, 0 without, 1 robots alone
-- Columns     time: when the bucket begins, in UTC; visits: begun then, exact; visitors: distinct, about 0.9 % error,
--             not to be added up; client_errors: status 400 to 499; errors: status 500 and above; durations in
--             milliseconds, 1 % relative error, NULL without requests; transfer: bytes of bodies
-- Order       time, then service; buckets without events are absent
SELECT
    time,
    service_name,
    requests,
    bot_requests,
    visits,
    visitors,
    client_errors,
    errors,
    if(requests = 0, NULL, round(durations[1] / 1e6, 3)) AS duration_p50_ms,
    if(requests = 0, NULL, round(durations[2] / 1e6, 3)) AS duration_p95_ms,
    transfer
FROM
(
    SELECT
        toStartOfInterval(events.timestamp, toIntervalSecond({bucket_seconds:UInt32}), 'UTC')        AS time,
        events.service_name                                                                          AS service_name,
        countIf(events.event_name = 'request')                                                       AS requests,
        countIf(events.event_name = 'request' AND events.is_bot = 1)                                 AS bot_requests,
        sumIf(events.visit_is_new, events.event_name != 'response_sent')                             AS visits,
        uniqCombined64If(14)(
            events.visitor_id_bytes,
            events.event_name != 'response_sent' AND events.visitor_id_bytes != toFixedString('', 16)
        )                                                                                            AS visitors,
        countIf(events.event_name = 'request' AND events.status_code BETWEEN 400 AND 499)            AS client_errors,
        countIf(events.event_name = 'request' AND events.status_code >= 500)                         AS errors,
        quantilesDDIf(0.01, 0.5, 0.95)(events.duration_ns, events.event_name = 'request')            AS durations,
        sum(ifNull(events.bytes_sent, 0))                                                            AS transfer
    FROM events
    WHERE events.timestamp >= {since:DateTime64(9, 'UTC')} AND events.timestamp < {until:DateTime64(9, 'UTC')}
        AND events.event_name IN ('request', 'activity', 'response_sent')
        AND ({service:String} = '' OR events.service_name = {service:String})
        AND ({bots:Int8} = -1 OR events.is_bot = {bots:Int8})
    GROUP BY time, service_name
)
ORDER BY time, service_name
LIMIT {limit:UInt32}
