-- Requests that the app failed to answer (status 500 and above), by route and status, with the trace of the latest.
--
-- Parameters  since, until DateTime64(9, 'UTC'), half open; service ('' for all); limit;
--             bots Int8: -1 with robots, 0 without, 1 robots alone
-- Columns     route: the path where there is none; visits: distinct, about 0.9 % error; last_duration_ms, trace_id: of
--             the latest failure
-- Order       failures descending
SELECT
    service_name,
    route,
    status_code,
    failures,
    visits,
    concat(replaceOne(toString(tupleElement(latest, 1)), ' ', 'T'), 'Z') AS last_seen,
    round(tupleElement(latest, 4) / 1e6, 3) AS last_duration_ms,
    lower(hex(tupleElement(latest, 2))) AS trace_id
FROM
(
    SELECT
        events.service_name                                   AS service_name,
        if(events.route = '', events.path, events.route)      AS route,
        events.status_code                                    AS status_code,
        count()                                               AS failures,
        uniqCombined64If(14)(events.visit_key_bytes, events.visit_key_bytes != toFixedString('', 16)) AS visits,
        max((events.timestamp, events.trace_id_bytes, events.span_id_bytes, events.duration_ns)) AS latest
    FROM events
    WHERE events.timestamp >= {since:DateTime64(9, 'UTC')} AND events.timestamp < {until:DateTime64(9, 'UTC')}
        AND events.event_name = 'request'
        AND events.status_code >= 500
        AND ({service:String} = '' OR events.service_name = {service:String})
        AND ({bots:Int8} = -1 OR events.is_bot = {bots:Int8})
    GROUP BY service_name, route, status_code
)
ORDER BY failures DESC, service_name, route, status_code
LIMIT {limit:UInt32}
