-- Events that were set aside, by reason, over time.
--
-- Parameters  since, until DateTime64(9, 'UTC'), half open; bucket_seconds UInt32: how long a bucket is, from 1 on; limit
-- Columns     time: when the bucket begins, in UTC; first_seen, last_seen: within the bucket; event_id: of the latest
-- Order       time, then reason; buckets without rejected events are absent
SELECT
    toStartOfInterval(rejected_events.timestamp, toIntervalSecond({bucket_seconds:UInt32}), 'UTC') AS time,
    rejected_events.reason AS reason,
    count() AS events,
    concat(replaceOne(toString(min(rejected_events.timestamp)), ' ', 'T'), 'Z') AS first_seen,
    concat(replaceOne(toString(max(rejected_events.timestamp)), ' ', 'T'), 'Z') AS last_seen,
    tupleElement(max((rejected_events.timestamp, rejected_events.event_id)), 2) AS event_id
FROM rejected_events
WHERE rejected_events.timestamp >= {since:DateTime64(9, 'UTC')} AND rejected_events.timestamp < {until:DateTime64(9, 'UTC')}
GROUP BY time, reason
ORDER BY time, reason
LIMIT {limit:UInt32}
