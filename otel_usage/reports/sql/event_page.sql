-- One page of a list of events, for people who look at single ones.
--
-- The page is cut by the place of an event, its time and then its id, and not by a number of rows: rows that arrive
-- meanwhile neither shift a row onto the next page nor off it. The conditions on the direction are constants, which
-- leave one half of the order.
--
-- Parameters  event_names Array(String), at least one; since_ns, until_ns Int64, half open; service,
--             object_type, object_id, user_id, visit_key, session ('' for all); client_address IPv6 (:: for all);
--             bots -1 for all, 0 for people, 1 for robots; is_upwards 1 for the events after a place, with the
--             nearest first, 0 for those before it; place_ns Int64, place_trace_id and place_span_id
--             in hex; all times in nanoseconds since the epoch; limit
-- Columns     time_ns: nanoseconds since the epoch; client_address: '' when unknown
-- Order       timestamp descending, then event id; upwards: ascending
SELECT
    toUnixTimestamp64Nano(events.timestamp) AS time_ns,
    events.event_id                         AS event_id,
    events.event_name                       AS event_name,
    events.service_name                     AS service_name,
    events.user_id                          AS user_id,
    events.visit_key                        AS visit_key,
    if(events.client_address = toIPv6('::'), '', replaceRegexpOne(toString(events.client_address), '^::ffff:', '')) AS client_address,
    events.country                          AS country,
    events.browser                          AS browser,
    events.os                               AS os,
    events.user_agent                       AS user_agent,
    events.is_bot                           AS is_bot,
    events.bot_name                         AS bot_name,
    events.path                             AS path,
    events.query                            AS query,
    events.referrer                         AS referrer,
    events.object_type                      AS object_type,
    events.object_id                        AS object_id,
    events.properties                       AS properties
FROM events
WHERE events.event_name IN {event_names:Array(String)}
    AND events.timestamp >= fromUnixTimestamp64Nano({since_ns:Int64}, 'UTC') AND events.timestamp < fromUnixTimestamp64Nano({until_ns:Int64}, 'UTC')
    AND ({service:String} = '' OR events.service_name = {service:String})
    AND ({object_type:String} = '' OR events.object_type = {object_type:String})
    AND ({object_id:String} = '' OR events.object_id = {object_id:String})
    AND ({user_id:String} = '' OR events.user_id = {user_id:String})
    AND ({visit_key:String} = '' OR events.visit_key = {visit_key:String})
    AND ({session:String} = '' OR events.properties['session'] = {session:String})
    AND ({client_address:IPv6} = toIPv6('::') OR events.client_address = {client_address:IPv6})
    AND ({bots:Int8} = -1 OR events.is_bot = {bots:Int8})
    AND if(
        {is_upwards:UInt8} = 1,
        (events.timestamp, events.trace_id_bytes, events.span_id_bytes)
            > (fromUnixTimestamp64Nano({place_ns:Int64}, 'UTC'), toFixedString(unhex({place_trace_id:String}), 16), toFixedString(unhex({place_span_id:String}), 8)),
        (events.timestamp, events.trace_id_bytes, events.span_id_bytes)
            < (fromUnixTimestamp64Nano({place_ns:Int64}, 'UTC'), toFixedString(unhex({place_trace_id:String}), 16), toFixedString(unhex({place_span_id:String}), 8))
    )
ORDER BY
    if({is_upwards:UInt8} = 1, NULL, events.timestamp) DESC,
    if({is_upwards:UInt8} = 1, NULL, events.trace_id_bytes) DESC,
    if({is_upwards:UInt8} = 1, NULL, events.span_id_bytes) DESC,
    events.timestamp,
    events.trace_id_bytes,
    events.span_id_bytes
LIMIT {limit:UInt32}
