-- Events by service over time: how many are stored, how many of them twice, and when the last one was made.
--
-- Parameters  since, until DateTime64(9, 'UTC'), half open; bucket_seconds UInt32: how long a bucket is, from 1 on;
--             service ('' for all); limit
-- Columns     time: when the bucket begins, in UTC; events: rows of `events`, of all names; duplicates: rows beyond the
--             first of the same event id, which `otel-usage doctor` explains; requests: how many of the events are
--             requests; last_event: the latest of the bucket
-- Order       time, then service; buckets without events are absent
SELECT
    toStartOfInterval(events.timestamp, toIntervalSecond({bucket_seconds:UInt32}), 'UTC') AS time,
    events.service_name AS service_name,
    count() AS events,
    count() - uniqExact(sipHash64(events.trace_id_bytes, events.span_id_bytes)) AS duplicates,
    countIf(events.event_name = 'request') AS requests,
    concat(replaceOne(toString(max(events.timestamp)), ' ', 'T'), 'Z') AS last_event
FROM events
WHERE events.timestamp >= {since:DateTime64(9, 'UTC')} AND events.timestamp < {until:DateTime64(9, 'UTC')}
    AND ({service:String} = '' OR events.service_name = {service:String})
GROUP BY time, service_name
ORDER BY time, service_name
LIMIT {limit:UInt32}
