-- One page of the requests, newest first, with what Flask-Track-Usage tells of each.
--
-- The page is cut by the place of a request, its time and then its ids. A number of rows is passed over only where
-- nobody knows the place. The bounds of the time are whole numbers, which no time zone of a server can shift.
-- The time of the oldest row that the page can have is looked up first, in one small column, and leaves out the
-- parts of the table that hold nothing for the page.
--
-- Parameters  since_ns Int64: the first nanosecond that counts; place_ns Int64, place_trace_id and place_span_id in
--             hex: the page begins with what is older than this place; skipped UInt64: how many requests right
--             behind the place are passed over; service ('' for all); limit; all times since the epoch
-- Columns     client_address: '' when unknown; track_var: JSON, '' without one
-- Order       timestamp descending, then event id
SELECT
    toUnixTimestamp64Nano(events.timestamp) AS time_ns,
    events.event_id                         AS event_id,
    events.scheme                           AS scheme,
    events.host                             AS host,
    events.path                             AS path,
    events.query                            AS query,
    events.user_agent                       AS user_agent,
    events.browser                          AS browser,
    events.browser_version                  AS browser_version,
    events.os                               AS os,
    events.language                         AS language,
    events.blueprint                        AS blueprint,
    events.view_args                        AS view_args,
    events.status_code                      AS status_code,
    if(events.client_address = toIPv6('::'), '', replaceRegexpOne(toString(events.client_address), '^::ffff:', '')) AS client_address,
    events.client_address_hash              AS client_address_hash,
    events.forwarded_for                    AS forwarded_for,
    events.has_authorization                AS has_authorization,
    events.country                          AS country,
    events.region                           AS region,
    events.city                             AS city,
    events.duration_ns                      AS duration_ns,
    events.user_id                          AS user_id,
    events.properties['track_var']          AS track_var
FROM events
WHERE events.event_name = 'request'
    AND events.timestamp >= fromUnixTimestamp64Nano({since_ns:Int64}, 'UTC') AND events.timestamp <= fromUnixTimestamp64Nano({place_ns:Int64}, 'UTC')
    AND events.timestamp >= (
        SELECT min(timestamp)
        FROM
        (
            SELECT events.timestamp AS timestamp
            FROM events
            WHERE events.event_name = 'request'
                AND events.timestamp >= fromUnixTimestamp64Nano({since_ns:Int64}, 'UTC') AND events.timestamp < fromUnixTimestamp64Nano({place_ns:Int64}, 'UTC')
                AND ({service:String} = '' OR events.service_name = {service:String})
            ORDER BY events.timestamp DESC
            LIMIT {skipped:UInt64} + {limit:UInt32}
        )
    )
    AND ({service:String} = '' OR events.service_name = {service:String})
    AND (events.timestamp, events.trace_id_bytes, events.span_id_bytes)
        < (fromUnixTimestamp64Nano({place_ns:Int64}, 'UTC'), toFixedString(unhex({place_trace_id:String}), 16), toFixedString(unhex({place_span_id:String}), 8))
ORDER BY events.timestamp DESC, events.trace_id_bytes DESC, events.span_id_bytes DESC
LIMIT {limit:UInt32} OFFSET {skipped:UInt64}
