-- Events by service over time: how many are stored, how many of them twice, and when the last one was made.
--
-- Parameters  since, until DateTime64(9, 'UTC'), half open; bucket_seconds UInt32: how long a bucket is, from 1 on;
--             service ('' for all); limit
-- Columns     time: when the bucket begins, in UTC; events: rows of `events`, of all names; duplicates: rows beyond the
--             first of the same event id, which `otel-usage doctor` explains; requests: how many of the events are
--             requests; spans: usage spans in otel_traces that were taken for events, 0 where no Collector writes or
--             they are not kept; last_event: the latest of the bucket, '' without one
-- Order       time, then service; buckets without events and spans are absent
SELECT
    time,
    service_name,
    sum(events_of_bucket) AS events,
    sum(duplicates_of_bucket) AS duplicates,
    sum(requests_of_bucket) AS requests,
    sum(spans_of_bucket) AS spans,
    if(events = 0, '', concat(replaceOne(toString(max(last_of_bucket)), ' ', 'T'), 'Z')) AS last_event
FROM
(
    SELECT
        toStartOfInterval(events.timestamp, toIntervalSecond({bucket_seconds:UInt32}), 'UTC') AS time,
        toString(events.service_name)                                               AS service_name,
        count()                                                                     AS events_of_bucket,
        count() - uniqExact(sipHash64(events.trace_id_bytes, events.span_id_bytes)) AS duplicates_of_bucket,
        countIf(events.event_name = 'request')                                      AS requests_of_bucket,
        0                                                                           AS spans_of_bucket,
        max(events.timestamp)                                                       AS last_of_bucket
    FROM events
    WHERE events.timestamp >= {since:DateTime64(9, 'UTC')} AND events.timestamp < {until:DateTime64(9, 'UTC')}
        AND ({service:String} = '' OR events.service_name = {service:String})
    GROUP BY time, service_name
    UNION ALL
    SELECT
        toStartOfInterval(span.Timestamp, toIntervalSecond({bucket_seconds:UInt32}), 'UTC') AS time,
        substringUTF8(toValidUTF8(span.ServiceName), 1, 256)                        AS service_name,
        0                                                                           AS events_of_bucket,
        0                                                                           AS duplicates_of_bucket,
        0                                                                           AS requests_of_bucket,
        count()                                                                     AS spans_of_bucket,
        toDateTime64(0, 9, 'UTC')                                                   AS last_of_bucket
    FROM otel_traces AS span
    WHERE span.Timestamp >= {since:DateTime64(9, 'UTC')} AND span.Timestamp < {until:DateTime64(9, 'UTC')}
        AND span.UsageOutcome = 'stored'
        AND ({service:String} = '' OR span.ServiceName = {service:String})
    GROUP BY time, service_name
)
GROUP BY time, service_name
ORDER BY time, service_name
LIMIT {limit:UInt32}
