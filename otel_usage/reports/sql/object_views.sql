-- Who viewed the objects of a type, view by view.
--
-- A page ends at the place of a view, its time and then its id, so that views that arrive meanwhile neither repeat
-- nor skip one.
--
-- Parameters  object_type; object_id, user_id, service ('' for all); since, until DateTime64(9, 'UTC'), half open;
--             before_ns Int64 nanoseconds since the epoch and before_id, an event id of 48 hex digits; limit
-- Columns     time_ns: nanoseconds since the epoch; client_address: '' when unknown
-- Order       timestamp descending, then event id
SELECT
    toUnixTimestamp64Nano(events.timestamp) AS time_ns,
    events.event_id                         AS event_id,
    events.service_name                     AS service_name,
    events.object_type                      AS object_type,
    events.object_id                        AS object_id,
    events.user_id                          AS user_id,
    events.visit_key                        AS visit_key,
    if(events.client_address = toIPv6('::'), '', replaceRegexpOne(toString(events.client_address), '^::ffff:', '')) AS client_address,
    events.user_agent                       AS user_agent,
    events.is_bot                           AS is_bot,
    events.path                             AS path,
    events.referrer                         AS referrer
FROM events
WHERE events.event_name = 'object_viewed' AND events.object_type = {object_type:String}
    AND ({object_id:String} = '' OR events.object_id = {object_id:String})
    AND ({user_id:String} = '' OR events.user_id = {user_id:String})
    AND ({service:String} = '' OR events.service_name = {service:String})
    AND events.timestamp >= {since:DateTime64(9, 'UTC')} AND events.timestamp < {until:DateTime64(9, 'UTC')}
    AND (events.timestamp, events.trace_id_bytes, events.span_id_bytes) < (
        fromUnixTimestamp64Nano({before_ns:Int64}, 'UTC'),
        toFixedString(substring(unhex({before_id:String}), 1, 16), 16),
        toFixedString(substring(unhex({before_id:String}), 17, 8), 8)
    )
ORDER BY events.timestamp DESC, events.trace_id_bytes DESC, events.span_id_bytes DESC
LIMIT {limit:UInt32}
