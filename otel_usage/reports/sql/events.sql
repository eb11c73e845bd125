-- The latest events.
--
-- Parameters  since, until DateTime64(9, 'UTC'), half open; service, trace_id ('' for all); limit;
--             bots Int8: -1 with robots, 0 without, 1 robots alone
-- Order       timestamp descending, then event id, so that pages neither repeat nor skip one
SELECT
    concat(replaceOne(toString(events.timestamp), ' ', 'T'), 'Z') AS timestamp,
    events.event_name                                             AS event_name,
    events.service_name                                           AS service_name,
    events.visit_key                                              AS visit_key,
    events.user_id                                                AS user_id,
    if(events.client_address = toIPv6('::'), '', replaceRegexpOne(toString(events.client_address), '^::ffff:', '')) AS client_address,
    events.browser                                                AS browser,
    events.is_bot                                                 AS is_bot,
    events.method                                                 AS method,
    events.path                                                   AS path,
    events.status_code                                            AS status_code,
    round(events.duration_ns / 1e6, 3)                            AS duration_ms,
    events.object_type                                            AS object_type,
    events.object_id                                              AS object_id,
    events.funnel                                                 AS funnel,
    events.stage                                                  AS stage,
    events.event_id                                               AS event_id
FROM events
WHERE events.timestamp >= {since:DateTime64(9, 'UTC')} AND events.timestamp < {until:DateTime64(9, 'UTC')}
    AND ({service:String} = '' OR events.service_name = {service:String})
    AND ({trace_id:String} = '' OR events.trace_id = {trace_id:String})
    AND ({bots:Int8} = -1 OR events.is_bot = {bots:Int8})
ORDER BY events.timestamp DESC, events.trace_id_bytes DESC, events.span_id_bytes DESC
LIMIT {limit:UInt32}
